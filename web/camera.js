// One camera large: its picture with the boxes of that frame, its numbers, latency and rate over the last minutes.
import * as api from './api.js';
import * as boxes from './boxes.js';
import {timeChart} from './chart.js';
import {age, el, number, percent, setText, span, words} from './dom.js';
import {editCamera} from './edit.js';
import {picture} from './picture.js';
import {every} from './poll.js';

const priorities = ['emergency', 'urgent', 'normal', 'background'];

export function showCamera(main, id) {
  const path = api.camera(id);
  const view = picture(id, 66);
  const state = el('span', {class: 'state'});
  const reason = el('p', {class: 'soft reason'});
  const facts = el('table', {class: 'facts'});
  const error = el('p', {class: 'error', role: 'alert'});
  const said = el('span', {class: 'soft', role: 'status'});
  const seen = el('p', {class: 'soft counts'});
  const rate = timeChart({title: 'Frames a second', unit: '/s', lines: [
    {name: 'results', token: '--line-1', fill: true}, {name: 'late', token: '--line-4'}]});
  const latency = timeChart({title: 'Capture to result, ms', lines: [
    {name: 'longest', token: '--line-3'}, {name: 'median', token: '--line-1'}, {name: 'of it waiting', token: '--line-2', fill: true}]});
  const bar = el('div', {class: 'bar'}, el('a', {class: 'back', href: '#wall', 'aria-label': 'All cameras'}, '←'), el('h1', {}, id), state, said);
  let showBoxes = true;
  let status = null;
  let leaving = false;
  let asked = Promise.resolve();

  async function act(action, done = '') {
    setText(error, '');
    try {
      await action();
      setText(said, done);
    } catch (refused) {
      setText(error, refused.message);
    }
  }
  const priority = el('select', {id: 'priority', title: 'Priority', 'aria-label': 'Priority', onchange: () =>
    act(() => api.patch(path, {priority: priority.value}), `served as ${priority.value} from now on`)},
      ...priorities.map((name) => el('option', {}, name)));
  const enabled = el('button', {id: 'enabled', type: 'button', onclick: () =>
    act(async () => {
      await api.patch(path, {enabled: status?.state === 'disabled'});
      await refresh();
    })}, 'Switch off');
  /// Nothing is asked of the camera while it goes: the answer would be that there is none.
  async function remove() {
    if (!confirm(`Remove ${id}?`)) return;
    leaving = true;
    try {
      await Promise.allSettled([asked, view.rest()]);
      await api.remove(path);
      location.hash = '#wall';
    } catch (refused) {
      leaving = false;
      throw refused;
    }
  }
  const boost = () => act(() => api.post(`${path}/boost`, {priority: 'urgent', seconds: 60}), 'served as urgent for a minute');
  const edit = () => act(async () => editCamera(await api.get(path), refresh));
  const toggle = () => {
    showBoxes = !showBoxes;
    view.showBoxes(showBoxes);
    toggleButton.setAttribute('aria-pressed', showBoxes);
  };
  const toggleButton = el('button', {type: 'button', 'aria-pressed': 'true', title: 'Boxes (b)', onclick: toggle}, 'Boxes');
  const frame = el('div', {class: 'picture large'}, view.img, view.canvas);
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen());
  const tools = el('div', {class: 'tools'}, toggleButton, el('button', {type: 'button', title: 'Full screen (f)', onclick: full}, 'Full screen'));
  if (api.mayChange()) {
    tools.append(
        priority,
        el('button', {id: 'boost', type: 'button', title: 'Served first (u)', onclick: boost}, 'Boost for 1 min'),
        enabled,
        el('button', {id: 'edit', type: 'button', title: 'Edit (e)', onclick: edit}, 'Edit'),
        el('button', {id: 'remove', class: 'danger', type: 'button', onclick: () => act(remove)}, 'Remove'));
  }
  bar.append(tools);
  main.append(bar, error, reason, el('div', {class: 'two'},
      el('div', {}, frame, seen, el('div', {class: 'charts'}, rate.node, latency.node)),
      el('div', {class: 'scroll'}, facts)));

  /// Name, text, and which number of /metrics it is.
  function row([name, value, metric]) {
    return el('tr', {}, el('th', {scope: 'row'}, name), el('td', {'data-metric': metric}, value));
  }

  async function refresh() {
    const stats = await api.get(`${path}/stats`).catch((refused) => {
      if (refused.status !== 404) throw refused;
      location.hash = '#wall';  // somebody has removed it
      return null;
    });
    if (!stats) return;
    status = stats;
    state.className = `state ${stats.state}`;
    setText(state, words(stats.state));
    setText(reason, stats.state === 'live' ? '' : stats.reason ?? '');
    setText(enabled, stats.state === 'disabled' ? 'Switch on' : 'Switch off');
    if (stats.state === 'live' && stats.last_frame_age_ms !== null && !view.filled()) view.changed();
    if (!stats.frames) return facts.replaceChildren();
    const {total, queue, inference} = stats.latency_ms;
    const name = (metric, labels = '') => `${metric}{camera="${id}"${labels}}`;
    const drops = Object.entries(stats.frames.dropped).filter(([, count]) => count > 0);
    const rows = [
      ['Newest result', age(stats.last_frame_age_ms)],
      ['In this state', span(stats.in_state_ms / 1000)],
      ['Picture', `${stats.width} × ${stats.height}, ${stats.decoder}${stats.decoder === 'cpu' && stats.decoder_reason !== 'only_place' ? ` (${words(stats.decoder_reason)})` : ''}`],
      ['In, out', `${number(stats.in_per_second, 1)}, ${number(stats.out_per_second, 1)}/s`],
      ['Latency p50, p99', `${number(total.p50)}, ${number(total.p99)} ms`],
      ['– waiting p50', `${number(queue.p50, 1)} ms`],
      ['– network p50', `${number(inference.p50, 1)} ms`],
      ['Received', number(stats.frames.received), name('gantry_frames_received_total')],
      ['Published in time', number(stats.frames.published - stats.frames.published_late), name('gantry_frames_total', ',outcome="published"')],
      ['Published late', number(stats.frames.published_late), name('gantry_frames_total', ',outcome="published_late"')],
      ['In flight', number(stats.frames.in_flight)],
      ['Dropped', stats.frames.received > 0 ? `${number(stats.frames.dropped_total)} (${percent(stats.frames.dropped_total / stats.frames.received)})` : '0'],
      ...drops.map(([why, count]) => [`– ${words(why)}`, number(count), name('gantry_frames_total', `,outcome="${why}"`)]),
      ['Reconnects', number(stats.reconnects), name('gantry_camera_reconnects_total')],
      ['Attempts', number(stats.attempts), name('gantry_camera_connection_attempts_total')],
    ];
    facts.replaceChildren(...rows.map(row));
    setText(seen, boxes.countsOf(id) || 'nothing in the newest picture');
    const seconds = boxes.secondsOf(id);
    rate.show([seconds.map((s) => [s.at, s.results]), seconds.map((s) => [s.at, s.late])]);
    latency.show([seconds.map((s) => [s.at, s.longest]), seconds.map((s) => [s.at, s.median]), seconds.map((s) => [s.at, s.queue])]);
  }

  api.get(path).then((camera) => { priority.value = camera.priority; }, () => {});
  const unlisten = boxes.onDetections((camera) => { if (camera === id && !leaving) view.changed(); });
  const stop = every(1000, async () => {
    if (!leaving) await (asked = refresh());
  });

  async function neighbour(step) {
    const {cameras} = await api.get('/api/v1/cameras');
    const at = cameras.findIndex((camera) => camera.id === id);
    const next = cameras[(at + step + cameras.length) % cameras.length];
    if (next) location.hash = `#camera/${encodeURIComponent(next.id)}`;
  }
  return {
    end() {
      stop();
      unlisten();
      view.end();
      rate.end();
      latency.end();
    },
    keys: {
      b: toggle, f: full, ArrowLeft: () => neighbour(-1), ArrowRight: () => neighbour(1), Escape: () => { location.hash = '#wall'; },
      ...(api.mayChange() ? {u: boost, e: edit} : {}),
    },
  };
}
