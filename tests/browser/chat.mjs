// The chat of examples/web_chat for tests: its server, and people before its page.
//   ILM_WEB_CHAT     the server's program

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { free_port } from './browser.mjs';

export const pause = (milliseconds) => new Promise((over) => setTimeout(over, milliseconds));
export const of = (lines, from) => lines.filter((line) => line.from === from).map(({ text }) => text);

/// Servers, each with a store. `close()` ends all.
export async function open_servers() {
  const folder = await mkdtemp(join(tmpdir(), 'ilm_chat.'));
  const servers = new Set();
  let stores = 0;
  return {
    start_server: () => start_server(join(folder, `${++stores}.db`), servers),
    async close() {
      for (const running of servers) running.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/// The server, which can be killed and started again on its store.
async function start_server(store, servers) {
  const port = await free_port();
  const words = ['--port', port, '--store', store, '--package', join(process.env.ILM_BROWSER_BUILD, 'package')];
  const said = [];
  let running;
  const start = () =>
    new Promise((listening, failed) => {
      running = spawn(process.env.ILM_WEB_CHAT, words.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
      servers.add(running);
      running.stdout.on('data', (text) => {
        said.push(String(text));
        if (String(text).includes('open http')) listening();
      });
      running.on('error', failed);
    });
  const kill = async () => {
    const ended = new Promise((exited) => running.once('exit', exited));
    servers.delete(running);
    running.kill('SIGKILL');
    await ended;
  };
  await start();
  return { port, said: () => said.join(''), start, kill };
}

/// Somebody with a tab of this context.
export async function person(context, server, me, to) {
  const url = `http://localhost:${server.port}/?me=${me}&to=${to}`;
  const own = {
    me, context, url, entered: 0, errors: [],
    page: await context.newPage(),
    async open() {
      own.page.on('pageerror', (error) => own.errors.push(String(error)));
      await own.page.goto(url);
      await own.ready();
    },
    ready: () => own.state((text) => text !== 'opening'),
    /// Until the page's state is as wanted.
    async state(wanted) {
      for (;;) {
        const text = await own.page.textContent('#state').catch(() => 'opening');
        if (wanted(text)) return text;
        await pause(20);
      }
    },
    async say(text = `${me} ${++own.entered}`) {
      await own.page.fill('#text', text, { timeout: 1000 });
      await own.page.press('#text', 'Enter', { timeout: 1000 });
    },
    lines: () =>
      own.page.$$eval('#lines li', (items) =>
        items.map((item) => ({
          from: item.className,
          text: item.firstChild.textContent,
          fate: item.lastChild.textContent,
        })),
      ),
    async until(wanted) {
      for (;;) {
        const lines = await own.lines().catch(() => []);
        if (wanted(lines)) return lines;
        await pause(50);
      }
    },
    all_delivered: () => own.until((lines) => lines.every(({ fate, from }) => from !== 'own' || fate === 'delivered')),
  };
  await own.open();
  return own;
}

/// A page without a chat, in a browser of its own, whose messenger is `m`.
export async function open_messenger(browser, server, id, options = {}) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://localhost:${server.port}/chat.css`);
  await page.evaluate(
    async (wanted) => {
      const { open } = await import('/package/ilm.mjs');
      globalThis.m = await open(wanted);
      await m.addPeer('chat', new URL('/ilm', location.href).href);
    },
    { id, ...options },
  );
  return page;
}

/// The judge, once all is delivered: each has all that the other one wrote, once and in order.
export async function expect_same(alice, bob) {
  const [by_alice, by_bob] = [await alice.lines(), await bob.lines()];
  assert.deepEqual(of(by_bob, 'other'), of(by_alice, 'own'));
  assert.deepEqual(of(by_alice, 'other'), of(by_bob, 'own'));
  const expected = (me, lines) => of(lines, 'own').map((_, place) => `${me} ${place + 1}`);
  assert.deepEqual(of(by_alice, 'own'), expected('alice', by_alice));
  assert.deepEqual(of(by_bob, 'own'), expected('bob', by_bob));
}
