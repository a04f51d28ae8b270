// One camera large: live pictures with boxes, numbers, its latency and rate over the last minutes.
import * as api from './api.js';
import * as boxes from './boxes.js';
import {Chart} from './chart.js';
import {age, el, number, setText} from './dom.js';
import {editCamera} from './edit.js';
import {every} from './poll.js';

export function showCamera(main, id) {
  const path = api.camera(id);
  const canvas = el('canvas');
  const img = el('img', {alt: `Live picture of ${id}`, src: `${path}/live.mjpg`});
  const state = el('span', {class: 'state'});
  const facts = el('table');
  const error = el('p', {class: 'error', role: 'alert'});
  const rate = new Chart('results a second');
  const latency = new Chart('latency p50, ms');
  const bar = el('div', {class: 'bar'}, el('h1', {}, id), state);

  async function act(action) {
    setText(error, '');
    try {
      await action();
    } catch (refused) {
      setText(error, refused.message);
    }
  }
  if (api.mayChange()) {
    bar.append(
        el('button', {type: 'button', onclick: () => act(() => api.post(`${path}/boost`, {priority: 'urgent', seconds: 60}))}, 'Boost for 1 min'),
        el('button', {type: 'button', onclick: () => act(async () => editCamera(await api.get(path), refresh))}, 'Edit'),
        el('button', {id: 'remove', class: 'danger', type: 'button', onclick: () => act(async () => {
          if (!confirm(`Remove ${id}?`)) return;
          await api.remove(path);
          location.hash = '#wall';
        })}, 'Remove'));
  }
  main.append(bar, error, el('div', {class: 'two'}, el('div', {class: 'picture'}, img, canvas),
      el('div', {}, el('div', {class: 'scroll'}, facts), rate.node, latency.node)));

  async function refresh() {
    const stats = await api.get(`${path}/stats`);
    state.className = `state ${stats.state}`;
    setText(state, stats.state.replace('_', ' '));
    if (!stats.frames) return facts.replaceChildren();
    const total = stats.latency_ms.total;
    const rows = [
      ['Newest result', age(stats.last_frame_age_ms)], ['Picture', `${stats.width} × ${stats.height}`],
      ['In, out', `${number(stats.in_per_second, 1)}, ${number(stats.out_per_second, 1)} frames/s`],
      ['Latency p50, p99', `${number(total.p50)}, ${number(total.p99)} ms`],
      ['Received', number(stats.frames.received)], ['Published', number(stats.frames.published)],
      ['Late', number(stats.frames.published_late)], ['Dropped', number(stats.frames.dropped_total)],
      ...Object.entries(stats.frames.dropped).filter(([, count]) => count > 0).map(([why, count]) => [`– ${why.replaceAll('_', ' ')}`, number(count)]),
      ['In flight', number(stats.frames.in_flight)], ['Connections', number(stats.connections)],
    ];
    facts.replaceChildren(...rows.map(([name, value]) => el('tr', {}, el('td', {}, name), el('td', {}, value))));
    if (stats.reason) state.title = stats.reason;
    rate.add(stats.out_per_second);
    latency.add(total.p50);
  }

  const unlisten = boxes.onDetections((camera) => { if (camera === id) boxes.draw(canvas, id); });
  const stop = every(1000, refresh);
  return () => {
    stop();
    unlisten();
    img.src = '';  // ends the stream
  };
}
