// The SQLite store, opened on a file that was damaged. A store that was written by several commits
// is taken with its log, both are changed as the input says, and then it is opened, read, written
// and opened again. It must give the contents up to some commit, or an error.

#include "fuzz/input.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/backends/sqlite/store.hpp>
#include <ilm/error.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdlib.h>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace ilm;
using detail::sqlite_store;
using fuzz::require;
using file_bytes = std::vector<char>;
namespace fs = std::filesystem;

/// A directory in memory where there is one, gone with the process.
struct place {
  place() {
    std::error_code none;
    fs::path parent = fs::is_directory("/dev/shm", none) ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (parent / "ilm_fuzz.XXXXXX").string();
    require(mkdtemp(name.data()) != nullptr, "no directory to work in");
    directory = name;
  }
  ~place() {
    std::error_code ignored;
    fs::remove_all(directory, ignored);
  }
  fs::path operator/(const char* name) const { return directory / name; }

  fs::path directory;
};

file_bytes read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void write_file(const fs::path& file, const file_bytes& contents) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  require(bool(out), "the working directory is full");
}

// The contents given to the store.

constexpr std::array<const char*, 2> peers{"bob", "carol"};
constexpr incarnation identity{11, 12};

std::span<const std::byte> name_of(std::size_t peer) {
  return std::as_bytes(std::span(std::string_view(peers[peer])));
}

/// The only message that has this place, so that any other is a wrong one.
stored_message message_at(std::size_t peer, queue which, std::uint64_t index) {
  std::string text = std::string(peers[peer]) + (which == queue::outbox ? " out " : " in ") +
                     std::to_string(index) + ' ';
  // Some fill more than a page of the database.
  text.resize(text.size() + (index % 7 == 0 ? 6000 : index * 37 % 400), '.');
  stream_hash hash{index * 3, ~index};
  return {index, which == queue::outbox ? index : index + 5, index % 4, hash, bytes(text)};
}

/// Where a peer stands after so many commits.
cursors cursors_at(std::size_t peer, std::uint64_t commits) {
  cursors c;
  c.history.mark = stamp{commits, peer + 1};
  c.history.base = 1;
  c.history.seen = stamp{commits, peer + 20};
  c.outbox.stream = c.inbox.stream = stamp{1, 7};
  c.outbox.next = commits * 4 + peer + 1;
  c.outbox.first = commits * 2 + 1;
  c.inbox.next = commits * 3 + 1;
  c.inbox.first = commits + 1;
  c.inbox.offset = 5;
  c.outbox.acknowledged = c.outbox.first - 1;
  return c;
}

std::vector<stored_message> messages(std::size_t peer, queue which, std::uint64_t from,
                                     std::uint64_t to) {
  std::vector<stored_message> all;
  for (; from < to; ++from) all.push_back(message_at(peer, which, from));
  return all;
}

void commit(sqlite_store& s, std::size_t peer, const cursors& was, const cursors& is) {
  auto outbox = messages(peer, queue::outbox, was.outbox.next, is.outbox.next);
  auto inbox = messages(peer, queue::inbox, was.inbox.next, is.inbox.next);
  s.change([&] { s.put(name_of(peer), is, outbox, inbox); });
}

constexpr std::uint64_t all_commits = 10;

struct template_files {
  file_bytes main, log;
};

sqlite_options options_of_all() {
  sqlite_options o;
  o.busy_timeout = std::chrono::milliseconds(0);
  o.cache_kibibytes = 256;
  return o;
}

std::unique_ptr<sqlite_store> open(const fs::path& file) {
  return std::make_unique<sqlite_store>(file.string(), options_of_all(), durability::os);
}

/// Half of the commits in the file, half in its log, as kill -9 leaves it.
template_files make_template() {
  place where;
  fs::path file = where / "store";
  template_files made;
  for (int half = 0; half < 2; ++half) {
    std::unique_ptr<sqlite_store> s = open(file);
    s->load();
    if (half == 0) s->change([&] { s->set_identity(identity, name_of(0)); });
    std::uint64_t from = half == 0 ? 1 : all_commits / 2 + 1;
    std::uint64_t to = half == 0 ? all_commits / 2 : all_commits;
    for (std::uint64_t n = from; n <= to; ++n) {
      for (std::size_t peer = 0; peer < peers.size(); ++peer) {
        commit(*s, peer, n == 1 ? cursors() : cursors_at(peer, n - 1), cursors_at(peer, n));
      }
    }
    if (half == 0) continue;
    made.main = read_file(file);
    made.log = read_file(where / "store-wal");
  }
  require(made.main.size() > 4096 && made.log.size() > 4096, "the store is not as it is meant");
  return made;
}

// Damage.

void damage(fuzz::input& in, file_bytes& file) {
  if (file.empty()) return;
  std::size_t at = in.number<std::uint32_t>() % file.size();
  // Most of SQLite's own data stands at the beginning of a page, or of the file.
  std::uint8_t how = in.byte();
  if ((how & 8) != 0) at = at / 4096 * 4096 + at % 128;
  if ((how & 16) != 0) at %= 100;
  at = std::min(at, file.size() - 1);
  switch (how % 8) {
    case 0:
      file[at] = static_cast<char>(file[at] ^ (1 << in.below(8)));
      return;
    case 1:
      file[at] = static_cast<char>(in.byte());
      return;
    case 2:
      file.resize(at);
      return;
    case 3:
      file.resize(file.size() + in.number<std::uint16_t>(), static_cast<char>(in.byte()));
      return;
    case 4: {
      std::size_t size = std::min<std::size_t>(in.number<std::uint16_t>(), file.size() - at);
      std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at), size,
                  static_cast<char>(in.byte()));
      return;
    }
    case 5: {  // a page in the place of another, as a write that went astray leaves it
      std::size_t pages = file.size() / 4096;
      if (pages == 0) return;
      std::size_t from = in.byte() % pages, to = in.byte() % pages;
      std::copy_n(file.begin() + static_cast<std::ptrdiff_t>(from * 4096), 4096,
                  file.begin() + static_cast<std::ptrdiff_t>(to * 4096));
      return;
    }
    default: {
      std::span<const std::byte> garbage = in.take(in.below(16));
      for (std::size_t i = 0; i < garbage.size() && at + i < file.size(); ++i) {
        file[at + i] = static_cast<char>(garbage[i]);
      }
    }
  }
}

// Oracles.

void check_known(const std::system_error& e) {
  const std::error_category& c = e.code().category();
  require(c == sqlite_category() || e.code() == error::store_corrupt,
          "an error of an unknown kind");
  int primary = e.code().value() & 0xff;
  require(c != sqlite_category() || primary != SQLITE_MISUSE, "SQLite is misused");
}

template <class Operation>
bool succeeds(Operation operation) {
  try {
    operation();
    return true;
  } catch (const std::system_error& e) {
    check_known(e);
    return false;
  }
}

/// The messages of a queue from its first on: those that were written there, in order. Where one is
/// missing, the messenger reads an empty page or an error, and takes both for damage.
void check_queue(sqlite_store& s, std::size_t peer, queue which, std::uint64_t first,
                 std::uint64_t next) {
  for (std::uint64_t from = first; from < next;) {
    std::vector<stored_message> page;
    if (!succeeds([&] { page = s.read(which, name_of(peer), from, page_limit(5, 3000)); })) return;
    if (page.empty()) return;
    for (const stored_message& m : page) {
      stored_message expected = message_at(peer, which, from++);
      require(m.index == expected.index && m.sequence == expected.sequence &&
                  m.salt == expected.salt && m.hash == expected.hash &&
                  m.contents == expected.contents,
              "a message was altered");
    }
  }
}

std::size_t peer_of(const bytes& name) {
  auto at = std::find(peers.begin(), peers.end(), name.text());
  require(at != peers.end(), "a peer was made up");
  return static_cast<std::size_t>(at - peers.begin());
}

/// The number of commits after which the cursors were so.
std::uint64_t commits_of(std::size_t peer, const cursors& c) {
  for (std::uint64_t n = 1; n <= all_commits + 1; ++n) {
    if (c == cursors_at(peer, n)) return n;
  }
  fuzz::fail("cursors were altered");
}

using state = sqlite_store::state;

bool load(sqlite_store& s, state& found) {
  return succeeds([&] { found = s.load(); });
}

void check_state(sqlite_store& s, const state& found) {
  require(!found.local || found.local == identity, "an incarnation was altered");
  require(found.local_id.empty() || found.local_id.text() == peers[0], "a local id was altered");
  // Peers without an incarnation would be a new store that remembers.
  for (const auto& [name, c] : found.peers) {
    std::size_t peer = peer_of(name);
    commits_of(peer, c);
    check_queue(s, peer, queue::outbox, c.outbox.first, c.outbox.next);
    check_queue(s, peer, queue::inbox, c.inbox.first, c.inbox.next);
  }
}

/// One more commit for the first peer, which must be there afterwards if it succeeds.
void go_on(const fs::path& file, std::unique_ptr<sqlite_store> s, const state& found) {
  if (found.peers.empty()) return;
  std::size_t peer = peer_of(found.peers.front().first);
  const cursors was = found.peers.front().second;
  std::uint64_t n = commits_of(peer, was);
  if (n > all_commits) return;
  cursors is = cursors_at(peer, n + 1);
  bool stored = succeeds([&] { commit(*s, peer, was, is); });
  s.reset();
  std::unique_ptr<sqlite_store> again;
  state then;
  if (!succeeds([&] { again = open(file); }) || !load(*again, then)) return;
  check_state(*again, then);
  for (const auto& [name, c] : then.peers) {
    if (peer_of(name) == peer) return require(!stored || c == is, "a commit is gone");
  }
  require(!stored, "a peer is gone");
}

void check(const fs::path& file) {
  std::unique_ptr<sqlite_store> s;
  state found;
  if (!succeeds([&] { s = open(file); }) || !load(*s, found)) return;
  check_state(*s, found);
  go_on(file, std::move(s), found);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const place where;
  static const template_files original = make_template();
  fuzz::input in(std::as_bytes(std::span(data, size)));
  template_files files = original;
  bool has_log = in.coin();
  for (int i = 0; i < 8 && !in.empty(); ++i) {
    damage(in, has_log && in.coin() ? files.log : files.main);
  }
  fs::path file = where / "store";
  std::error_code ignored;
  // A new file, for what the last life knew of it is of no file that a disk damaged.
  for (const char* part : {"store", "store-shm", "store-last"}) fs::remove(where / part, ignored);
  write_file(file, files.main);
  if (has_log) {
    write_file(where / "store-wal", files.log);
  } else {
    fs::remove(where / "store-wal", ignored);
  }
  check(file);
  return 0;
}
