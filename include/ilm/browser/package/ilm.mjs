// Durable, ordered messages, each once, between this page and its peers: see README.md and ilm.d.ts.

const text_encoder = new TextEncoder();
const text_decoder = new TextDecoder();

/// Why something failed: `text` says what to do. `category` and `number` are those of the C++ error.
export class IlmError extends Error {
  constructor({ text, category, number }) {
    super(text);
    this.name = 'IlmError';
    this.category = category;
    this.number = number;
  }
}

/// Numbers the calls of the worker, and hands out its answers.
class Calls {
  #worker;
  #open = new Map();
  #last = 0;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data: { id, value, error } }) => {
      const call = this.#open.get(id);
      this.#open.delete(id);
      if (error) call?.reject(new IlmError(error));
      else call?.resolve(value);
    };
    worker.onerror = (event) => this.end(`the worker failed: ${event.message}`);
  }

  make(name, ...values) {
    const id = ++this.#last;
    const answer = new Promise((resolve, reject) => this.#open.set(id, { resolve, reject }));
    this.#worker.postMessage({ id, name, values });
    return answer;
  }

  end(text) {
    this.#worker.terminate();
    const why = new IlmError({ text, category: 'javascript', number: 0 });
    for (const { reject } of this.#open.values()) reject(why);
    this.#open.clear();
    this.make = () => Promise.reject(why);
  }
}

class Message {
  #calls;

  constructor(calls, { from, sequence, index, bytes, type }) {
    this.#calls = calls;
    Object.assign(this, { from, sequence, index, bytes, type });
  }
  text() {
    return text_decoder.decode(this.bytes);
  }
  json() {
    return JSON.parse(this.text());
  }
  consume() {
    return this.#calls.make('consume');
  }
}

/// `take` gives the next value, and fails when there will be none. A loop over it that is left does not end it.
function stream(take, is_closed) {
  const next = async () => {
    try {
      return { value: await take(), done: false };
    } catch (error) {
      if (is_closed()) return { value: undefined, done: true };
      throw error;
    }
  };
  let last = Promise.resolve();
  return {
    // One after the other, for the next message is that behind one that was given.
    next: () => (last = last.then(next, next)),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function coded(contents) {
  if (contents instanceof ArrayBuffer) return [new Uint8Array(contents), ''];
  if (ArrayBuffer.isView(contents)) {
    return [new Uint8Array(contents.buffer, contents.byteOffset, contents.byteLength), ''];
  }
  if (typeof contents === 'string') return [text_encoder.encode(contents), 'text/plain;charset=utf-8'];
  const text = JSON.stringify(contents);
  if (text === undefined) throw new TypeError('contents must be bytes, a text, or a value that JSON can tell');
  return [text_encoder.encode(text), 'application/json'];
}

class Messenger {
  #calls;
  #url;
  #known = new Map();
  #closed = false;

  constructor(calls, id, url) {
    this.#calls = calls;
    this.#url = url;
    this.id = id;
    const is_closed = () => this.#closed;
    this.inbox = stream(async () => new Message(calls, await calls.make('receive')), is_closed);
    this.events = stream(() => calls.make('next_event'), is_closed);
  }

  /// Dials a peer at a URL from now on.
  addPeer(peer, url) {
    const added = this.#calls.make('add_peer', peer, String(new URL(url, globalThis.location?.href)).replace(/^http/, 'ws'));
    this.#known.set(peer, added);
    return added;
  }

  async send(peer, contents) {
    const [bytes, type] = coded(contents);
    if (!this.#known.has(peer) && this.#url) this.addPeer(peer, this.#url);
    await this.#known.get(peer);
    return this.#calls.make('send', peer, bytes, type);
  }

  delivered(peer, sequence) {
    return this.#calls.make('delivered', peer, sequence);
  }

  /// A hint that peers may be reachable now.
  async reconnect() {
    await this.#calls.make('reconnect');
  }

  async close({ timeout = 5000 } = {}) {
    if (!(timeout >= 0)) throw new RangeError('close needs a timeout of 0 ms or more');
    this.#closed = true;
    const undelivered = await this.#calls.make('shutdown', timeout);
    this.#calls.end('the messenger is closed; open another one');
    return { undelivered };
  }
}

export async function open({ id, url, peers = {}, store = '', worker }) {
  if (!id) throw new TypeError('open needs an id: the name under which peers know this side');
  const calls = new Calls(worker ?? new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' }));
  try {
    await calls.make('open', id, store);
    const messenger = new Messenger(calls, id, url);
    await Promise.all(Object.entries(peers).map(([peer, where]) => messenger.addPeer(peer, where)));
    return messenger;
  } catch (error) {
    calls.end('the messenger could not be opened');
    throw error;
  }
}
