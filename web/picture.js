// The newest picture of a camera with the boxes of that very frame. It is asked for when the camera has had a result,
// while it is on the screen, one request at a time, so a slow link sees fewer pictures and never older ones.
import * as api from './api.js';
import * as boxes from './boxes.js';
import {el} from './dom.js';

/// @param least milliseconds between two pictures
export function picture(id, least) {
  const img = el('img', {alt: `Newest picture of ${id}`});
  const canvas = el('canvas');
  let result = null;
  let shown = true;
  let there = false;
  let seen = false;
  let asking = false;
  let again = false;
  let asked = 0;
  let timer = 0;
  let ended = false;
  let held = null;
  let running = Promise.resolve();

  const paint = () => boxes.draw(canvas, shown ? result : null);

  async function ask() {
    timer = 0;
    asking = true;
    again = false;
    asked = performance.now();
    try {
      const answer = await fetch(`${api.camera(id)}/snapshot.jpg`, {credentials: 'same-origin', cache: 'no-store'});
      if (answer.status === 200 && !ended) {  // 204: the camera has none yet
        const seq = Number(answer.headers.get('X-Frame-Seq'));
        const url = URL.createObjectURL(await answer.blob());
        const before = held;
        held = url;
        img.src = url;
        await img.decode();
        if (before) URL.revokeObjectURL(before);
        result = boxes.resultOf(id, seq);
        paint();
      }
    } catch {
      // The link is down; the next result asks again.
    }
    asking = false;
    if (again) askSoon();
  }

  function askSoon() {
    if (ended || !seen || !there) return;
    if (asking || timer) {
      again = true;
      return;
    }
    timer = setTimeout(() => { running = ask(); }, Math.max(0, asked + least - performance.now()));
  }

  const watch = new IntersectionObserver((entries) => {
    seen = entries.at(-1).isIntersecting;
    askSoon();
  });
  watch.observe(canvas);
  const resize = new ResizeObserver(paint);
  resize.observe(canvas);
  return {
    img, canvas,
    /// The camera has a picture: a first or a new one.
    changed() {
      there = true;
      askSoon();
    },
    /// Asks for nothing until it is told of a picture; resolves when no request is under way.
    rest() {
      there = again = false;
      clearTimeout(timer);
      timer = 0;
      return running;
    },
    /// Whether one is shown.
    filled: () => held !== null,
    showBoxes(yes) {
      shown = yes;
      paint();
    },
    end() {
      ended = true;
      clearTimeout(timer);
      watch.disconnect();
      resize.disconnect();
      if (held) URL.revokeObjectURL(held);
    },
  };
}
