// What wakes an idle page: one that has a session with the real server, and nothing to say. Wake-ups are counted in the
// package's worker, by its timers that fire and the messages that its WebSocket gets, and in the page. Those that come
// within 200 ms of one another are one moment.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { open_users_browser } from './browser.mjs';
import { open_servers, pause, person } from './chat.mjs';

/// `keepalive_interval` of options and of tcp_options.
const interval = 5000;

let servers;
let browser;
before(async () => {
  servers = await open_servers();
  browser = await open_users_browser();
});
after(async () => {
  await browser?.close();
  await servers?.close();
});

/// Runs in a worker ahead of all else.
function count_in_worker() {
  const wakes = { timers: 0, messages: 0, moments: 0, sent: 0 };
  let last = 0;
  const count = (what) => {
    ++wakes[what];
    if (performance.now() >= last + 200) ++wakes.moments;
    last = performance.now();
  };
  const { setTimeout: set_timeout, WebSocket: Socket } = self;
  self.setTimeout = (call, ...rest) => set_timeout((...values) => (count('timers'), call(...values)), ...rest);
  self.WebSocket = class extends Socket {
    constructor(...values) {
      super(...values);
      this.addEventListener('message', () => count('messages'));
    }
    send(data) {
      ++wakes.sent;
      super.send(data);
    }
  };
  self.wakes = () => ({ now: performance.now(), ...wakes });
}

/// Runs in a page ahead of all else: has workers run `code` first, and counts what wakes the page.
function count_in_page(code) {
  const wakes = { timers: 0, messages: 0 };
  const { setTimeout: set_timeout, Worker: Plain } = window;
  window.setTimeout = (call, ...rest) => set_timeout((...values) => (++wakes.timers, call(...values)), ...rest);
  window.Worker = class extends Plain {
    constructor(url, options) {
      const ahead = `data:text/javascript,${encodeURIComponent(code)}`;
      const both = `import ${JSON.stringify(ahead)}; import ${JSON.stringify(String(new URL(url, location.href)))};`;
      super(URL.createObjectURL(new Blob([both], { type: 'text/javascript' })), options);
      this.addEventListener('message', () => ++wakes.messages);
    }
  };
  window.wakes = () => wakes;
}

test('an idle page wakes at one moment of each interval, when both sides ask whether the other is there', async (t) => {
  const server = await servers.start_server();
  await browser.context.addInitScript(count_in_page, `(${count_in_worker})()`);
  const alice = await person(browser.context, server, 'alice', 'bob');
  await alice.state((text) => text === 'connected');
  await pause(2 * interval);
  const [worker] = alice.page.workers();
  const look = async () => [await worker.evaluate(() => wakes()), await alice.page.evaluate(() => ({ ...wakes() }))];
  const [before, page_before] = await look();
  await pause(8 * interval);
  const [then, page_then] = await look();

  const intervals = (then.now - before.now) / interval;
  const of = (name) => then[name] - before[name];
  const minute = (count) => Math.round((count * 60_000) / interval / intervals);
  t.diagnostic(
    `a minute: ${minute(of('moments'))} moments, ${minute(of('timers'))} timers, ${minute(of('messages'))} messages, and ${minute(of('sent'))} sent; ` +
      `${intervals.toFixed(1)} intervals`,
  );
  assert.ok(of('messages') >= 2, 'both are there');
  assert.ok(of('moments') <= 1.25 * intervals + 2, `${of('moments')} moments`);
  assert.ok(of('timers') <= 1.25 * intervals + 2, `${of('timers')} timers`);
  assert.ok(of('messages') <= 2 * intervals + 2, `${of('messages')} messages`);
  assert.ok(of('sent') <= 2 * intervals + 2, `${of('sent')} sent`);
  assert.deepEqual(page_then, page_before, 'nothing wakes the page itself');
  assert.equal(server.said().includes('peer_disconnected'), false);
});
