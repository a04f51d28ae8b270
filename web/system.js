// The whole server: load and forecast, devices, classes of priority, drops, memory, configuration.
import * as api from './api.js';
import {timeChart} from './chart.js';
import {bytes, el, meter, number, percent, setText, span, table, words} from './dom.js';
import {every} from './poll.js';

const kKept = 300;  // seconds
/// Readings since the page was opened, so that the charts go on where they were left.
const history = [];

/// Rates between two readings of this page, each [seconds from now, value or null].
function overTime(value) {
  const now = history.at(-1)?.at ?? 0;
  return history.slice(1).map((reading, i) => {
    const before = history[i];
    const seconds = (reading.at - before.at) / 1000;
    return [(reading.at - now) / 1000, value(reading.system, before.system, seconds)];
  });
}

function tile(name, value, note, mood = '') {
  return el('div', {class: `tile ${mood}`}, el('span', {class: 'soft'}, name), value instanceof Node ? value : el('b', {}, value), el('span', {class: 'soft'}, note));
}
const shown = (metric, text) => el('b', {'data-metric': metric}, text);
const breakers = {closed: 'good', half_open: 'warn', open: 'bad'};
const states = {up: 'good', draining: 'warn', down: 'bad'};

export function showSystem(main) {
  const error = el('p', {class: 'error', role: 'alert'});
  const tiles = el('div', {class: 'tiles'});
  const body = el('div');
  const dropReasons = ['rate_limited', 'superseded', 'expired', 'predicted_late', 'shed', 'decode_error', 'engine_error'];
  const forecast = timeChart({title: 'Frames to run a second: arrived, and predicted five minutes before', unit: '/s', from: -1800, to: 300, step: 300, wide: true, lines: [
    {name: 'arrived', token: '--line-1', fill: true}, {name: 'predicted', token: '--line-2', dashed: true}, {name: 'capacity', token: '--line-4'}]});
  const day = timeChart({title: 'Expected over the next day, by time of day', unit: '/s', from: 0, to: 86400, step: 10800, lines: [{name: 'expected', token: '--line-2', fill: true}]});
  const busy = timeChart({title: 'Devices busy, %', lines: [{name: 'busiest', token: '--line-3'}, {name: 'mean', token: '--line-1', fill: true}]});
  const waits = timeChart({title: 'Frames waiting', lines: [{name: 'waiting', token: '--line-1', fill: true}]});
  const drops = timeChart({title: 'Drops a second, by reason', unit: '/s', stacked: true,
    lines: dropReasons.map((reason, i) => ({name: words(reason), token: `--line-${i + 1}`, fill: true}))});
  const results = timeChart({title: 'Results a second', unit: '/s', lines: [{name: 'all', token: '--line-1', fill: true}, {name: 'late', token: '--line-4'}]});
  day.node.hidden = true;
  main.append(el('div', {class: 'bar'}, el('h1', {}, 'System')), error, tiles,
      el('div', {class: 'charts'}, forecast.node, day.node, drops.node, results.node, busy.node, waits.node), body);

  async function act(action) {
    setText(error, '');
    try {
      await action();
    } catch (refused) {
      setText(error, refused.message);
    }
    await refresh();
  }
  function drainButton(device) {
    const draining = device.state === 'draining';
    return el('button', {type: 'button', onclick: () =>
      act(() => api.post(`/api/v1/devices/${encodeURIComponent(device.id)}/drain`, {draining: !draining}))}, draining ? 'Take back' : 'Drain');
  }
  const marked = (text, mood) => el('span', {class: `mark ${mood ?? ''}`}, words(text));

  function devices(s) {
    return table(['Device', 'State', 'Breaker', 'Busy', 'Memory', 'Load', 'Cameras', 'Waiting', 'Running', 'Batches', 'Frames a batch', 'Slowdown', 'Errors', ''],
        s.devices.map((d) => [d.id, marked(d.state ?? '–', states[d.state]), marked(d.breaker ?? '–', breakers[d.breaker]),
          el('span', {}, meter(d.utilization_percent / 100), ` ${number(d.utilization_percent)} %`),
          d.memory ? `${bytes(d.memory.used_bytes)} of ${bytes(d.memory.total_bytes)}` : '–',
          percent(d.load ?? 0), number(d.cameras), number(d.waiting), number(d.running),
          {metric: `gantry_device_batches_total{device="${d.id}"}`, text: number(d.batches)}, number(d.mean_batch, 1), `${number(d.slowdown, 2)} ×`,
          {metric: `gantry_device_errors_total{device="${d.id}"}`, text: number(d.errors)},
          api.mayChange() ? drainButton(d) : '']));
  }
  function priorities(s) {
    return table(['Priority', 'Received', 'Published', 'Late', 'Dropped', 'In flight', 'Wait p50', 'Wait p99', 'Latency p50', 'Latency p99'],
        s.priorities.map((p) => [el('span', {class: `badge ${p.priority}`}, p.priority), number(p.frames.received), number(p.frames.published),
          number(p.frames.published_late), number(p.frames.dropped_total), number(p.frames.in_flight),
          ...[p.queue_wait_ms.p50, p.queue_wait_ms.p99, p.latency_ms.p50, p.latency_ms.p99].map((ms) => `${number(ms, 1)} ms`)]));
  }
  function dropTable(s) {
    const reasons = Object.entries(s.frames.dropped).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
    if (reasons.length === 0) return el('p', {class: 'soft'}, 'none');
    return table(['Reason', 'Frames', 'Of all received'], reasons.map(([why, count]) => [words(why), number(count),
      el('span', {}, meter(count / s.frames.received, why === 'rate_limited' ? 'good' : 'warn'), ` ${percent(count / s.frames.received, 1)}`)]));
  }
  function configuration(s) {
    if (!s.config) return el('p', {class: 'soft'}, 'started without a file');
    const c = s.config;
    return el('div', {},
        el('p', {}, el('code', {}, c.file), ' ', marked(c.good ? 'in force' : 'refused', c.good ? 'good' : 'bad'),
            el('span', {class: 'soft'}, ` read ${span(c.age_seconds)} ago, taken over ${number(c.reloads)} times since start, refused ${number(c.refused)} times`)),
        !c.good && el('pre', {class: 'error'}, c.reason),
        api.mayAdminister() && el('button', {id: 'reload', type: 'button', onclick: () => act(() => api.post('/api/v1/config/reload'))}, 'Read it again'));
  }

  async function refresh() {
    const [s, load] = await Promise.all([api.get('/api/v1/system'), api.get('/api/v1/load')]);
    history.push({at: Date.now(), system: s});
    while (history.length > 2 && history[0].at < Date.now() - kKept * 1000) history.shift();
    const {headroom} = s.load;
    const mood = headroom < 0.05 ? 'bad' : headroom < 0.2 ? 'warn' : 'good';
    const perSecond = (key) => overTime((now, before, seconds) => Math.max(0, now.frames[key] - before.frames[key]) / seconds);
    const rates = perSecond('published');
    tiles.replaceChildren(
        tile('Results', rates.length > 0 ? `${number(rates.at(-1)[1], 1)}/s` : '–', `${number(s.frames.published)} since start`),
        tile('Demand', `${number(s.load.demand_fps, 1)}/s`, `${number(s.load.demand_5min_fps, 1)}/s in five minutes`),
        tile('Capacity', shown('gantry_capacity_frames_per_second', `${number(s.load.capacity_fps, 1)}`), 'frames/s'),
        tile('Headroom', percent(headroom), 'in five minutes', mood),
        tile('Degraded', shown('gantry_degrade_step', `${s.load.degrade_step}`), s.load.degrade_reason || 'no', s.load.degrade_step > 0 ? 'bad' : ''),
        tile('Full batches', percent(s.load.batch_efficiency), 'of what they could hold'),
        tile('Memory', bytes(s.process.resident_bytes), `${number(s.process.descriptors)} descriptors`),
        tile('Up', span(s.uptime_seconds), `Gantry ${s.version}`));
    forecast.show([load.arrived_fps, load.predicted_fps, load.capacity_fps === null ? [] : [[-1800, load.capacity_fps], [300, load.capacity_fps]]]);
    day.node.hidden = load.day_fps.length < 2;
    day.show([load.day_fps]);
    const use = (d) => d.utilization_percent;
    results.show([rates, perSecond('published_late')]);
    busy.show([overTime((now) => Math.max(...now.devices.map(use))), overTime((now) => now.devices.reduce((sum, d) => sum + use(d), 0) / now.devices.length)]);
    waits.show([overTime((now) => now.devices.reduce((sum, d) => sum + (d.waiting ?? 0), 0))]);
    drops.show(dropReasons.map((reason) => overTime((now, before, seconds) => Math.max(0, now.frames.dropped[reason] - before.frames.dropped[reason]) / seconds)));
    const pools = s.pools.map((p) => [p.pool, bytes(p.block_bytes), number(p.in_use), number(p.high_water), number(p.blocks), number(p.exhausted)]);
    body.replaceChildren(
        el('h2', {}, 'Devices'), devices(s),
        el('h2', {}, 'Queue by priority'), priorities(s),
        el('div', {class: 'halves'},
            el('section', {}, el('h2', {}, 'Drops by reason'), dropTable(s)),
            el('section', {}, el('h2', {}, 'Pools of memory'), pools.length ? table(['Pool', 'Block', 'In use', 'Most', 'Blocks', 'Exhausted'], pools) : el('p', {class: 'soft'}, 'nothing on loan'))),
        el('h2', {}, 'Configuration'), configuration(s),
        el('p', {class: 'soft'}, `${s.model.name} ${s.model.precision}, ${number(s.model.classes.length)} classes; ${number(s.http.connections)} HTTP connections, ${number(s.http.streams)} streams, ` +
          `${number(s.http.refused_requests + s.http.refused_connections)} refused, ${number(s.http.events_missed)} events missed by slow readers`));
  }
  const stop = every(2000, refresh);
  return {
    end() {
      stop();
      for (const chart of [forecast, day, results, busy, waits, drops]) chart.end();
    },
    keys: {Escape: () => { location.hash = '#wall'; }},
  };
}
