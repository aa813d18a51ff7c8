import { call, element, signIn, signInFromAddress } from '/assets/session.js';

const EVENTS_SHOWN_MAX = 200;
const form = document.getElementById('sign-in');
const overview = document.getElementById('overview');

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    await signIn(new FormData(form).get('token'));
    await show();
  } catch (error) {
    form.querySelector('.error').textContent = error.message;
  }
});

async function show() {
  let status;
  try {
    status = await call('system.status', {});
  } catch (error) {
    if (error.code !== 'unauthenticated') throw error;
    form.hidden = false;
    return;
  }
  form.hidden = true;
  overview.hidden = false;
  const facts = Object.entries(status).filter(([, value]) => typeof value !== 'object');
  document.getElementById('status').replaceChildren(
    ...facts.flatMap(([name, value]) => [element('dt', name), element('dd', String(value))]),
  );
  await showPlugins();
  listen();
}

async function showPlugins() {
  const rows = (await call('plugin.list', {})).map((plugin) => {
    const row = element('tr');
    const state = plugin.reason ? `${plugin.state}: ${plugin.reason}` : plugin.state;
    row.append(...[plugin.name, plugin.version, state, plugin.description].map((text) => element('td', text)));
    return row;
  });
  document.getElementById('plugins').replaceChildren(...rows);
}

/** Events as they happen. The host closes the socket when it ends; then this tries again until it is back. */
function listen() {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`, 'midplane.v1');
  socket.onopen = () => socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'event.subscribe', params: { patterns: ['**'] } }));
  const live = document.getElementById('live');
  socket.onclose = () => {
    live.textContent = 'the host is away';
    setTimeout(listen, 2000);
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id === 1) live.textContent = message.error ? message.error.message : 'listening';
    if (message.method !== 'event') return;
    const { time, topic, payload } = message.params;
    const list = document.getElementById('events');
    list.prepend(element('li', `${time} ${topic} ${JSON.stringify(payload)}`));
    while (list.children.length > EVENTS_SHOWN_MAX) list.lastChild.remove();
    if (topic.startsWith('plugin.')) showPlugins();
  };
}

try {
  await signInFromAddress();
} catch (error) {
  form.querySelector('.error').textContent = error.message;
}
await show();
