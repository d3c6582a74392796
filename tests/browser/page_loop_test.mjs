import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { open_browser } from './browser.mjs';

let browser;
let page;
before(async () => {
  browser = await open_browser();
  page = await browser.open_page();
});
after(() => browser?.close());

/// The longest that Asio waits, and how late the loop is after a long wait.
const five_minutes = 300_100;

test('an idle page wakes for its timers alone', async () => {
  const worker = await page.start('page_loop');
  await worker.call('start_ticking', 3, 40);
  await worker.until('done_so_far', (done) => done === 3);
  // The first turn, and one for each tick: a browser's timer may fire a moment before it is due, and is set again.
  const turns = await worker.call('turns');
  assert.ok(turns >= 4 && turns <= 7, `${turns} turns`);
  assert.deepEqual(await worker.call('timers'), [five_minutes]);
  assert.equal(await worker.call('turns'), turns);
});

test('the next turn is due with the next timer, and one timer waits for it', async () => {
  const worker = await page.start('page_loop');
  await worker.call('start_ticking', 1, 60_000);
  await worker.call('run');
  const [delay, ...others] = await worker.call('timers');
  assert.deepEqual(others, []);
  assert.ok(delay > 0 && delay <= 60_100, `${delay} ms`);
});

test('timers that are close to one another share a turn after a long wait', async () => {
  const worker = await page.start('page_loop');
  await worker.call('start_timers', 3, 1500, 10);
  await worker.until('done_so_far', (done) => done > 0);
  assert.equal(await worker.call('done_so_far'), 3);
  assert.equal(await worker.call('turns'), 2);
});

test('a callback that comes while the context runs is done in the same turn, and not inside it', async () => {
  const worker = await page.start('page_loop');
  await worker.call('post_from_a_handler');
  assert.equal(await worker.call('done_so_far'), 1);
  assert.equal(await worker.call('turns'), 1);
});

test('a context that is run from a handler of another has its turn soon', async () => {
  const worker = await page.start('page_loop');
  await worker.call('run_another_from_a_handler');
  await worker.until('done_so_far', (done) => done === 1);
});

test('a context that always has something to do leaves the browser its turn', async () => {
  const worker = await page.start('page_loop');
  await worker.call('start_posting_for_ever');
  const done = await worker.call('done_so_far');
  await worker.until('done_so_far', (now) => now > done);
  await worker.call('end_posting');
  await worker.until('timers', ([delay]) => delay === five_minutes);
});

test('an exception of a handler reaches the caller, and the loop goes on', async () => {
  const worker = await page.start('page_loop');
  await assert.rejects(worker.call('throw_in_a_handler'), /thrown by a handler/);
  await worker.until('done_so_far', (done) => done === 1);
});

test('a context that is stopped stays so until it is restarted', async () => {
  const worker = await page.start('page_loop');
  await worker.call('stop_in_a_handler');
  await worker.call('run');
  assert.deepEqual(await worker.call('timers'), []);
  assert.equal(await worker.call('done_so_far'), 0);
  await worker.call('restart');
  assert.equal(await worker.call('done_so_far'), 1);
});

test('a context that is destroyed leaves no timer behind', async () => {
  const worker = await page.start('page_loop');
  await worker.call('start_ticking', 1, 60_000);
  await worker.call('destroy_context');
  assert.deepEqual(await worker.call('timers'), []);
});
