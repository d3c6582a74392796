// A page whose peer asks at the same moment as the page whether the other is there. The peer is made by hand, so that
// its ping is on its way while that of the page is.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { open_messenger, open_servers, pause } from './chat.mjs';

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

const ping = Buffer.alloc(4, 0xff);
const text_ping = Buffer.concat([Buffer.from([0x89, 5]), Buffer.from('there')]);
const framed = (bytes) => Buffer.concat([Buffer.from([0x82, bytes.length]), bytes]);
const message = (type, ...body) => {
  const whole = Buffer.concat(body);
  return framed(Buffer.concat([Buffer.from('ILMT'), Buffer.from([1, type, 0, whole.length]), whole]));
};
const name = (text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);

/// Takes the frames of a WebSocket, each of which is whole in the end: `take(opcode, contents)`.
function each_frame(socket, take) {
  let held = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    held = Buffer.concat([held, bytes]);
    for (;;) {
      const short = held[1] & 127;
      const head = short === 126 ? 8 : 6;
      if (held.length < head) return;
      const end = head + (short === 126 ? held.readUInt16BE(2) : short);
      if (held.length < end) return;
      const mask = held.subarray(head - 4, head);
      take(held[0] & 15, held.subarray(head, end).map((byte, at) => byte ^ mask[at % 4]));
      held = held.subarray(end);
    }
  });
}

/// The peer `zoe`, whose session begins as the page's `go` arrives. Answers no ping, but has one of its own for each.
async function open_peer(dialer) {
  const heard = { sessions: 0, pings: 0, answers: 0, pongs: 0, ends: 0 };
  const listener = createServer();
  listener.on('upgrade', (request, socket) => {
    const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const accept = createHash('sha1').update(key).digest('base64');
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Protocol: ilm.v1\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.on('error', () => {});
    socket.on('close', () => ++heard.ends);
    each_frame(socket, (opcode, contents) => {
      if (opcode === 10) ++heard.pongs;
      if (opcode !== 2) return;
      const type = contents.toString('latin1', 0, 4) === 'ILMT' ? contents[5] : 0;
      if (type === 1) {
        const keys_and_size = contents.subarray(8, 13);
        socket.write(message(1, keys_and_size, randomBytes(48), name('zoe'), name(dialer)));
        socket.write(message(2));
      }
      if (type === 3) ++heard.sessions;
      if (type === 0 && contents.readUInt32BE() === 0) ++heard.answers;
      if (type === 0 && contents.equals(ping)) {
        ++heard.pings;
        socket.write(Buffer.concat([framed(ping), text_ping]));
      }
    });
  });
  await new Promise((listening) => listener.listen(0, '127.0.0.1', listening));
  return { heard, url: `ws://127.0.0.1:${listener.address().port}/ilm`, close: () => listener.close() };
}

test('pings of a page and its peer that cross on their way are answered, and the session goes on', async () => {
  const page = await open_messenger(browser, server, 'alice');
  const { heard, url, close } = await open_peer('alice');
  await page.evaluate((where) => m.addPeer('zoe', where), url);
  while (heard.sessions === 0) await pause(20);
  for (let round = 1; round <= 3; ++round) {
    await page.evaluate(() => m.reconnect());
    while (heard.pings < round || heard.answers < round || heard.pongs < round) await pause(20);
    // Longer than a side waits for an answer.
    await pause(1300);
  }
  assert.deepEqual([heard.sessions, heard.pings, heard.ends], [1, 3, 0]);
  await page.context().close();
  close();
});
