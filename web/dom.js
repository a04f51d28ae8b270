/// el('p', {class: 'soft', onclick: f}, 'text', child): text is never parsed as HTML. A child that is null or false is
/// left out.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const number = (value, digits = 0) =>
  value === null || value === undefined ? '–' : value.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: 'negative'});
export const percent = (ratio, digits = 0) => `${number(ratio * 100, digits)} %`;
export const words = (name) => name.replaceAll('_', ' ');

export function bytes(count) {
  if (count === null || count === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    ++unit;
  }
  return `${number(count, unit > 0 && count < 100 ? 1 : 0)} ${units[unit]}`;
}

export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${number(seconds / 3600, 1)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function age(ms) {
  if (ms === null || ms === undefined) return 'no frame yet';
  return ms < 10000 ? `${(ms / 1000).toFixed(1)} s ago` : `${span(ms / 1000)} ago`;
}

/// A table in a box that scrolls where it is too wide. A cell is text, a node, or {metric, text}: such a cell says which
/// number of /metrics it shows.
export function table(heads, rows) {
  const cell = (content) => {
    if (content instanceof Node) return el('td', {}, content);
    if (typeof content === 'object') return el('td', {'data-metric': content.metric}, content.text);
    return el('td', {}, content);
  };
  return el('div', {class: 'scroll'}, el('table', {},
      el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', {scope: 'col'}, head)))),
      el('tbody', {}, ...rows.map((row) => el('tr', {}, ...row.map(cell))))));
}

/// A bar that is `ratio` full; `mood` is good, warn or bad.
export function meter(ratio, mood = 'good') {
  const inner = el('i', {class: mood});
  inner.style.width = `${Math.max(0, Math.min(1, ratio)) * 100}%`;
  return el('span', {class: 'meter', 'aria-hidden': 'true'}, inner);
}
