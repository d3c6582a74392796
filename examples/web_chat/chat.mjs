// One end of the chat. Lines that were written are kept in localStorage, for the screen; all that must not be lost is
// the messenger's.

import { open } from './package/ilm.mjs';

const server = 'chat';
const fates = ['unsent', 'on its way', 'delivered'];
const [unsent, on_its_way, delivered] = fates;

const element = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const me = asked.get('me') ?? '';
const to = asked.get('to') ?? '';
const is_name = (name) => /^[a-z0-9]{1,32}$/.test(name);

/// What is on the screen, kept for the next load: lines of {id, from, text, fate}.
class Transcript {
  #key = `ilm chat ${me} ${to}`;
  #lines = JSON.parse(localStorage.getItem(this.#key) ?? '[]');

  constructor() {
    for (const line of this.#lines) this.#show(line);
  }
  add(line) {
    // A line that comes again, since the page went before it was done with it, is there already.
    if (this.#lines.some(({ id, from }) => id === line.id && from === line.from)) return;
    this.#lines.push(line);
    this.#store();
    this.#show(line);
  }
  set(id, fate) {
    const line = this.#lines.find((l) => l.from === me && l.id === id);
    if (!line || fates.indexOf(fate) <= fates.indexOf(line.fate)) return;
    line.fate = fate;
    this.#store();
    const shown = element(`line-${id}`);
    if (shown) shown.querySelector('.fate').textContent = fate;
  }
  with_fate(fate) {
    return this.#lines.filter((line) => line.from === me && line.fate === fate);
  }

  #store() {
    localStorage.setItem(this.#key, JSON.stringify(this.#lines));
  }
  #show({ id, from, text, fate }) {
    const item = document.createElement('li');
    item.className = from === me ? 'own' : 'other';
    const speaker = document.createElement('span');
    speaker.className = 'fate';
    speaker.textContent = from === me ? fate : from;
    item.append(text, speaker);
    if (from === me) item.id = `line-${id}`;
    element('lines').append(item);
    item.scrollIntoView({ block: 'end' });
  }
}

async function read_inbox(messenger, lines) {
  for await (const message of messenger.inbox) {
    const { from, id, text, seen } = message.json();
    if (seen !== undefined) {
      lines.set(seen, delivered);
    } else if (from === to) {
      lines.add({ id, from, text });
      // The other side learns that it was seen, with the same certainty.
      await messenger.send(server, { to: from, seen: id });
    }
  }
}

async function read_events(messenger) {
  for await (const { kind, text, error } of messenger.events) {
    if (kind === 'peer_connected') element('state').textContent = 'connected';
    if (kind === 'peer_disconnected') element('state').textContent = 'no connection: lines wait here';
    if (kind === 'store_failed') element('news').textContent = `the store failed: ${error}`;
    if (kind === 'store_recovered') element('news').textContent = '';
    if (['store_lost', 'peer_reset', 'rolled_back', 'peer_rolled_back', 'gap'].includes(kind)) {
      element('news').textContent = text;
    }
  }
}

async function send(messenger, lines, { id, text }) {
  await messenger.send(server, { to, id, text });
  lines.set(id, on_its_way);
}

async function begin() {
  element('names').hidden = true;
  element('chat').hidden = false;
  element('title').textContent = `${me} with ${to}`;
  document.title = `${me} with ${to}`;
  const messenger = await open({ id: me, store: `chat of ${me}`, url: new URL('/ilm', location.href).href });
  await messenger.addPeer(server, new URL('/ilm', location.href).href);
  const lines = new Transcript();
  element('state').textContent = 'no connection yet';

  element('write').addEventListener('submit', (event) => {
    event.preventDefault();
    const line = { id: crypto.randomUUID(), from: me, text: element('text').value, fate: unsent };
    element('text').value = '';
    lines.add(line);
    send(messenger, lines, line).catch(fail);
  });
  // A line that nobody takes would be lost.
  for (const control of element('write').elements) control.disabled = false;
  element('text').focus();
  // Those that the store had not taken when the page went, may have been sent: the other side tells them by their id.
  for (const line of lines.with_fate(unsent)) send(messenger, lines, line).catch(fail);
  read_inbox(messenger, lines).catch(fail);
  read_events(messenger).catch(fail);
}

function fail(error) {
  element('news').textContent = error.message;
  element('state').textContent = 'not running';
}

if (is_name(me) && is_name(to) && me !== to && ![me, to].includes(server)) begin().catch(fail);
