// The form that adds or changes a camera.
import * as api from './api.js';
import {el, setText} from './dom.js';

const priorities = ['emergency', 'urgent', 'normal', 'background'];

/// @param camera as the API answers it; null: a new one. @param done called after the change
export function editCamera(camera, done) {
  const id = el('input', {name: 'id', required: true, pattern: '[A-Za-z0-9][A-Za-z0-9_.\\-]{0,63}', value: camera?.id ?? '', disabled: camera !== null});
  const source = el('input', {name: 'source', required: true, placeholder: 'rtsp://…', value: camera?.source ?? ''});
  const fps = el('input', {name: 'fps', type: 'number', min: 0, max: 240, step: 'any', value: camera?.fps ?? 0});
  const deadline = el('input', {name: 'deadline', type: 'number', min: 1, max: 600000, value: camera?.deadline_ms ?? 200});
  const priority = el('select', {name: 'priority'}, ...priorities.map((name) => el('option', {selected: name === (camera?.priority ?? 'normal')}, name)));
  const classes = el('input', {name: 'classes', placeholder: 'all', value: (camera?.classes ?? []).join(', ')});
  const enabled = el('input', {name: 'enabled', type: 'checkbox', checked: camera?.enabled ?? true});
  const error = el('p', {class: 'error', role: 'alert'});
  const dialog = el('dialog');
  const test = el('button', {type: 'button', onclick: () => { source.value = 'scene://junction'; }}, 'Test source');
  const form = el('form', {class: 'edit'},
      el('h2', {}, camera ? `Change ${camera.id}` : 'Add a camera'),
      el('label', {}, 'Id', id), el('label', {}, 'Source', source), test,
      el('label', {}, 'Frames a second at most, 0 for every frame', fps),
      el('label', {}, 'Priority', priority), el('label', {}, 'Deadline, ms', deadline),
      el('label', {}, 'Classes, by comma', classes), el('label', {}, 'Enabled', enabled), error,
      el('div', {class: 'bar'}, el('button', {class: 'main', type: 'submit'}, 'Save'),
          el('button', {type: 'button', onclick: () => dialog.close()}, 'Cancel')));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const body = {
      source: source.value.trim(), fps: Number(fps.value), deadline_ms: Number(deadline.value), priority: priority.value,
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
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
