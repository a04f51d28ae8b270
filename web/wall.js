// All cameras: newest picture with boxes, state and age at a glance.
import * as api from './api.js';
import * as boxes from './boxes.js';
import {age, el, number, setText} from './dom.js';
import {editCamera} from './edit.js';
import {every} from './poll.js';

/// A picture that is refreshed when the camera has had a result, at most once a second, while it is on the screen.
function snapshot(id) {
  const img = el('img', {alt: `Newest picture of ${id}`});
  const canvas = el('canvas');
  let asked = 0;
  let seen = false;
  const watch = new IntersectionObserver((entries) => { seen = entries.at(-1).isIntersecting; });
  watch.observe(canvas);
  img.addEventListener('load', () => boxes.draw(canvas, id));
  return {
    node: el('a', {class: 'picture', href: `#camera/${encodeURIComponent(id)}`, 'aria-label': `Open ${id}`}, img, canvas),
    changed() {
      const now = performance.now();
      if (!seen || now - asked < 1000) return;
      asked = now;
      img.src = `${api.camera(id)}/snapshot.jpg?at=${Math.round(now)}`;
    },
    end: () => watch.disconnect(),
  };
}

function makeCard(id) {
  const picture = snapshot(id);
  const state = el('span', {class: 'state'});
  const when = el('span', {class: 'soft'});
  const rate = el('span', {class: 'soft'});
  return {
    picture,
    node: el('article', {class: 'card', 'data-camera': id}, picture.node,
        el('div', {class: 'row'}, el('b', {}, id), state), el('div', {class: 'row'}, when, rate)),
    show(status) {
      state.className = `state ${status.state}`;
      state.title = status.reason ?? '';
      setText(state, status.state.replace('_', ' '));
      setText(when, age(status.last_frame_age_ms));
      setText(rate, `${number(status.out_per_second ?? 0, 1)} results/s`);
    },
  };
}

export function showWall(main) {
  const cards = new Map();
  const wall = el('div', {class: 'wall'});
  const empty = el('p', {class: 'soft', hidden: true}, 'No camera yet. Add one, or write it into the configuration file.');
  const bar = el('div', {class: 'bar'}, el('h1', {}, 'Cameras'));
  if (api.mayChange()) bar.append(el('button', {id: 'add', class: 'main', type: 'button', onclick: () => editCamera(null, refresh)}, 'Add camera'));
  main.append(bar, empty, wall);

  async function refresh() {
    const {cameras} = await api.get('/api/v1/cameras');
    const ids = new Set(cameras.map((camera) => camera.id));
    for (const [id, card] of cards) {
      if (ids.has(id)) continue;
      card.picture.end();
      card.node.remove();
      cards.delete(id);
    }
    for (const camera of cameras) {
      if (!cards.has(camera.id)) {
        const card = makeCard(camera.id);
        cards.set(camera.id, card);
        wall.append(card.node);
      }
      cards.get(camera.id).show(camera.status);
    }
    empty.hidden = cameras.length > 0;
  }

  const unlisten = boxes.onDetections((id) => cards.get(id)?.picture.changed());
  const stop = every(1000, refresh);
  return () => {
    stop();
    unlisten();
    for (const card of cards.values()) card.picture.end();
  };
}
