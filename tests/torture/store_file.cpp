#include "store_file.hpp"

#include <sqlite3.h>

#include <memory>
#include <stdexcept>

namespace torture {
namespace {

using connection = std::unique_ptr<sqlite3, decltype(&sqlite3_close)>;
using statement = std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)>;

connection open(const std::filesystem::path& file) {
  sqlite3* raw = nullptr;
  int failed = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
  connection opened(raw, &sqlite3_close);
  if (failed != SQLITE_OK) throw std::runtime_error(file.string() + ": " + sqlite3_errmsg(raw));
  return opened;
}

std::string ask(const connection& store, const std::string& question) {
  sqlite3_stmt* raw = nullptr;
  sqlite3_prepare_v2(store.get(), question.c_str(), -1, &raw, nullptr);
  statement prepared(raw, &sqlite3_finalize);
  if (raw == nullptr || sqlite3_step(raw) != SQLITE_ROW) {
    throw std::runtime_error(question + ": " + sqlite3_errmsg(store.get()));
  }
  return reinterpret_cast<const char*>(sqlite3_column_text(raw, 0));
}

}  // namespace

store_file::store_file(const std::filesystem::path& file) {
  connection store = open(file);
  integrity = ask(store, "PRAGMA integrity_check");
  outbox = std::stoull(ask(store, "SELECT count(*) FROM ilm_outbox"));
  inbox = std::stoull(ask(store, "SELECT count(*) FROM ilm_inbox"));
}

void copy_store(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* part : {"", "-wal"}) {
    std::filesystem::path source = from.string() + part, target = to.string() + part;
    std::filesystem::remove(target);
    if (std::filesystem::exists(source)) std::filesystem::copy_file(source, target);
  }
  // SQLite rebuilds its shared memory from the other files.
  std::filesystem::remove(to.string() + "-shm");
}

}  // namespace torture
