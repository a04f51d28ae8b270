// Devices, classes of priority, load and drops of the whole server.
import * as api from './api.js';
import {el, number, setText} from './dom.js';
import {every} from './poll.js';

function table(heads, rows) {
  return el('div', {class: 'scroll'}, el('table', {},
      el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', {}, head)))),
      el('tbody', {}, ...rows.map((row) => el('tr', {}, ...row.map((cell) => el('td', {}, cell)))))));
}

export function showSystem(main) {
  const body = el('div');
  const error = el('p', {class: 'error', role: 'alert'});
  main.append(el('div', {class: 'bar'}, el('h1', {}, 'System')), error, body);

  function drainButton(device) {
    const draining = device.state === 'draining';
    return el('button', {type: 'button', onclick: async () => {
      try {
        await api.post(`/api/v1/devices/${encodeURIComponent(device.id)}/drain`, {draining: !draining});
        await refresh();
      } catch (refused) {
        setText(error, refused.message);
      }
    }}, draining ? 'Take back' : 'Drain');
  }

  async function refresh() {
    const s = await api.get('/api/v1/system');
    const percent = (ratio) => `${number(ratio * 100)} %`;
    const drops = Object.entries(s.frames.dropped).filter(([, count]) => count > 0);
    body.replaceChildren(
        el('h2', {}, 'Load'),
        table(['Demand now', 'Demand in 5 min', 'Capacity', 'Headroom', 'Degrade step', 'Batch efficiency'], [[
          `${number(s.load.demand_fps, 1)} fps`, `${number(s.load.demand_5min_fps, 1)} fps`,
          `${number(s.load.capacity_fps, 1)} fps`, percent(s.load.headroom),
          `${s.load.degrade_step} ${s.load.degrade_reason}`, percent(s.load.batch_efficiency)]]),
        el('h2', {}, 'Devices'),
        table(['Device', 'State', 'Breaker', 'Busy', 'Cameras', 'Waiting', 'Running', 'Batches', 'Frames a batch', 'Errors', ''],
            s.devices.map((d) => [d.id, d.state ?? '–', d.breaker ?? '–', `${number(d.utilization_percent)} %`, number(d.cameras),
              number(d.waiting), number(d.running), number(d.batches), number(d.mean_batch, 1), number(d.errors + d.timeouts),
              api.mayChange() ? drainButton(d) : ''])),
        el('h2', {}, 'Priorities'),
        table(['Priority', 'Received', 'Published', 'Late', 'Dropped', 'In flight', 'Wait p50', 'Wait p99', 'Latency p50', 'Latency p99'],
            s.priorities.map((p) => [p.priority, number(p.frames.received), number(p.frames.published),
              number(p.frames.published_late), number(p.frames.dropped_total), number(p.frames.in_flight),
              ...[p.queue_wait_ms.p50, p.queue_wait_ms.p99, p.latency_ms.p50, p.latency_ms.p99].map((ms) => `${number(ms, 1)} ms`)])),
        el('h2', {}, 'Drops'),
        drops.length ? table(['Reason', 'Frames'], drops.map(([why, count]) => [why.replaceAll('_', ' '), number(count)])) : el('p', {class: 'soft'}, 'none'),
        el('p', {class: 'soft'}, `Gantry ${s.version}, ${s.model.name} ${s.model.precision}, up ${number(s.uptime_seconds / 60)} min, ` +
          `${number(s.process.resident_bytes / 1e6)} MB, ${s.process.descriptors} descriptors, ${s.http.connections} connections, ${s.http.streams} streams`));
  }
  return every(2000, refresh);
}
