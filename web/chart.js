// A small line over the newest five minutes.
import {el, number, setText} from './dom.js';

const kMost = 300;

export class Chart {
  #values = [];
  #canvas = el('canvas', {class: 'chart'});
  #caption = el('figcaption', {class: 'soft'});
  #name;

  constructor(name) {
    this.#name = name;
    this.node = el('figure', {}, this.#caption, this.#canvas);
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > kMost) this.#values.shift();
    const most = Math.max(...this.#values, 1e-9);
    setText(this.#caption, `${this.#name}: ${number(value, 1)} (most ${number(most, 1)})`);
    const canvas = this.#canvas;
    const scale = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    const pen = canvas.getContext('2d');
    pen.strokeStyle = getComputedStyle(canvas).getPropertyValue('color');
    pen.lineWidth = 1.5 * scale;
    pen.beginPath();
    this.#values.forEach((each, i) => {
      const x = (canvas.width * (kMost - this.#values.length + i)) / (kMost - 1);
      const y = canvas.height - (each / most) * (canvas.height - 2 * scale) - scale;
      if (i === 0) pen.moveTo(x, y);
      else pen.lineTo(x, y);
    });
    pen.stroke();
  }
}
