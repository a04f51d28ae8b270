// Log-in, the header, the keyboard, and which view is shown: #wall, #camera/ID, #system.
import * as api from './api.js';
import * as boxes from './boxes.js';
import {repaint} from './chart.js';
import {el, number, percent, setText} from './dom.js';
import {every} from './poll.js';
import {showWall} from './wall.js';
import {showCamera} from './camera.js';
import {showSystem} from './system.js';

const byId = (id) => document.getElementById(id);
const main = byId('main');
const nothing = {end() {}, keys: {}};
let view = nothing;
let endGlance = () => {};
let linked = true;

function show() {
  view.end();
  view = nothing;
  main.replaceChildren();
  const [name, id] = location.hash.slice(1).split('/');
  for (const a of document.querySelectorAll('#views a')) {
    if (a.hash === `#${name || 'wall'}`) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  if (name === 'camera' && id) view = showCamera(main, decodeURIComponent(id));
  else if (name === 'system') view = showSystem(main);
  else view = showWall(main);
  document.title = name === 'camera' && id ? `${decodeURIComponent(id)} – Gantry` : name === 'system' ? 'System – Gantry' : 'Gantry';
  main.focus({preventScroll: true});
}

/// What is wrong with the whole, whatever view is open.
function notice(config) {
  const text = !linked ? 'The server does not answer. What you see is old; trying again.'
      : config && !config.good ? `The configuration file was refused and the old one goes on: ${config.reason}` : '';
  byId('notice').hidden = text === '';
  setText(byId('notice'), text);
}

let config = null;
async function glance() {
  const s = await api.get('/api/v1/system');
  config = s.config;
  notice(config);
  const states = s.cameras.states;
  const live = states.live ?? 0;
  const trouble = (states.failed ?? 0) + (states.backing_off ?? 0) + (states.stalled ?? 0);
  const mood = s.load.headroom < 0.05 ? 'bad' : s.load.headroom < 0.2 ? 'warn' : 'good';
  byId('glance').replaceChildren(...[
      el('span', {class: 'chip good'}, `${number(live)} live`),
      trouble > 0 && el('span', {class: 'chip bad'}, `${number(trouble)} in trouble`),
      s.load.capacity_fps > 0 && el('span', {class: `chip ${mood}`, title: '1 − demand in five minutes ÷ capacity'}, `headroom ${percent(s.load.headroom)}`),
      s.load.degrade_step > 0 && el('span', {class: 'chip bad'}, `degraded: ${s.load.degrade_reason}`),
  ].filter(Boolean));
}

function enter() {
  for (const id of ['views', 'help', 'logout']) byId(id).hidden = false;
  setText(byId('logout'), 'Log out');
  byId('logout').title = `${api.who().name}, ${api.who().role}`;
  boxes.listen((there) => {
    linked = there;
    notice(config);
  });
  endGlance();
  endGlance = every(3000, glance);
  window.addEventListener('hashchange', show);
  show();
}

function showLogIn() {
  for (const id of ['views', 'help', 'logout', 'notice']) byId(id).hidden = true;
  endGlance();
  byId('glance').replaceChildren();
  boxes.stop();
  view.end();
  view = nothing;
  window.removeEventListener('hashchange', show);
  const token = el('input', {type: 'password', id: 'token', autocomplete: 'current-password', required: true, placeholder: 'gantry_…'});
  const error = el('p', {class: 'error', role: 'alert'});
  const form = el('form', {class: 'edit login'},
      el('h1', {}, 'Log in'),
      el('label', {for: 'token'}, 'Token', token), error,
      el('button', {class: 'main', type: 'submit'}, 'Log in'),
      el('p', {class: 'soft'}, 'The server prints a first token when it is started for the first time. Make others with'),
      el('code', {}, 'gantry token create --name me --role operator'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      await api.logIn(token.value.trim());
      enter();
    } catch (refused) {
      setText(error, refused.message);
      token.select();
    }
  });
  main.replaceChildren(form);
  token.focus();
}

byId('logout').addEventListener('click', async () => {
  await api.logOut().catch(() => {});
  showLogIn();
});

function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  localStorage.setItem('theme', root.dataset.theme);
  repaint();
}
byId('theme').addEventListener('click', turnTheme);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
if (localStorage.getItem('theme')) document.documentElement.dataset.theme = localStorage.getItem('theme');

function showHelp() {
  const row = (keys, what) => el('tr', {}, el('td', {}, ...keys.map((key) => el('kbd', {}, key))), el('td', {}, what));
  const dialog = el('dialog', {class: 'help'},
      el('h2', {}, 'Keyboard'),
      el('table', {},
          row(['w'], 'all cameras'), row(['s'], 'system'), row(['/'], 'find a camera'), row(['a'], 'add a camera'),
          row(['←', '→', '↑', '↓'], 'go from camera to camera'), row(['Enter'], 'open the camera'),
          row(['Esc'], 'back'), row(['b'], 'boxes on or off'), row(['f'], 'full screen'), row(['u'], 'boost the camera for a minute'),
          row(['e'], 'edit the camera'), row(['t'], 'dark or light'), row(['?'], 'this')),
      el('form', {method: 'dialog', class: 'bar'}, el('button', {class: 'main'}, 'Close')));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
byId('help').addEventListener('click', showHelp);

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, select, textarea, dialog');
  if (!api.who() || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = {
    w: () => { location.hash = '#wall'; },
    s: () => { location.hash = '#system'; },
    t: turnTheme,
    '?': showHelp,
    ...view.keys,
  };
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

/// A link that brings its token along: what follows # never leaves the browser, and goes from its history too.
async function logInByLink() {
  const token = location.hash.match(/^#token=(.+)$/)?.[1];
  if (!token) return false;
  history.replaceState(null, '', location.pathname);
  return api.logIn(decodeURIComponent(token)).then(() => true, () => false);
}

if (await logInByLink() || await api.resume()) enter();
else showLogIn();
