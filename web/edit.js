// The form that adds or changes a camera, and tries its source first.
import * as api from './api.js';
import {el, number, setText} from './dom.js';

const priorities = ['emergency', 'urgent', 'normal', 'background'];

/// The button that looks at the source and shows what is there.
function tester(camera, source, transport) {
  const result = el('div', {class: 'probe', role: 'status'});
  let held = null;
  const button = el('button', {id: 'test', type: 'button', onclick: async () => {
    if (!source.value.trim()) return source.reportValidity();
    button.disabled = true;
    result.className = 'probe';
    result.replaceChildren(el('span', {class: 'soft'}, 'looking…'));
    try {
      const found = await api.post('/api/v1/probe', {source: source.value.trim(), transport: transport.value, ...(camera ? {camera: camera.id} : {})});
      if (!found.ok) throw new Error(found.error);
      const bytes = Uint8Array.from(atob(found.picture_jpeg), (letter) => letter.charCodeAt(0));
      if (held) URL.revokeObjectURL(held);
      held = URL.createObjectURL(new Blob([bytes], {type: 'image/jpeg'}));
      result.classList.add('good');
      result.replaceChildren(
          el('img', {src: held, alt: 'First picture of the source'}),
          el('span', {}, `${found.width} × ${found.height}, ${found.codec}${found.fps > 0 ? `, ${number(found.fps, 1)} frames/s` : ''}`,
              el('br'), el('span', {class: 'soft'}, `first picture after ${number(found.first_picture_ms)} ms`)));
    } catch (refused) {
      result.classList.add('bad');
      result.replaceChildren(el('span', {class: 'error'}, refused.message));
    }
    button.disabled = false;
  }}, 'Test source');
  return {button, result, end() { if (held) URL.revokeObjectURL(held); }};
}

/// @param camera as the API answers it; null: a new one. @param done called after the change
export function editCamera(camera, done) {
  const id = el('input', {name: 'id', required: true, pattern: '[A-Za-z0-9][A-Za-z0-9_.\\-]{0,63}', value: camera?.id ?? '',
    disabled: camera !== null, placeholder: 'north-gate', title: 'Letters, digits, _ - and ., the first a letter or digit', autocomplete: 'off'});
  const source = el('input', {name: 'source', required: true, placeholder: 'rtsp://user:password@10.0.0.5/stream1', value: camera?.source ?? '', autocomplete: 'off', spellcheck: 'false'});
  const transport = el('select', {name: 'transport'}, ...['tcp', 'udp'].map((name) => el('option', {selected: name === (camera?.transport ?? 'tcp')}, name)));
  const fps = el('input', {name: 'fps', type: 'number', min: 0, max: 240, step: 'any', value: camera?.fps ?? 0});
  const deadline = el('input', {name: 'deadline', type: 'number', min: 1, max: 600000, value: camera?.deadline_ms ?? 200});
  const priority = el('select', {name: 'priority'}, ...priorities.map((name) => el('option', {selected: name === (camera?.priority ?? 'normal')}, name)));
  const classes = el('input', {name: 'classes', placeholder: 'all', value: (camera?.classes ?? []).join(', '), autocomplete: 'off'});
  const confidence = el('input', {name: 'conf', type: 'number', min: 0, max: 1, step: 'any', value: camera?.conf ?? 0.25});
  const enabled = el('input', {name: 'enabled', type: 'checkbox', checked: camera?.enabled ?? true});
  const error = el('p', {class: 'error', role: 'alert'});
  const test = tester(camera, source, transport);
  const dialog = el('dialog');
  const form = el('form', {class: 'edit'},
      el('h2', {}, camera ? `Change ${camera.id}` : 'Add a camera'),
      el('label', {}, 'Id', id),
      el('label', {}, 'Source', source),
      el('div', {class: 'bar'}, el('label', {class: 'inline'}, 'RTSP over', transport), test.button),
      test.result,
      el('div', {class: 'pair'},
          el('label', {}, 'Priority', priority), el('label', {}, 'Deadline, ms', deadline),
          el('label', {}, 'Frames/s at most, 0: all', fps), el('label', {}, 'Confidence above', confidence)),
      el('label', {}, 'Classes, by comma', classes),
      el('label', {class: 'inline'}, enabled, 'Enabled'), error,
      el('div', {class: 'bar end'}, el('button', {type: 'button', onclick: () => dialog.close()}, 'Cancel'),
          el('button', {class: 'main', type: 'submit'}, camera ? 'Save' : 'Add')));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const body = {
      source: source.value.trim(), transport: transport.value, fps: Number(fps.value), deadline_ms: Number(deadline.value),
      priority: priority.value, conf: Number(confidence.value),
      classes: classes.value.split(',').map((name) => name.trim()).filter(Boolean), enabled: enabled.checked,
    };
    try {
      if (camera) await api.patch(api.camera(camera.id), body);
      else await api.put(api.camera(id.value), body);
      dialog.close();
      await done();
    } catch (refused) {
      setText(error, refused.message);
    }
  });
  dialog.append(form);
  dialog.addEventListener('close', () => {
    test.end();
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  (camera ? source : id).focus();
}
