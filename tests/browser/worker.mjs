// The dedicated worker of a test: loads the module that its address names, and calls the module's functions for the
// page. The timers that it sets, and the errors that nobody caught, are there to be looked at.

const timers = new Map();
const { setTimeout: set_timeout, clearTimeout: clear_timeout } = self;
self.setTimeout = (call, delay, ...rest) => {
  const id = set_timeout(() => (timers.delete(id), call(...rest)), delay);
  timers.set(id, delay);
  return id;
};
self.clearTimeout = (id) => (timers.delete(id), clear_timeout(id));

const uncaught = [];
self.addEventListener('error', (event) => {
  event.preventDefault();
  uncaught.push(event.message);
});

const { default: load } = await import(`/build/${new URLSearchParams(location.search).get('module')}.mjs`);
const module = await load();

/// As a browser closes a database: for want of memory, or to clear it.
function close_database(database) {
  database.close();
  database.dispatchEvent(new Event('close'));
}

const own = {
  close_databases: () => {
    for (const { database } of module.ilmStores.open.values()) close_database(database);
  },
  // Closes a database at the end of its next change, whose outcome is not told.
  lose_next_answer: () => {
    const { transaction } = IDBDatabase.prototype;
    IDBDatabase.prototype.transaction = function (names, mode, options) {
      const made = transaction.call(this, names, mode, options);
      if (mode !== 'readwrite') return made;
      IDBDatabase.prototype.transaction = transaction;
      made.addEventListener('complete', (event) => {
        event.stopImmediatePropagation();
        close_database(this);
        made.onabort();
      });
      return made;
    };
  },
  timers: () => [...timers.values()],
  uncaught: () => uncaught,
};

self.onmessage = async ({ data: [id, name, ...values] }) => {
  try {
    if (own[name]) return self.postMessage([id, own[name]()]);
    const types = values.map((value) => typeof value);
    const text = name.endsWith('_text');
    self.postMessage([id, await module.ccall(name, text ? 'string' : 'number', types, values)]);
  } catch (error) {
    self.postMessage([id, undefined, module.getExceptionMessage?.(error)?.join(': ') ?? String(error)]);
  }
};
self.postMessage('ready');
