// The package's worker: the module's functions by name, for ilm.mjs.

import load from './module.mjs';

const text_encoder = new TextEncoder();
let module;

/// Calls an exported function with texts, numbers and bytes; texts and bytes are copied for the call.
function call(name, values) {
  const held = [];
  const keep = (bytes) => {
    const at = module._malloc(bytes.length);
    held.push(at);
    module.HEAPU8.set(bytes, at);
    return at;
  };
  const passed = values.flatMap((value) => {
    if (typeof value === 'string') return [keep(text_encoder.encode(`${value}\0`))];
    if (value instanceof Uint8Array) return [keep(value), value.length];
    return [value];
  });
  try {
    module[`_ilm_${name}`](...passed);
  } finally {
    for (const at of held) module._free(at);
  }
}

const replies = {
  answer(id, value, text, category, number) {
    self.postMessage(text === '' ? { id, value } : { id, error: { text, category, number } });
  },
  message(id, value) {
    self.postMessage({ id, value }, [value.bytes.buffer]);
  },
  event(id, value) {
    self.postMessage({ id, value });
  },
};

const ready = load({ ilm: replies }).then((loaded) => {
  module = loaded;
  // A network that is back is a hint that peers may be reachable; nobody waits for the answer.
  self.addEventListener('online', () => call('reconnect', [0]));
});

self.onmessage = async ({ data: { id, name, values } }) => {
  try {
    await ready;
    call(name, [id, ...values]);
  } catch (error) {
    self.postMessage({ id, error: { text: String(error), category: 'javascript', number: 0 } });
  }
};
