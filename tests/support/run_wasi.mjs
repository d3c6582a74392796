// node run_wasi.mjs <module> [<argument>...]: runs a module that needs nothing but WASI's preview 1.

import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';

const [, , file, ...rest] = process.argv;
const wasi = new WASI({ version: 'preview1', args: [file, ...rest], env: process.env, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(file));
process.exitCode = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
