// All cameras: newest picture with boxes, state and age at a glance.
import * as api from './api.js';
import * as boxes from './boxes.js';
import {age, el, number, setText, span, words} from './dom.js';
import {editCamera} from './edit.js';
import {picture} from './picture.js';
import {every} from './poll.js';

const trouble = (state) => ['failed', 'backing_off', 'stalled'].includes(state);
const filters = {all: () => true, live: (state) => state === 'live', trouble};

/// How old a picture may be before it is shown as old: three times the pause between the camera's results.
function mood(status) {
  if (status.state !== 'live') return '';
  const usual = 3000 / Math.max(status.out_per_second || 0.3, 0.3);
  return status.last_frame_age_ms > Math.max(10 * usual, 20000) ? 'bad' : status.last_frame_age_ms > Math.max(usual, 2000) ? 'warn' : '';
}

function makeCard(id, least) {
  const view = picture(id, least);
  const state = el('span', {class: 'state'});
  const when = el('span', {class: 'age'});
  const rate = el('span', {class: 'soft'});
  const seen = el('span', {class: 'soft counts'});
  const badge = el('span', {class: 'badge', hidden: true});
  const why = el('span', {class: 'why', hidden: true});
  const link = el('a', {class: 'picture', href: `#camera/${encodeURIComponent(id)}`, 'aria-label': `Open ${id}`},
      view.img, view.canvas, badge, why);
  return {
    view, link,
    node: el('article', {class: 'card', 'data-camera': id}, link,
        el('div', {class: 'row'}, el('b', {title: id}, id), state),
        el('div', {class: 'row'}, when, rate, seen)),
    show(camera) {
      const {status} = camera;
      state.className = `state ${status.state}`;
      setText(state, words(status.state));
      when.className = `age soft ${mood(status)}`;
      setText(when, status.state === 'disabled' ? 'switched off' : age(status.last_frame_age_ms));
      setText(rate, status.out_per_second ? `${number(status.out_per_second, 1)}/s` : '');
      setText(seen, status.state === 'live' ? boxes.countsOf(id) : '');
      badge.hidden = camera.priority === 'normal';
      badge.className = `badge ${camera.priority}`;
      setText(badge, camera.priority);
      why.hidden = !trouble(status.state);
      setText(why, status.reason + (status.retry_in_ms > 0 ? `; next attempt in ${span(Math.max(0, status.retry_in_ms - status.in_state_ms) / 1000)}` : ''));
      if (status.state === 'live' && status.last_frame_age_ms !== null && !view.filled()) view.changed();
      this.state = status.state;
    },
  };
}

export function showWall(main) {
  const cards = new Map();
  const wall = el('div', {class: 'wall'});
  const empty = el('div', {class: 'empty', hidden: true},
      el('h2', {}, 'No camera yet'),
      el('p', {class: 'soft'}, 'Add one here, or write it into the configuration file.'));
  const find = el('input', {type: 'search', id: 'find', placeholder: 'Find', 'aria-label': 'Find a camera', autocomplete: 'off'});
  const buttons = Object.fromEntries(Object.keys(filters).map((name) => [name, el('button', {type: 'button', class: 'quiet', 'aria-pressed': String(name === 'all'), onclick: () => choose(name)}, name)]));
  let chosen = 'all';
  const size = el('input', {type: 'range', min: 200, max: 640, step: 20, 'aria-label': 'Size of the pictures', title: 'Size of the pictures',
    value: localStorage.getItem('card') ?? 320});
  const bar = el('div', {class: 'bar'}, el('h1', {}, 'Cameras'), el('div', {class: 'group', role: 'group', 'aria-label': 'Which cameras'}, ...Object.values(buttons)), find, size);
  const add = () => editCamera(null, refresh);
  if (api.mayChange()) {
    bar.append(el('button', {id: 'add', class: 'main', type: 'button', onclick: add}, 'Add camera'));
    empty.append(el('button', {class: 'main', type: 'button', onclick: add}, 'Add camera'));
  }
  main.append(bar, empty, wall);

  function resize() {
    wall.style.setProperty('--card-width', `${size.value}px`);
    localStorage.setItem('card', size.value);
  }
  size.addEventListener('input', resize);
  resize();

  function filter() {
    const text = find.value.trim().toLowerCase();
    for (const [id, card] of cards) card.node.hidden = !(id.toLowerCase().includes(text) && filters[chosen](card.state));
  }
  find.addEventListener('input', filter);
  find.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') wall.querySelector('.card:not([hidden]) a')?.focus();
    if (event.key === 'Escape') {
      find.value = '';
      filter();
      find.blur();
    }
  });
  function choose(name) {
    chosen = name;
    for (const [each, button] of Object.entries(buttons)) button.setAttribute('aria-pressed', each === name);
    filter();
  }

  async function refresh() {
    const {cameras} = await api.get('/api/v1/cameras');
    const ids = new Set(cameras.map((camera) => camera.id));
    for (const [id, card] of cards) {
      if (ids.has(id)) continue;
      card.view.end();
      card.node.remove();
      cards.delete(id);
    }
    for (const camera of cameras) {
      if (!cards.has(camera.id)) {
        const card = makeCard(camera.id, cameras.length > 16 ? 1000 : 400);
        cards.set(camera.id, card);
        wall.append(card.node);
      }
      cards.get(camera.id).show(camera);
    }
    for (const [name, button] of Object.entries(buttons))
      setText(button, `${name} ${cameras.filter((camera) => filters[name](camera.status.state)).length}`);
    empty.hidden = cameras.length > 0;
    filter();
  }

  /// To the next card in a direction, as the grid stands now.
  function go(dx, dy) {
    const links = [...wall.querySelectorAll('.card:not([hidden]) a')];
    const at = links.indexOf(document.activeElement);
    if (at < 0) return links[0]?.focus();
    const columns = getComputedStyle(wall).gridTemplateColumns.split(' ').length;
    links[at + dx + dy * columns]?.focus();
  }

  const unlisten = boxes.onDetections((id) => cards.get(id)?.view.changed());
  const stop = every(1000, refresh);
  return {
    end() {
      stop();
      unlisten();
      for (const card of cards.values()) card.view.end();
    },
    keys: {
      '/': () => find.focus(),
      ...(api.mayChange() ? {a: add} : {}),
      ArrowLeft: () => go(-1, 0), ArrowRight: () => go(1, 0), ArrowUp: () => go(0, -1), ArrowDown: () => go(0, 1),
    },
  };
}
