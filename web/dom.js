/// el('p', {class: 'soft', onclick: f}, 'text', child): text is never parsed as HTML.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const number = (value, digits = 0) =>
  value === null || value === undefined ? '–' : value.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits});

export function age(ms) {
  if (ms === null || ms === undefined) return 'no frame yet';
  return ms < 10000 ? `${(ms / 1000).toFixed(1)} s ago` : `${Math.round(ms / 1000)} s ago`;
}
