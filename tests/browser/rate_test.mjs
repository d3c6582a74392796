// How fast a page and a native server are with one another, by the package and the server of examples/web_chat, whose
// store is SQLite's. It prints the rates, and fails if anything is lost or out of order.
//   ILM_MESSAGES   how many (5000)

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { open_messenger, open_servers } from './chat.mjs';

const count = Number(process.env.ILM_MESSAGES ?? 5000);

let servers;
let browser;
before(async () => {
  servers = await open_servers();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await servers?.close();
});

/// Sends lines of some 100 bytes to `to`, and waits until the server has passed on the last one.
async function send_lines([lines, to]) {
  const begun = performance.now();
  const sent = [];
  for (let id = 1; id <= lines; ++id) sent.push(m.send('chat', { to, id, text: 'x'.repeat(60) }));
  await m.delivered('chat', (await Promise.all(sent)).at(-1));
  return lines / ((performance.now() - begun) / 1000);
}

/// Reads as many lines, the first of which are there already.
async function read_lines(lines) {
  const ids = [];
  const begun = performance.now();
  for await (const message of m.inbox) {
    ids.push(message.json().id);
    if (ids.length === lines) break;
  }
  return { rate: lines / ((performance.now() - begun) / 1000), in_order: ids.every((id, place) => id === place + 1) };
}

for (const [where, options] of [['in memory', {}], ['in IndexedDB', { store: 'rate' }]]) {
  test(`${count} messages from a page to the server and from the server to a page, ${where}`, async () => {
    const server = await servers.start_server();
    const [alice, bob] = [
      await open_messenger(browser, server, 'alice', options),
      await open_messenger(browser, server, 'bob', options),
    ];
    const up = await alice.evaluate(send_lines, [count, 'bob']);
    const down = await bob.evaluate(read_lines, count);
    console.log(`${where}: ${Math.round(up)} messages a second from a page, ${Math.round(down.rate)} read by one`);
    assert.ok(down.in_order);
    await Promise.all([alice.context().close(), bob.context().close(), server.kill()]);
  });
}
