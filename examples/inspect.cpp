// Shows the content of a SQLite store, also while a messenger has it open:
//
//   inspect alice.chat.db            a table
//   inspect alice.chat.db --json     the same for programs
//
// A store is an ordinary database with a documented schema (ilm/backends/sqlite/store.hpp), so the
// sqlite3 shell can read it as well. It is opened for reading only, and read in one transaction, so
// that all values are of one moment. Everything but the sizes comes from the cursors, in time by
// peers; the bytes of a queue are counted message by message, and --fast leaves them out.

#include "support/program.hpp"

#include <ilm/message.hpp>

#include <nlohmann/json.hpp>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using json = nlohmann::ordered_json;

constexpr std::string_view usage =
    "usage: inspect STORE [--prefix PREFIX] [--json] [--fast]\n"
    "Shows the peers, cursors and sizes of an ILM store in a SQLite file.\n"
    "  --prefix PREFIX  how the names of its tables begin (default ilm_)\n"
    "  --json           for programs; times are in milliseconds\n"
    "  --fast           does not count the bytes of the messages, which looks at each of them\n";

struct arguments {
  std::string file;
  std::string prefix = "ilm_";
  bool as_json = false;
  bool fast = false;
};

arguments parse(const std::vector<std::string>& words) {
  arguments parsed;
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (*word == "--json") {
      parsed.as_json = true;
    } else if (*word == "--fast") {
      parsed.fast = true;
    } else if (*word == "--prefix") {
      if (++word == words.end()) throw example::misuse("--prefix needs a value");
      parsed.prefix = *word;
    } else if (!word->starts_with('-') && parsed.file.empty()) {
      parsed.file = *word;
    } else {
      throw example::misuse("what is \"" + *word + "\"?");
    }
  }
  if (parsed.file.empty()) throw example::misuse("which store? Name its file");
  auto plain = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
  if (!std::all_of(parsed.prefix.begin(), parsed.prefix.end(), plain)) {
    throw example::misuse("a prefix is of letters, digits and underscores");
  }
  return parsed;
}

// --- reading ------------------------------------------------------------------------------------

struct queue_view {
  std::uint64_t depth = 0;
  std::optional<std::uint64_t> bytes;
  std::optional<std::chrono::milliseconds> oldest;
};

struct peer_view {
  std::string name;
  ilm::cursors where;
  queue_view outbox, inbox;
};

struct store_view {
  std::string file;
  std::uint64_t version = 0;
  std::string local_id;     ///< empty as the next one
  std::string incarnation;  ///< in hexadecimal; empty before the first messenger has created one
  std::uintmax_t file_bytes = 0, log_bytes = 0;
  std::uint64_t page_bytes = 0, pages = 0, free_pages = 0;
  std::vector<peer_view> peers;
};

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (char c : bytes) {
    auto value = static_cast<unsigned char>(c);
    text += digits[value >> 4];
    text += digits[value & 15];
  }
  return text;
}

/// A peer id is bytes to a store: text if it looks like that, otherwise in hexadecimal.
std::string readable(const std::string& name) {
  return ilm::printable(name) == name ? name : "0x" + hex(name);
}

/// The version of the schema that is read here.
constexpr std::uint64_t known_version = 5;

class reader {
 public:
  explicit reader(const arguments& asked) : asked_(asked) {
    example::require_readable(asked.file);
    sqlite3* opened = nullptr;
    int result = sqlite3_open_v2(asked.file.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
    database_.reset(opened);
    check(result);
    sqlite3_busy_timeout(opened, 5000);
    row(prepare("BEGIN"));
    refuse_other_files();
  }

  store_view read() const {
    store_view store;
    store.file = asked_.file;
    statement s = prepare("SELECT version, incarnation, local FROM " + asked_.prefix + "store");
    if (!row(s)) throw std::runtime_error("its table " + asked_.prefix + "store is empty");
    store.version = number(s, 0);
    store.incarnation = hex(blob(s, 1));
    store.local_id = readable(blob(s, 2));
    store.file_bytes = std::filesystem::file_size(asked_.file);
    std::error_code no_log;
    std::uintmax_t log = std::filesystem::file_size(asked_.file + "-wal", no_log);
    store.log_bytes = no_log ? 0 : log;
    store.page_bytes = number_of("PRAGMA page_size");
    store.pages = number_of("PRAGMA page_count");
    store.free_pages = number_of("PRAGMA freelist_count");
    statement peers =
        prepare("SELECT id, name, cursors FROM " + asked_.prefix + "peer ORDER BY id");
    while (row(peers)) store.peers.push_back(peer_of(peers));
    return store;
  }

 private:
  struct closer {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  using statement = std::unique_ptr<sqlite3_stmt, closer>;

  /// Refuses files that are no store, and stores of another version, before anything else is read.
  void refuse_other_files() const {
    if (number_of("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '" +
                  asked_.prefix + "store'") == 0) {
      throw std::runtime_error("the database has no table " + asked_.prefix +
                               "store: it is no ILM store, or one with another --prefix");
    }
    std::uint64_t version = number_of("SELECT version FROM " + asked_.prefix + "store");
    if (version > known_version) {
      throw std::runtime_error("the store is of version " + std::to_string(version) +
                               ", newer than this program knows; update it");
    }
    if (version < known_version) {
      throw std::runtime_error("the store is of version " + std::to_string(version) +
                               ", which is no longer read; the program that wrote it can");
    }
  }

  peer_view peer_of(const statement& s) const {
    peer_view p;
    p.name = readable(blob(s, 1));
    std::string stored = blob(s, 2);
    if (stored.size() != ilm::cursors::encoded_size) {
      throw std::runtime_error("the cursors of " + p.name +
                               " have a wrong size; restore the store");
    }
    auto encoded = std::as_bytes(std::span(stored));
    p.where = ilm::cursors::decode(encoded.first<ilm::cursors::encoded_size>());
    p.outbox = queue_of("outbox", number(s, 0), p.where.outbox.first, p.where.outbox.next);
    p.inbox = queue_of("inbox", number(s, 0), p.where.inbox.first, p.where.inbox.next);
    return p;
  }

  queue_view queue_of(const char* table, std::uint64_t peer, std::uint64_t first,
                      std::uint64_t next) const {
    // The key of a message: its peer's id, and 40 bits of its index.
    std::string all = " FROM " + asked_.prefix + table + " WHERE key BETWEEN " +
                      std::to_string(peer << 40) + " AND " + std::to_string(((peer + 1) << 40) - 1);
    queue_view queue;
    queue.depth = next - first;
    if (queue.depth > 0) {
      statement oldest = prepare("SELECT time" + all + " ORDER BY key LIMIT 1");
      if (row(oldest))
        queue.oldest = std::max(0ms, now() - std::chrono::milliseconds(number(oldest, 0)));
    }
    if (!asked_.fast)
      queue.bytes =
          number_of("SELECT total(length(contents) + ifnull(length(attributes), 0))" + all);
    return queue;
  }

  static std::chrono::milliseconds now() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
  }

  void check(int result) const {
    if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return;
    if (result == SQLITE_NOTADB) throw std::runtime_error("it is no SQLite database");
    throw std::runtime_error("SQLite cannot read it: " +
                             std::string(sqlite3_errmsg(database_.get())));
  }
  statement prepare(const std::string& sql) const {
    sqlite3_stmt* made = nullptr;
    check(sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &made, nullptr));
    return statement(made);
  }
  bool row(const statement& s) const {
    int result = sqlite3_step(s.get());
    check(result);
    return result == SQLITE_ROW;
  }
  std::uint64_t number_of(const std::string& sql) const {
    statement s = prepare(sql);
    return row(s) ? number(s, 0) : 0;
  }
  static std::uint64_t number(const statement& s, int column) {
    return static_cast<std::uint64_t>(sqlite3_column_int64(s.get(), column));
  }
  static std::string blob(const statement& s, int column) {
    const void* data = sqlite3_column_blob(s.get(), column);
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(s.get(), column));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
  }

  const arguments& asked_;
  std::unique_ptr<sqlite3, closer> database_;
};

// --- showing ------------------------------------------------------------------------------------

void add_queue(json& shown, const queue_view& queue) {
  shown["depth"] = queue.depth;
  if (queue.bytes) shown["bytes"] = *queue.bytes;
  if (queue.oldest) shown["oldest_age_ms"] = queue.oldest->count();
}

json json_of(const store_view& store) {
  json peers = json::array();
  for (const peer_view& p : store.peers) {
    json outbox{{"accepted", p.where.outbox.next - 1},
                {"acknowledged", p.where.outbox.acknowledged},
                {"delivered", p.where.outbox.first - 1}};
    json inbox{{"received", p.where.inbox.received()}, {"delivered", p.where.inbox.delivered()}};
    add_queue(outbox, p.outbox);
    add_queue(inbox, p.inbox);
    peers.push_back(json{{"peer", p.name}, {"outbox", outbox}, {"inbox", inbox}});
  }
  return json{{"file", store.file},
              {"version", store.version},
              {"incarnation", store.incarnation},
              {"local_id", store.local_id},
              {"file_bytes", store.file_bytes},
              {"log_bytes", store.log_bytes},
              {"page_bytes", store.page_bytes},
              {"pages", store.pages},
              {"free_pages", store.free_pages},
              {"peers", peers}};
}

std::string size_text(std::uintmax_t bytes) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < units.size(); ++unit) size /= 1024;
  std::ostringstream text;
  text << std::fixed << std::setprecision(unit == 0 ? 0 : 1) << size << ' ' << units[unit];
  return text.str();
}

std::string age_text(std::chrono::milliseconds age) {
  if (age < 1s) return std::to_string(age.count()) + " ms";
  if (age < 2min) return std::to_string(age / 1s) + " s";
  if (age < 2h) return std::to_string(age / 1min) + " min";
  if (age < 48h) return std::to_string(age / 1h) + " h";
  return std::to_string(age / 24h) + " days";
}

class table {
 public:
  explicit table(std::size_t width) : width_(static_cast<int>(width)) {}

  void print(const store_view& store, std::ostream& out) const {
    out << ilm::printable(store.file) << ": of "
        << (store.local_id.empty() ? "nobody yet" : store.local_id) << ", version " << store.version
        << ", incarnation " << (store.incarnation.empty() ? "none yet" : store.incarnation) << '\n'
        << size_text(store.file_bytes) << " and a log of " << size_text(store.log_bytes) << "; "
        << store.free_pages << " of " << store.pages << " pages are free\n\n";
    if (store.peers.empty()) {
      out << "no peer yet\n";
      return;
    }
    row(out, "", {"accepted", "received", "delivered", "waiting", "bytes", "oldest"});
    for (const peer_view& p : store.peers) {
      const ilm::cursors& c = p.where;
      print(out, "to " + p.name, std::to_string(c.outbox.next - 1), c.outbox.acknowledged,
            c.outbox.first - 1, p.outbox);
      print(out, "from " + p.name, "", c.inbox.received(), c.inbox.delivered(), p.inbox);
    }
  }

 private:
  void print(std::ostream& out, const std::string& name, const std::string& accepted,
             std::uint64_t received, std::uint64_t delivered, const queue_view& queue) const {
    row(out, name,
        {accepted, std::to_string(received), std::to_string(delivered), std::to_string(queue.depth),
         queue.bytes ? size_text(*queue.bytes) : "-",
         queue.oldest ? age_text(*queue.oldest) : "-"});
  }

  void row(std::ostream& out, const std::string& name,
           const std::array<std::string, 6>& cells) const {
    out << std::left << std::setw(width_) << name << std::right;
    for (const std::string& cell : cells) out << std::setw(12) << cell;
    out << '\n';
  }

  int width_;
};

void show(const store_view& store, bool as_json, std::ostream& out) {
  if (as_json) {
    out << json_of(store).dump(2, ' ', false, json::error_handler_t::replace) << '\n';
    return;
  }
  std::size_t width = 0;
  for (const peer_view& p : store.peers) width = std::max(width, p.name.size() + 6);
  table(width).print(store, out);
}

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) {
    arguments asked = parse(given);
    try {
      show(reader(asked).read(), asked.as_json, std::cout);
    } catch (const std::exception& e) {
      throw std::runtime_error(example::line_about(asked.file, example::line_of(e)));
    }
    return 0;
  };
  return example::run_program("inspect", usage, count, words, work);
}
