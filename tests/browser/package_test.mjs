// The package, called by a page of its own, with the server of examples/web_chat.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { open_messenger, open_servers, person } from './chat.mjs';

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
