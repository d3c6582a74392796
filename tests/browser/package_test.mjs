// The package, called by a page of its own, with the server of examples/web_chat.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { open_messenger, open_servers, pause, person } from './chat.mjs';

let servers;
let browser;
let server;
before(async () => {
  servers = await open_servers();
  server = await servers.start_server();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await servers?.close();
});

for (const timeout of [1e13, Number.MAX_SAFE_INTEGER, Infinity]) {
  test(`close with a timeout of ${timeout} ms waits for what is on its way`, async () => {
    const page = await open_messenger(browser, server, `closer${String(timeout).length}`);
    const { undelivered } = await page.evaluate(async (limit) => {
      // It waits for peers with which there is a session.
      await m.delivered('chat', await m.send('chat', { to: 'nobody', id: 1, text: 'x' }));
      await m.send('chat', { to: 'nobody', id: 2, text: 'x' });
      return m.close({ timeout: limit });
    }, timeout);
    assert.equal(undelivered, 0);
  });
}

test('close with a timeout that is no time is refused, and the messenger goes on', async () => {
  const page = await open_messenger(browser, server, 'mistaken');
  const seen = await page.evaluate(async () => {
    const names = [];
    for (const timeout of [-1, NaN, 'soon']) await m.close({ timeout }).catch((e) => names.push(e.name));
    await m.delivered('chat', await m.send('chat', { to: 'nobody', id: 1, text: 'x' }));
    return names;
  });
  assert.deepEqual(seen, ['RangeError', 'RangeError', 'RangeError']);
});

test('a line that is too long to be passed on is dropped and said, and the next ones come', async () => {
  const bob = await person(await browser.newContext(), server, 'bob', 'alice');
  const page = await open_messenger(browser, server, 'alice');
  await page.evaluate(async () => {
    // The longest that can be sent.
    for (let size = 1 << 20; ; --size) {
      const line = { to: 'bob', id: 1, text: '' };
      line.text = 'x'.repeat(size - JSON.stringify(line).length);
      const sent = await m.send('chat', line).catch(() => 0);
      if (sent) break;
    }
    await m.delivered('chat', await m.send('chat', { to: 'bob', id: 2, text: 'alice 1' }));
  });
  const [line] = await bob.until((lines) => lines.length > 0);
  assert.equal(line.text, 'alice 1');
  assert.match(server.said(), /a line from alice is too long/);
});

test('events from before somebody reads them are kept', async () => {
  const page = await open_messenger(browser, server, 'late');
  while (!server.said().includes('late: peer_connected')) await pause(20);
  await page.evaluate(async () => m.delivered('chat', await m.send('chat', { to: 'nobody', id: 1, text: 'x' })));
  const event = await page.evaluate(() => Promise.race([m.events.next(), new Promise((over) => setTimeout(over, 5000))]));
  assert.equal(event?.value.kind, 'peer_connected');
});

test('a loop over the messages that was left is entered anew, and goes on with the next one', async () => {
  const reader = await open_messenger(browser, server, 'reader');
  const writer = await open_messenger(browser, server, 'writer');
  await writer.evaluate(async () => {
    for (let id = 1; id <= 4; ++id) await m.send('chat', { to: 'reader', id, text: 'x' });
  });
  const ids = await reader.evaluate(async () => {
    const seen = [];
    for await (const x of m.inbox) if (seen.push(x.json().id) === 1) break;
    for await (const x of m.inbox) if (seen.push(x.json().id) === 2) break;
    const both = await Promise.all([m.inbox.next(), m.inbox.next()]);
    return [...seen, ...both.map(({ value }) => value.json().id)];
  });
  assert.deepEqual(ids, [1, 2, 3, 4]);
});
