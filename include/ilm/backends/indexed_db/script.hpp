#pragma once

#include <emscripten.h>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdollar-in-identifier-extension"

namespace ilm::inline v0::detail {

/// The part of an indexed_db_backend in JavaScript, Module["ilmStores"]: what connection.hpp calls.
/// Each operation ends the call (script_call.hpp) whose number it is given, with an exception of
/// the browser's, or one whose name is `InUse`, `Unavailable`, `Foreign`, `Lost` or `TakenOver`.
inline void install_indexed_db_script() {
  static bool installed = false;
  if (installed) return;
  installed = true;
  // clang-format off
  EM_ASM(({
    const calls = {
      get: (call) => Module["ilmCalls"].open.get(call) || { results: [] },
      finish: (call, error) => Module["ilmCalls"].finish(call, error),
    };
    const tables = ["store", "peer", "outbox", "inbox"];
    const bytesOf = (row) => new Uint8Array(row instanceof ArrayBuffer ? row : 0);
    const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
    const numberOf = (key) => {
      const row = new DataView(new ArrayBuffer(8));
      row.setBigUint64(0, typeof key === "number" ? BigInt(key) : 0n);
      return new Uint8Array(row.buffer);
    };
    const end = (call, transaction, why) => {
      transaction.oncomplete = () => calls.finish(call);
      transaction.onabort = () => {
        calls.finish(call, why.error || transaction.error || new DOMException("", "AbortError"));
      };
    };

    Module["ilmStores"] = {
      last: 0,
      open: new Map(),
      // The store of this page that has, or just had, the lock of a name.
      holders: new Map(),

      make(name) {
        this.open.set(++this.last, { name, database: null, closed: false, release() {} });
        return this.last;
      },

      close(number) {
        const store = this.open.get(number);
        this.open.delete(number);
        store.closed = true;
        if (store.database) store.database.close();
        store.release();
      },

      // Of two stores in one page the second learns at once that the first has the name. Another page that is
      // just being unloaded has the lock for a moment longer.
      lock(call, number, wait) {
        const store = this.open.get(number);
        const before = this.holders.get(store.name);
        if (!self.indexedDB || !navigator.locks) return calls.finish(call, { name: "Unavailable" });
        if (before && !before.closed) return calls.finish(call, { name: "InUse" });
        const options = wait > 0 ? { signal: AbortSignal.timeout(wait) } : { ifAvailable: true };
        const hold = (lock) => {
          if (!lock) throw { name: "TimeoutError" };
          if (store.closed) return;
          calls.finish(call);
          return new Promise((release) => { store.release = release; });
        };
        this.holders.set(store.name, store);
        store.released = Promise.resolve(before && before.released)
          .then(() => navigator.locks.request("ilm:" + store.name, options, hold))
          .catch((error) => {
            calls.finish(call, error.name === "TimeoutError" ? { name: "InUse" } : error);
          })
          .then(() => {
            if (this.holders.get(store.name) === store) this.holders.delete(store.name);
          });
      },

      // `row`: the first row of a store that does not exist yet; empty if it has to. The results are the store's own
      // row, and the number and row of each peer.
      connect(call, number, version, row) {
        const store = this.open.get(number);
        const why = {};
        let request;
        try {
          request = indexedDB.open(store.name, version);
        } catch (error) {
          return calls.finish(call, error);
        }
        request.onblocked = () => calls.finish(call, { name: "Foreign" });
        request.onupgradeneeded = ({ oldVersion }) => {
          if (oldVersion !== 0 || row.length === 0) {
            why.error = { name: oldVersion !== 0 ? "Foreign" : "Lost" };
            return request.transaction.abort();
          }
          for (const table of tables) request.result.createObjectStore(table);
          request.transaction.objectStore("store").put(row.buffer, 1);
        };
        request.onerror = () => calls.finish(call, why.error || request.error);
        request.onsuccess = () => {
          const database = request.result;
          const known = tables.every((table) => database.objectStoreNames.contains(table));
          if (store.closed || !known) {
            database.close();
            return calls.finish(call, { name: "Foreign" });
          }
          // Two operations may have found it closed.
          if (store.database) store.database.close();
          store.database = database;
          database.onclose = () => {
            if (store.database === database) store.database = null;
          };
          this.load(call, database);
        };
      },

      load(call, database) {
        const { results } = calls.get(call);
        let transaction;
        try {
          transaction = database.transaction(["store", "peer"]);
        } catch (error) {
          return calls.finish(call, error);
        }
        end(call, transaction, {});
        const owner = transaction.objectStore("store").get(1);
        owner.onsuccess = () => results.push(bytesOf(owner.result));
        const peers = transaction.objectStore("peer");
        const keys = peers.getAllKeys();
        const rows = peers.getAll();
        rows.onsuccess = () => rows.result.forEach((row, i) => {
          results.push(numberOf(keys.result[i]), bytesOf(row));
        });
      },

      // One change: begin, put and erase in one turn. It ends as soon as the database has it for good. If the
      // store's own row is not `expected`, nothing changes.
      begin(call, number, expected) {
        const store = this.open.get(number);
        const change = calls.get(call);
        try {
          const transaction = this.transaction(store, tables, "readwrite");
          end(call, transaction, change);
          const owner = transaction.objectStore("store").get(1);
          owner.onsuccess = () => {
            if (same(bytesOf(owner.result), expected)) return;
            change.error = { name: owner.result === undefined ? "Lost" : "TakenOver" };
            transaction.abort();
          };
          change.transaction = transaction;
        } catch (error) {
          calls.finish(call, error);
        }
      },
      abort(call) {
        const { transaction } = calls.get(call);
        if (transaction) transaction.abort();
      },
      put(call, table, key, row) {
        this.write(call, table, (rows) => rows.put(row.buffer, key));
      },
      erase(call, table, range) {
        this.write(call, table, (rows) => rows.delete(range));
      },
      write(call, table, work) {
        const change = calls.get(call);
        if (!change.transaction) return;
        try {
          work(change.transaction.objectStore(table));
        } catch (error) {
          const { transaction } = change;
          change.transaction = null;
          change.error = error;
          transaction.abort();
        }
      },

      // The results are the keys and rows of messages.
      read(call, number, table, range, head, count, limit) {
        const { results } = calls.get(call);
        try {
          const transaction = this.transaction(this.open.get(number), table, "readonly");
          end(call, transaction, {});
          const request = transaction.objectStore(table).openCursor(range);
          let size = 0;
          request.onsuccess = () => {
            const cursor = request.result;
            if (!cursor) return;
            const row = bytesOf(cursor.value);
            size += row.length - head;
            if (results.length !== 0 && size > limit) return;
            results.push(bytesOf(cursor.key), row);
            if (results.length < 2 * count) cursor.continue();
          };
        } catch (error) {
          calls.finish(call, error);
        }
      },

      // The browser may have closed the database: its `close` event comes later.
      transaction(store, names, mode) {
        try {
          return store.database.transaction(names, mode, { durability: "strict" });
        } catch (error) {
          store.database = null;
          throw error;
        }
      },
    };
  }));
// clang-format on
}

}  // namespace ilm::inline v0::detail

#pragma clang diagnostic pop
