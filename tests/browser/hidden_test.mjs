// A chat whose page is out of sight for long, as its browser treats it then. What is real here, and what is not:
//   hidden     another tab is in front. A browser lets the timers of a page that was hidden for five minutes fire once a
//              minute; here it does so after a second, so that each minute is one of those.
//   frozen     the browser's controls freeze the hidden page, and its worker with it, as a browser does that wants its
//              memory or its power: nothing of it runs. As it thaws, Chromium ends its connections (code 1006).
//   ten minutes pass in some seconds, on all clocks of the page and its worker, in steps longer than the silence that ends
//              a session: the browser's virtual time. The server's clock goes on as ever.
// The package runs in a worker, whose timers are not held back while the page is hidden. The judge reads what each page
// shows.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { open_users_browser } from './browser.mjs';
import { expect_same, open_servers, pause, person } from './chat.mjs';

let servers;
before(async () => {
  servers = await open_servers();
});
after(() => servers?.close());

/// How often alice's session ended.
const ends = (server) => server.said().split('alice: peer_disconnected').length - 1;

/// Alice's tab, which is hidden behind bob's.
async function open_chat(t) {
  const browser = await open_users_browser('--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1/grace_period_seconds_loaded/1');
  t.after(() => browser.close());
  const server = await servers.start_server();
  const alice = await person(browser.context, server, 'alice', 'bob');
  const bob = await person(browser.context, server, 'bob', 'alice');
  await bob.page.bringToFront();
  // A page in front has keys and clicks; a hidden one can act by itself alone.
  for (const own of [alice, bob]) {
    own.say = () =>
      own.page.evaluate(
        (text) => {
          document.getElementById('text').value = text;
          document.getElementById('write').requestSubmit();
        },
        `${own.me} ${++own.entered}`,
      );
    own.control = await browser.context.newCDPSession(own.page);
    await own.state((text) => text === 'connected');
  }
  while ((await alice.page.evaluate(() => document.visibilityState)) !== 'hidden') await pause(20);
  return { server, alice, bob };
}

async function both_say({ alice, bob }, lines) {
  for (let line = 0; line < lines; ++line) await Promise.all([alice.say(), bob.say()]);
}

/// All is delivered, and as it was written; also once the page is in front again.
async function expect_whole({ alice, bob }) {
  for (const { all_delivered } of [alice, bob]) await all_delivered();
  await expect_same(alice, bob);
  await alice.page.bringToFront();
  await both_say({ alice, bob }, 1);
  for (const { all_delivered } of [alice, bob]) await all_delivered();
  await expect_same(alice, bob);
  assert.deepEqual([...alice.errors, ...bob.errors], []);
}

test('a page that is hidden for long keeps its session, and messages go both ways', async (t) => {
  const chat = await open_chat(t);
  const { server, alice } = chat;
  await alice.page.evaluate(() => {
    window.ticks = 0;
    const tick = () => setTimeout(tick, 100, ++ticks);
    tick();
  });
  /// How many timers of the page there were meanwhile.
  const ticks_in = async (what) => {
    const before = await alice.page.evaluate(() => ticks);
    await what();
    return (await alice.page.evaluate(() => ticks)) - before;
  };
  // It takes a browser a while.
  for (let tries = 0; tries < 20 && (await ticks_in(() => pause(5000))) > 1; ++tries) await both_say(chat, 1);
  const ticks = await ticks_in(async () => {
    for (let second = 0; second < 30; ++second) {
      await both_say(chat, 1);
      await pause(1000);
    }
  });
  t.diagnostic(`${ticks} timers of the page in 30 s, of 300`);
  assert.ok(ticks <= 3, `${ticks} timers: they are not held back`);
  assert.equal(ends(server), 0);
  await expect_whole(chat);
});

test('a page that is frozen for a moment goes on, though Chromium ends its connection', async (t) => {
  const chat = await open_chat(t);
  const { server, alice, bob } = chat;
  await both_say(chat, 5);
  await alice.control.send('Page.setWebLifecycleState', { state: 'frozen' });
  for (let line = 0; line < 5; ++line) await bob.say();
  await pause(3000);
  await alice.control.send('Page.setWebLifecycleState', { state: 'active' });
  await expect_whole(chat);
  t.diagnostic(`the session ended ${ends(server)} times`);
});

test('a page that is frozen until the server gave it up comes back, with all that was written meanwhile', async (t) => {
  const chat = await open_chat(t);
  const { server, alice, bob } = chat;
  await both_say(chat, 5);
  await alice.control.send('Page.setWebLifecycleState', { state: 'frozen' });
  const before = await alice.lines();
  while (ends(server) === 0) {
    await bob.say();
    await pause(200);
  }
  assert.deepEqual(await alice.lines(), before, 'the page stands still');
  await alice.control.send('Page.setWebLifecycleState', { state: 'active' });
  await expect_whole(chat);
});

test('ten minutes that pass in steps on the clocks of a page take nothing from it', async (t) => {
  const chat = await open_chat(t);
  const { server, alice } = chat;
  const pass = async (budget) => {
    const over = new Promise((expired) => alice.control.once('Emulation.virtualTimeBudgetExpired', expired));
    await alice.control.send('Emulation.setVirtualTimePolicy', { policy: 'advance', budget });
    await over;
  };
  const now = () => alice.page.evaluate(() => performance.now());
  const began = await now();
  for (let step = 0; step < 30; ++step) {
    await both_say(chat, 1);
    await pass(20_000);
    await pause(100);
  }
  const passed = (await now()) - began;
  t.diagnostic(`${Math.round(passed / 1000)} s passed, and the session ended ${ends(server)} times`);
  assert.ok(passed >= 600_000);
  // Its clock stands still but for this.
  let is_over = false;
  const going_on = (async () => {
    while (!is_over) await pass(100).then(() => pause(50));
  })();
  await expect_whole(chat);
  is_over = true;
  await going_on;
});
