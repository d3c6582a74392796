// What the tests share: a server for the page and the modules, and a browser.
//   ILM_BROWSER_BUILD   the folder of the modules and of playwright-core: build/browser (cmake/browser.cmake)
//   ILM_CHROMIUM        the browser's program

import { createServer } from 'node:http';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer as create_listener } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const build = process.env.ILM_BROWSER_BUILD;
const here = fileURLToPath(new URL('.', import.meta.url));
const { chromium } = createRequire(join(build, 'package.json'))('playwright-core');

const types = { '.html': 'text/html', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

async function serve(request, response) {
  const { pathname } = new URL(request.url, 'http://localhost');
  const folder = pathname.startsWith('/build/') ? build : here;
  try {
    const body = await readFile(join(folder, basename(pathname)));
    response.writeHead(200, { 'content-type': types[extname(pathname)] ?? 'text/plain' });
    response.end(body);
  } catch {
    response.writeHead(404);
    response.end();
  }
}

const own_program = { executablePath: process.env.ILM_CHROMIUM, args: ['--no-sandbox', '--headless=new'] };

/// A browser without a server: `newContext()` is somebody who uses it.
export const launch = () => chromium.launch(own_program);

/// A browser with a profile of its own, and a server for its pages. `close()` ends both.
export async function open_browser() {
  const server = createServer(serve);
  await new Promise((listening) => server.listen(0, 'localhost', listening));
  const profile = await mkdtemp(join(tmpdir(), 'ilm_browser.'));
  const context = await chromium.launchPersistentContext(profile, own_program);
  const origin = `http://localhost:${server.address().port}`;
  return {
    context,
    origin,
    open_page: () => open_page(context, origin),
    async close() {
      await context.close();
      server.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/// A port of this machine where nobody listens.
export async function free_port() {
  const server = create_listener();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/// A browser that treats its tabs as those of a user: playwright's own makes each believe that it is the one in front.
/// `context.newPage()` opens a tab, `page.bringToFront()` hides the others.
export async function open_users_browser(...args) {
  const port = await free_port();
  const browser = await chromium.launch({
    ...own_program,
    args: [...own_program.args, `--remote-debugging-port=${port}`, ...args],
    ignoreDefaultArgs: [
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
    ],
  });
  const users = await chromium.connectOverCDP(`http://127.0.0.1:${port}`, { noDefaults: true });
  return { context: users.contexts()[0], close: () => browser.close() };
}

/// A tab.
async function open_page(context, origin) {
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(`${origin}/page.html`);
  return { page, errors, start: (module) => start(page, module), close: () => page.close() };
}

/// A worker of the tab with this module. Its functions are called by name; `until` calls one until the result is as wanted.
async function start(page, module) {
  const worker = await page.evaluateHandle((name) => start(name), module);
  const call = (...what) => page.evaluate(([w, ...rest]) => call(w, ...rest), [worker, ...what]);
  const until = async (name, wanted) => {
    for (;;) {
      const result = await call(name);
      if (wanted(result)) return result;
    }
  };
  return { call, until, end: () => worker.evaluate((w) => w.terminate()) };
}
