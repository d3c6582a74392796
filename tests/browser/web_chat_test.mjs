// The package, as the page of examples/web_chat uses it, with the real server. The judge reads what each page shows.
//   ILM_WEB_CHAT     the server's program
//   ILM_CHAT_ROUNDS  how often the storm strikes

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from './browser.mjs';

const rounds = Number(process.env.ILM_CHAT_ROUNDS ?? 50);

let folder;
let browser;
const servers = new Set();
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ilm_chat.'));
  browser = await chromium.launch({
    executablePath: process.env.ILM_CHROMIUM,
    args: ['--no-sandbox', '--headless=new'],
  });
});
after(async () => {
  await browser?.close();
  for (const running of servers) running.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

async function free_port() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

let stores = 0;

/// The server, which can be killed and started again on its store.
async function start_server() {
  const port = await free_port();
  const store = join(folder, `${++stores}.db`);
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

/// Somebody with a browser of their own.
async function person(server, me, to) {
  const context = await browser.newContext({ viewport: { width: 320, height: 640 } });
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
  };
  await own.open();
  return own;
}

const pause = (milliseconds) => new Promise((over) => setTimeout(over, milliseconds));
const draw = (below) => Math.floor(Math.random() * below);
const of = (lines, from) => lines.filter((line) => line.from === from).map(({ text }) => text);

test('a line is delivered, and both see the same', async () => {
  const server = await start_server();
  const alice = await person(server, 'alice', 'bob');
  await alice.say('are you there?');
  await alice.until(([line]) => line?.fate === 'on its way');
  const bob = await person(server, 'bob', 'alice');
  await bob.until(([line]) => line?.text === 'are you there?');
  await alice.until(([line]) => line?.fate === 'delivered');
  await bob.say('yes');
  await alice.until((lines) => lines.length === 2 && lines[1].from === 'other');
  assert.deepEqual([...alice.errors, ...bob.errors], []);
  await Promise.all([alice.context.close(), bob.context.close(), server.kill()]);
});

test('a line that was entered while there is no server arrives later', async () => {
  const server = await start_server();
  const alice = await person(server, 'alice', 'bob');
  await alice.state((text) => text === 'connected');
  await server.kill();
  await alice.state((text) => text.startsWith('no connection'));
  await alice.say('later');
  await alice.until(([line]) => line?.fate === 'on its way');
  await server.start();
  const bob = await person(server, 'bob', 'alice');
  await bob.until(([line]) => line?.text === 'later');
  await Promise.all([alice.context.close(), bob.context.close(), server.kill()]);
});

test('a second tab on one store is told so, and has it once the first is closed', async () => {
  const server = await start_server();
  const alice = await person(server, 'alice', 'bob');
  const second = await alice.context.newPage();
  await second.goto(alice.url);
  await second.getByRole('alert').filter({ hasText: 'another messenger uses this store' }).waitFor();
  await alice.page.close();
  alice.page = second;
  await second.reload();
  await alice.state((text) => text === 'connected');
  await Promise.all([alice.context.close(), server.kill()]);
});

test('storage that was cleared is told on both sides', async () => {
  const server = await start_server();
  const alice = await person(server, 'alice', 'bob');
  await alice.say('before');
  await alice.until(([line]) => line?.fate === 'on its way');
  await alice.state((text) => text === 'connected');
  const devtools = await alice.context.newCDPSession(alice.page);
  await alice.page.goto('about:blank');
  await devtools.send('Storage.clearDataForOrigin', {
    origin: `http://localhost:${server.port}`, storageTypes: 'all',
  });
  await alice.page.goto(alice.url);
  await alice.page.getByRole('alert').filter({ hasText: 'store_lost' }).waitFor();
  while (!server.said().includes('alice: peer_reset')) await pause(20);
  await Promise.all([alice.context.close(), server.kill()]);
});

test('the page has names and roles for those who do not see it, and fits a narrow screen', async () => {
  const server = await start_server();
  const alice = await person(server, 'alice', 'bob');
  const { page } = alice;
  await page.getByRole('log', { name: 'Messages' }).waitFor();
  await page.getByRole('heading', { name: 'alice with bob' }).waitFor();
  assert.equal(await page.getByRole('status').textContent(), await page.textContent('#state'));
  assert.ok(await page.getByRole('textbox', { name: 'Message' }).evaluate((box) => box === document.activeElement));
  await page.keyboard.type('by keyboard alone');
  await page.keyboard.press('Enter');
  await alice.until(([line]) => line?.text === 'by keyboard alone');
  await alice.say('x'.repeat(500));
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await Promise.all([alice.context.close(), server.kill()]);
});

/// Strikes that a chat has to outlive.
const strikes = {
  async reload(struck) {
    await struck.page.reload({ waitUntil: 'commit' });
  },
  async crash(struck) {
    const crashed = struck.page;
    struck.page = await struck.context.newPage();
    const devtools = await struck.context.newCDPSession(crashed);
    devtools.send('Page.crash').catch(() => {});
    await new Promise((gone) => crashed.once('crash', gone));
    await crashed.close();
    await struck.page.goto(struck.url);
  },
  async offline(struck) {
    await struck.context.setOffline(true);
    await struck.say();
    await pause(draw(400));
    await struck.context.setOffline(false);
  },
};

test(`nothing is lost, repeated or out of order through ${rounds} reloads, crashes, kills and cuts`, async () => {
  const server = await start_server();
  const people = [await person(server, 'alice', 'bob'), await person(server, 'bob', 'alice')];
  for (let round = 0; round < rounds; ++round) {
    for (let line = 0; line < 3; ++line) for (const writer of people) await writer.say();
    const kind = ['server', 'crash', 'offline'][round % 10] ?? 'reload';
    const struck = people[draw(2)];
    await pause(draw(150));
    if (kind === 'server') {
      await server.kill();
      await server.start();
    } else {
      await strikes[kind](struck);
    }
    for (const writer of people) await writer.ready();
  }
  for (const own of people) await own.until((lines) => lines.every(({ fate, from }) => from !== 'own' || fate === 'delivered'));
  const [alice, bob] = await Promise.all(people.map((own) => own.lines()));
  for (const own of [alice, bob]) assert.ok(of(own, 'own').length >= rounds);
  assert.deepEqual(of(bob, 'other'), of(alice, 'own'));
  assert.deepEqual(of(alice, 'other'), of(bob, 'own'));
  const expected = (me, lines) => of(lines, 'own').map((_, place) => `${me} ${place + 1}`);
  assert.deepEqual(of(alice, 'own'), expected('alice', alice));
  assert.deepEqual(of(bob, 'own'), expected('bob', bob));
  await Promise.all([...people.map((own) => own.context.close()), server.kill()]);
});
