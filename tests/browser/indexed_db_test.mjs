import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { open_browser } from './browser.mjs';

let browser;
before(async () => {
  browser = await open_browser();
});
after(() => browser?.close());

async function open_tab(of = browser) {
  const tab = await of.open_page();
  return { ...tab, worker: await tab.start('indexed_db') };
}

/// The browser's own controls. They act for as long as the tab is there.
const control = async (tab, command, values) => {
  tab.control ??= await tab.page.context().newCDPSession(tab.page);
  await tab.control.send(command, values);
};

/// Opens a store without a messenger: the outcome.
async function open_store(worker, name) {
  await worker.call('open_store', name);
  return worker.until('outcome_text', (text) => text !== '');
}
const is_open = /^open, /;
const in_use = /another messenger uses this store/;

async function renderer_crashes(tab) {
  const crashed = tab.page.waitForEvent('crash');
  control(tab, 'Page.crash', {}).catch(() => {});
  await crashed;
}

const ends = {
  'its worker ends': (tab) => tab.worker.end(),
  'it is closed': (tab) => tab.close(),
  'it is reloaded': (tab) => tab.page.reload(),
  'its renderer crashes': renderer_crashes,
};
for (const [end, make_end] of Object.entries(ends)) {
  test(`a second tab learns that the store is in use, and has it after the first one's end: ${end}`, async () => {
    const first = await open_tab();
    assert.match(await open_store(first.worker, end), is_open);
    const second = await open_tab();
    assert.match(await open_store(second.worker, end), in_use);
    await make_end(first);
    assert.match(await open_store(second.worker, end), is_open);
    await Promise.all([first.close(), second.close()]);
  });
}

/// What a store has after commits without end, told by a store that opens it then.
async function expect_whole_commits(name, completed, worker) {
  const [, next, read] = /^open, next (\d+), read (\d+)$/.exec(await open_store(worker, name)) ?? [];
  assert.equal(Number(read), next - 1, 'each message of the cursors is there');
  assert.equal(read % 40, 0, 'each commit is whole');
  assert.ok(read >= 40 * completed, `${completed} commits had completed, and ${read} messages are there`);
}

for (const [end, make_end] of Object.entries({
  'a reload': ends['it is reloaded'],
  'a crash of the renderer': renderer_crashes,
})) {
  test(`${end} in the middle of a commit leaves all of it or nothing`, async () => {
    for (let round = 1; round <= 6; ++round) {
      const tab = await open_tab();
      await tab.worker.call('commit_for_ever', end);
      const completed = await tab.worker.until('commits_so_far', (commits) => commits >= round);
      await make_end(tab);
      const next = await open_tab();
      await expect_whole_commits(end, completed, next.worker);
      await Promise.all([tab.close(), next.close()]);
    }
  });
}

test('a full quota fails the sends, and they work again when there is room', async (t) => {
  // The browser remembers the space for a while, so this one has never known more.
  const small = await open_browser();
  t.after(() => small.close());
  const { origin } = small;
  const tab = await open_tab(small);
  await control(tab, 'Storage.overrideQuotaForOrigin', { origin, quotaSize: 2_000_000 });
  const { worker } = tab;
  await worker.call('start_alice', 'quota');
  let sent = 0;
  while ((await worker.call('refused_text')) === '') {
    const message = String(sent).padStart(8);
    await worker.call('send_message', message, 200_000);
    await worker.until('settled_so_far', (settled) => settled === sent + 1);
    ++sent;
  }
  const accepted = await worker.call('accepted_so_far');
  assert.equal(accepted, sent - 1);
  assert.match(await worker.call('refused_text'), /gives this site no more space/);
  await control(tab, 'Storage.overrideQuotaForOrigin', { origin });
  await worker.call('send_message', '<third> ', 200_000);
  await worker.until('accepted_so_far', (now) => now === accepted + 1);
  const events = await worker.call('events_text');
  assert.match(events, /alice: store_failed: IndexedDB database quota: QuotaExceededError: /);
  assert.match(events, /alice: store_recovered/);
  await worker.call('start_bob');
  const whole = [...Array(accepted).keys()].map((n) => String(n).padStart(8)).join('') + '<third> ';
  await worker.until('received_text', (text) => text.length >= whole.length);
  assert.equal(await worker.call('received_text'), whole);
});

test('a store that was cleared fails the sends, and is a lost one to both sides when it is opened', async () => {
  const tab = await open_tab();
  const { worker } = tab;
  await worker.call('start_bob');
  await worker.call('start_alice', 'cleared');
  await worker.call('send_message', '<first> ', 10);
  await worker.until('received_text', (text) => text === '<first> ');
  await control(tab, 'Storage.clearDataForOrigin', { origin: browser.origin, storageTypes: 'indexeddb' });
  await worker.call('send_message', '<second>', 10);
  assert.match(await worker.until('refused_text', (text) => text !== ''), /has cleared the store/);
  await worker.call('end_alice');
  await worker.call('start_alice', 'cleared');
  await worker.call('send_message', '<third> ', 10);
  await worker.until('received_text', (text) => text === '<first> <third> ');
  const events = await worker.call('events_text');
  assert.match(events, /alice: bob: store_lost outbound 1\.\. inbound 1\.\./);
  assert.match(events, /bob: alice: peer_reset .*inbound 1\.\./);
  await tab.close();
});

test('a messenger whose lock was stolen stops when the other one has stored something', async () => {
  const [first, second] = [await open_tab(), await open_tab()];
  await first.worker.call('start_alice', 'stolen');
  await first.worker.call('send_message', '<first> ', 10);
  await first.worker.until('accepted_so_far', (accepted) => accepted === 1);
  await second.page.evaluate(() => navigator.locks.request('ilm:stolen', { steal: true }, () => {}));
  await second.worker.call('start_alice', 'stolen');
  await second.worker.call('send_message', '<second>', 10);
  await second.worker.until('accepted_so_far', (accepted) => accepted === 1);
  await first.worker.call('send_message', '<third> ', 10);
  assert.match(await first.worker.until('refused_text', (text) => text !== ''), /not as this messenger left it/);
  await second.worker.call('start_bob');
  await second.worker.until('received_text', (text) => text === '<first> <second>');
  await Promise.all([first.close(), second.close()]);
});

test('a database that the browser has closed is opened anew, and the messenger goes on', async () => {
  const tab = await open_tab();
  const { worker } = tab;
  await worker.call('start_alice', 'closed');
  await worker.call('send_message', '<first> ', 10);
  await worker.until('accepted_so_far', (accepted) => accepted === 1);
  await worker.call('close_databases');
  await worker.call('send_message', '<second>', 10);
  await worker.until('accepted_so_far', (accepted) => accepted === 2);
  await worker.call('close_databases');
  await worker.call('start_bob');
  await worker.until('received_text', (text) => text === '<first> <second>');
  assert.equal(await worker.call('refused_text'), '');
  await tab.close();
});

test('two operations that find the database closed leave one open, which ends with the store', async () => {
  const tab = await open_tab();
  const { worker } = tab;
  await worker.call('commit_for_ever', 'twice');
  await worker.until('commits_so_far', (commits) => commits > 0);
  await worker.call('renew_context');
  assert.match(await open_store(worker, 'twice'), is_open);
  await worker.call('close_databases');
  await worker.call('read_twice');
  await worker.until('outcome_text', (text) => text === '11');
  await worker.call('close_store');
  const outcome = await tab.page.evaluate(
    () =>
      new Promise((resolve) => {
        const request = indexedDB.deleteDatabase('twice');
        request.onsuccess = () => resolve('deleted');
        request.onblocked = () => resolve('blocked');
      }),
  );
  assert.equal(outcome, 'deleted');
  await tab.close();
});

test('a commit that is stored, but whose answer is lost with the database, is seen to be stored', async () => {
  const tab = await open_tab();
  const { worker } = tab;
  await worker.call('start_alice', 'unanswered');
  await worker.call('send_message', '<first> ', 10);
  await worker.until('accepted_so_far', (accepted) => accepted === 1);
  await worker.call('lose_next_answer');
  await worker.call('send_message', '<second>', 10);
  await worker.until('accepted_so_far', (accepted) => accepted === 2);
  await worker.call('send_message', '<third> ', 10);
  await worker.call('start_bob');
  await worker.until('received_text', (text) => text === '<first> <second><third> ');
  assert.equal(await worker.call('events_text').then((text) => /store_failed/.test(text)), false);
  await tab.close();
});

test('a context that is destroyed in the middle of a commit takes along what waits for it', async () => {
  const tab = await open_tab();
  const { worker } = tab;
  await worker.call('commit_for_ever', 'context');
  await worker.until('commits_so_far', (commits) => commits > 0);
  await worker.call('renew_context');
  assert.match(await open_store(worker, 'context'), is_open);
  assert.deepEqual(await worker.call('uncaught'), []);
  await tab.close();
});

/// Changes a database in the page.
const change = (tab, name, version, work) =>
  tab.page.evaluate(
    ([n, v, w]) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open(n, v);
        request.onupgradeneeded = () => w === 'make' && request.result.createObjectStore('things');
        request.onerror = () => reject(request.error);
        request.onsuccess = () => {
          const database = request.result;
          const end = () => (database.close(), resolve());
          if (w === 'make') return end();
          const transaction = database.transaction('store', 'readwrite');
          transaction.objectStore('store').put(new Uint8Array([1, 2, 3]).buffer, 1);
          transaction.oncomplete = end;
        };
      }),
    [name, version, work],
  );

test('a database that is damaged, newer or not ILM\'s is an error that says how to go on', async () => {
  const tab = await open_tab();
  assert.match(await open_store(tab.worker, 'damaged'), is_open);
  await tab.worker.call('close_store');
  await change(tab, 'damaged', undefined, 'damage');
  assert.match(
    await open_store(tab.worker, 'damaged'),
    /^IndexedDB database damaged: indexedDB\.deleteDatabase .*: the store is damaged/,
  );
  await change(tab, 'foreign', 1, 'make');
  assert.match(await open_store(tab.worker, 'foreign'), /^IndexedDB database foreign: the database is not ILM's; name/);
  await change(tab, 'newer', 7, 'make');
  assert.match(await open_store(tab.worker, 'newer'), /^IndexedDB database newer: VersionError: .*newer version of ILM/);
  await tab.close();
});
