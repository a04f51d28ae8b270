// Log-in, the header, and which view is shown: #wall, #camera/ID, #system.
import * as api from './api.js';
import * as boxes from './boxes.js';
import {el, setText} from './dom.js';
import {showWall} from './wall.js';
import {showCamera} from './camera.js';
import {showSystem} from './system.js';

const main = document.getElementById('main');
const logout = document.getElementById('logout');
const link = document.getElementById('link');
let leave = () => {};

function show() {
  leave();
  leave = () => {};
  main.replaceChildren();
  const [view, id] = location.hash.slice(1).split('/');
  for (const a of document.querySelectorAll('header nav a')) {
    if (a.hash === `#${view || 'wall'}`) a.setAttribute('aria-current', 'page');
    else a.removeAttribute('aria-current');
  }
  if (view === 'camera' && id) leave = showCamera(main, decodeURIComponent(id));
  else if (view === 'system') leave = showSystem(main);
  else leave = showWall(main);
}

function enter() {
  logout.hidden = false;
  boxes.listen((text) => setText(link, text));
  window.addEventListener('hashchange', show);
  show();
}

function showLogIn() {
  logout.hidden = true;
  boxes.stop();
  leave();
  leave = () => {};
  window.removeEventListener('hashchange', show);
  const token = el('input', {type: 'password', id: 'token', autocomplete: 'current-password', required: true});
  const error = el('p', {class: 'error', role: 'alert'});
  const form = el('form', {class: 'edit'},
      el('h1', {}, 'Log in'),
      el('label', {for: 'token'}, 'Token', token),
      el('p', {class: 'soft'}, 'Make one with: gantry token create --name me --role operator'),
      error, el('button', {class: 'main', type: 'submit'}, 'Log in'));
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

logout.addEventListener('click', async () => {
  await api.logOut().catch(() => {});
  showLogIn();
});

document.getElementById('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  localStorage.setItem('theme', root.dataset.theme);
});
if (localStorage.getItem('theme')) document.documentElement.dataset.theme = localStorage.getItem('theme');

/// A link that brings its token along: what follows # never leaves the browser, and goes from its history too.
async function logInByLink() {
  const token = location.hash.match(/^#token=(.+)$/)?.[1];
  if (!token) return false;
  history.replaceState(null, '', location.pathname);
  return api.logIn(decodeURIComponent(token)).then(() => true, () => false);
}

if (await logInByLink() || await api.resume()) enter();
else showLogIn();
