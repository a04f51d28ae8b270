// Calls of the server. Everything goes to the page's own origin with its session cookie.
let session = null;

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function request(method, path, body, headers = {}) {
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET' && session) headers['X-CSRF-Token'] = session.csrf;
  let response;
  try {
    response = await fetch(path, {
      method, headers, credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'the server can\'t be reached');
  }
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (!response.ok) throw new ApiError(response.status, answer?.detail ?? response.statusText);
  return answer;
}

export const get = (path) => request('GET', path);
export const put = (path, body) => request('PUT', path, body);
export const patch = (path, body) => request('PATCH', path, body);
export const post = (path, body) => request('POST', path, body);
export const remove = (path) => request('DELETE', path);

/// The cookie can't be seen from here; this says whether there should be one, so that nobody asks in vain.
const kKnown = 'session';

/// The session that the cookie stands for, or null.
export async function resume() {
  session = null;
  if (!localStorage.getItem(kKnown)) return null;
  try {
    session = await request('GET', '/api/v1/session');
  } catch (error) {
    if (error.status !== 401) throw error;
    localStorage.removeItem(kKnown);
  }
  return session;
}

export async function logIn(token) {
  session = null;
  session = await request('POST', '/api/v1/session', undefined, {Authorization: `Bearer ${token}`});
  localStorage.setItem(kKnown, '1');
  return session;
}

export async function logOut() {
  localStorage.removeItem(kKnown);
  await request('DELETE', '/api/v1/session');
  session = null;
}

export const who = () => session;
export const mayChange = () => session !== null && session.role !== 'viewer';
export const mayAdminister = () => session?.role === 'admin';
export const camera = (id) => `/api/v1/cameras/${encodeURIComponent(id)}`;
