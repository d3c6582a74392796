// A worker that tries indexed_db_backend by the kit, for indexed_db_kit_test.mjs.

#include "browser/kit_clock.hpp"

#include <ilm/backends/indexed_db.hpp>
#include <ilm/testing/backend_kit.hpp>

#include <asio/io_context.hpp>

#include <cstdint>
#include <emscripten.h>
#include <map>
#include <string>

// clang-format off
EM_JS(void, ilm_test_fail, (const char* mode, bool on), {
  const failing = self.failing || (self.failing = new Set());
  on ? failing.add(UTF8ToString(mode)) : failing.delete(UTF8ToString(mode));
  if (self.patched) return;
  self.patched = true;
  const { transaction } = IDBDatabase.prototype;
  IDBDatabase.prototype.transaction = function (names, mode, options) {
    const made = transaction.call(this, names, mode, options);
    if (failing.has(mode || 'readonly')) queueMicrotask(() => made.abort());
    return made;
  };
});

EM_ASYNC_JS(void, ilm_test_copy, (const char* from, const char* to), {
  const result = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const [source, target] = [UTF8ToString(from), UTF8ToString(to)];
  const old = await result(indexedDB.open(source));
  const tables = [...old.objectStoreNames];
  const opening = indexedDB.open(target, old.version);
  opening.onupgradeneeded = () => tables.forEach((table) => opening.result.createObjectStore(table));
  const made = await result(opening);
  if (tables.length !== 0) {
    const reading = old.transaction(tables);
    const all = await Promise.all(tables.map((table) => Promise.all([
      result(reading.objectStore(table).getAllKeys()), result(reading.objectStore(table).getAll())])));
    const writing = made.transaction(tables, 'readwrite');
    tables.forEach((table, i) => all[i][0].forEach((key, at) => {
      writing.objectStore(table).put(all[i][1][at], key);
    }));
    await new Promise((resolve) => { writing.oncomplete = resolve; });
  }
  old.close();
  made.close();
});

// Flips a bit at the end of the rows whose key ends so; 0: of the store's own.
EM_ASYNC_JS(void, ilm_test_damage, (const char* name, const char* table, int index), {
  const database = await new Promise((resolve) => {
    const request = indexedDB.open(UTF8ToString(name));
    request.onsuccess = () => resolve(request.result);
  });
  const transaction = database.transaction(UTF8ToString(table), 'readwrite');
  transaction.objectStore(UTF8ToString(table)).openCursor().onsuccess = ({ target: { result: cursor } }) => {
    if (!cursor) return;
    if (index === 0 || new DataView(cursor.key).getUint32(12) === index) {
      const row = new Uint8Array(cursor.value);
      row[row.length - 1] ^= 1;
      cursor.update(row.buffer);
    }
    cursor.continue();
  };
  await new Promise((resolve) => { transaction.oncomplete = resolve; });
  database.close();
});
// clang-format on

namespace {

using ilm::testing::backend_clause;
using ilm::testing::kit_outcome;
using ilm::testing::kit_report;

class stores {
 public:
  ilm::indexed_db_backend<> operator()(unsigned n) { return ilm::indexed_db_backend<>(name(n)); }

  void fail_commits(unsigned, bool on) { ilm_test_fail("readwrite", on); }
  void fail_reads(unsigned, bool on) { ilm_test_fail("readonly", on); }
  void fail_opens(unsigned, bool on) { fail_reads(0, on); }

  /// The worker's end, of which a copy of the database is a picture.
  void crash(unsigned n) {
    std::string old = name(n);
    ++generations_[n];
    ilm_test_copy(old.c_str(), name(n).c_str());
  }

  void damage(unsigned n, ilm::queue which, const std::string&, std::uint64_t index) {
    const char* table = which == ilm::queue::outbox ? "outbox" : "inbox";
    ilm_test_damage(name(n).c_str(), table, static_cast<int>(index));
  }
  void damage(unsigned n) { ilm_test_damage(name(n).c_str(), "store", 0); }

 private:
  std::string name(unsigned n) {
    return "kit " + std::to_string(n) + "." + std::to_string(generations_[n]);
  }

  std::map<unsigned, unsigned> generations_;
};

std::string findings;

void note(const kit_report<backend_clause>& r) {
  const char* outcome = r.outcome == kit_outcome::broken    ? "broken"
                        : r.outcome == kit_outcome::skipped ? "skipped"
                                                            : "kept";
  findings.append(outcome).append(": ").append(r.text);
  if (!r.found.empty()) findings.append("\n  found: ").append(r.found);
  findings.append("\n");
}

}  // namespace

extern "C" {

EMSCRIPTEN_KEEPALIVE int run_kit() {
  static asio::io_context context;
  stores factory;
  ilm::testing::kit_options options;
  options.limit = std::chrono::seconds(30);
  auto summary =
      ilm::testing::try_backend<std::string, test::kit_clock>(context, factory, note, options);
  return static_cast<int>(summary.broken.size());
}

EMSCRIPTEN_KEEPALIVE const char* findings_text() { return findings.c_str(); }
}

int main() {}
