// Prints how large the package is, as a browser gets it.
//   node sizes.mjs FOLDER

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';

const files = ['ilm.mjs', 'worker.mjs', 'module.mjs', 'module.wasm'];
const all = files.map((name) => readFileSync(join(process.argv[2], name)));
const sum = (size) => `${Math.ceil(all.reduce((total, file) => total + size(file), 0) / 1000)} KB`;

console.log(
  `The package: ${sum((file) => file.length)}, with brotli ${sum((file) => brotliCompressSync(file).length)}, ` +
    `with gzip ${sum((file) => gzipSync(file, { level: 9 }).length)}`,
);
