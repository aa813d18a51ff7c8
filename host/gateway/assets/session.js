// Who is looking: a token from the address or the form becomes a cookie that no script can read, and is forgotten.

/** Exchanges a token for the cookie. */
export async function signIn(token) {
  const response = await fetch('/auth/exchange', { method: 'POST', headers: { authorization: `Bearer ${token}` } });
  if (!response.ok) throw new Error((await response.json()).detail);
}

/** Takes the token out of the address, where it would stay in the history. */
export async function signInFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  history.replaceState(null, '', location.pathname + location.search);
  await signIn(token);
}

/** Calls a method; an error of the host is thrown with its code and message. */
export async function call(method, params) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch('/rpc', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const answer = await response.json();
  if (response.status === 401) throw Object.assign(new Error(answer.detail), { code: 'unauthenticated' });
  if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.data?.code });
  return answer.result;
}

/** An element with text; text is never markup. */
export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
