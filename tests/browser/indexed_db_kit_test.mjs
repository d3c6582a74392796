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

test('indexed_db_backend keeps its contract', async () => {
  const worker = await page.start('indexed_db_kit');
  await worker.call('run_kit');
  const findings = (await worker.call('findings_text')).split('\n');
  assert.deepEqual(findings.filter((line) => !line.startsWith('kept: ')), ['']);
  assert.equal(findings.length, 49);
});
