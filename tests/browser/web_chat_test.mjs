// The package, as the page of examples/web_chat uses it, with the real server. The judge reads what each page shows.
//   ILM_CHAT_ROUNDS  how often the storm strikes

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { expect_same, of, open_servers, pause, person } from './chat.mjs';

const rounds = Number(process.env.ILM_CHAT_ROUNDS ?? 50);

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

/// Somebody with a browser of their own.
const one = async (...who) => person(await browser.newContext({ viewport: { width: 320, height: 640 } }), ...who);
const draw = (below) => Math.floor(Math.random() * below);

test('a line is delivered, and both see the same', async () => {
  const server = await servers.start_server();
  const alice = await one(server, 'alice', 'bob');
  await alice.say('are you there?');
  await alice.until(([line]) => line?.fate === 'on its way');
  const bob = await one(server, 'bob', 'alice');
  await bob.until(([line]) => line?.text === 'are you there?');
  await alice.until(([line]) => line?.fate === 'delivered');
  await bob.say('yes');
  await alice.until((lines) => lines.length === 2 && lines[1].from === 'other');
  assert.deepEqual([...alice.errors, ...bob.errors], []);
  await Promise.all([alice.context.close(), bob.context.close(), server.kill()]);
});

test('a line that was entered while there is no server arrives later', async () => {
  const server = await servers.start_server();
  const alice = await one(server, 'alice', 'bob');
  await alice.state((text) => text === 'connected');
  await server.kill();
  await alice.state((text) => text.startsWith('no connection'));
  await alice.say('later');
  await alice.until(([line]) => line?.fate === 'on its way');
  await server.start();
  const bob = await one(server, 'bob', 'alice');
  await bob.until(([line]) => line?.text === 'later');
  await Promise.all([alice.context.close(), bob.context.close(), server.kill()]);
});

test('no line can be entered before there is somebody to take it', async () => {
  const server = await servers.start_server();
  const context = await browser.newContext();
  const held = [];
  await context.route('**/module.wasm', (route) => held.push(route));
  const page = await context.newPage();
  await page.goto(`http://localhost:${server.port}/?me=alice&to=bob`);
  while (held.length === 0) await pause(20);
  assert.equal(await page.textContent('#state'), 'opening');
  assert.ok((await page.isDisabled('#text')) && (await page.isDisabled('#write button')));
  await Promise.all(held.map((route) => route.continue()));
  await page.fill('#text', 'now');
  await page.press('#text', 'Enter');
  await page.getByRole('log').getByText('now').waitFor();
  await Promise.all([context.close(), server.kill()]);
});

test('a second tab on one store is told so, and has it once the first is closed', async () => {
  const server = await servers.start_server();
  const alice = await one(server, 'alice', 'bob');
  const second = await alice.context.newPage();
  await second.goto(alice.url);
  await second.getByRole('alert').filter({ hasText: 'another messenger uses this store' }).waitFor();
  assert.ok(await second.isDisabled('#text'), 'a line that is entered here would be lost');
  await alice.page.close();
  alice.page = second;
  await second.reload();
  await alice.state((text) => text === 'connected');
  await Promise.all([alice.context.close(), server.kill()]);
});

test('storage that was cleared is told on both sides', async () => {
  const server = await servers.start_server();
  const alice = await one(server, 'alice', 'bob');
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
  const server = await servers.start_server();
  const alice = await one(server, 'alice', 'bob');
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
  const server = await servers.start_server();
  const people = [await one(server, 'alice', 'bob'), await one(server, 'bob', 'alice')];
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
  for (const own of people) await own.all_delivered();
  for (const own of people) assert.ok(of(await own.lines(), 'own').length >= rounds);
  await expect_same(...people);
  await Promise.all([...people.map((own) => own.context.close()), server.kill()]);
});
