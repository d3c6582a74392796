// A SQLite store whose files are damaged, taken away or opened by others: it is noticed, and named.

#include "support/catch.hpp"
#include "support/fault_vfs.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite/files.hpp>
#include <ilm/backends/sqlite/last_commit.hpp>
#include <ilm/backends/sqlite/rows.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace test;
namespace fs = std::filesystem;

namespace {

using store_type = hand_driven<>;
using strings = std::vector<std::string>;

fs::path part_of(const fs::path& file, const std::string& part) { return file.string() + part; }

/// In place: the file stays the same one.
void overwrite(const fs::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}
void flip(const fs::path& file, std::size_t at) {
  std::fstream f(file, std::ios::binary | std::ios::in | std::ios::out);
  f.seekg(static_cast<std::streamoff>(at));
  char c = static_cast<char>(f.get() ^ 4);
  f.seekp(static_cast<std::streamoff>(at));
  f.put(c);
}

std::string text_of(const std::function<void()>& operation) {
  try {
    operation();
  } catch (const std::exception& e) {
    return e.what();
  }
  return {};
}

/// Runs SQL on a file, in a process of its own, whose end is then like any other process's.
void outsider_process(const fs::path& file, const std::string& sql) {
  setenv("ILM_TEST_FILE", file.c_str(), 1);
  setenv("ILM_TEST_SQL", sql.c_str(), 1);
  std::string program = fs::read_symlink("/proc/self/exe").string();
  std::string name = "an outsider in a process of its own";
  std::array<char*, 3> words{program.data(), name.data(), nullptr};
  posix_spawn_file_actions_t quietly;
  posix_spawn_file_actions_init(&quietly);
  posix_spawn_file_actions_addopen(&quietly, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  int failed = posix_spawn(&child, program.c_str(), &quietly, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&quietly);
  REQUIRE(failed == 0);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

/// A store of ten commits, of which the log has all, as the end of a process leaves it.
void make_crashed_store(const fs::path& file, ilm::cursors& c, const ilm::sqlite_options& o = {}) {
  store_type s(file, o);
  s.open();
  ilm::batch<std::string> first = append("bob", c, {"message 1"});
  first.new_incarnation = ilm::incarnation{1, 2};
  first.new_local_id = "alice";
  s.commit(first);
  for (int i = 2; i <= 10; ++i) s.commit(append("bob", c, {"message " + std::to_string(i)}));
  s.crash();
}

struct crashed_store {
  crashed_store() { make_crashed_store(file, c); }

  temporary_directory place;
  fs::path file = place / "s.db";
  ilm::cursors c;
};

strings ten_messages() {
  strings all;
  for (int i = 1; i <= 10; ++i) all.push_back("message " + std::to_string(i));
  return all;
}

/// As a messenger that finds no lock.
void third_opens_and_stores(const fs::path& file, const ilm::sqlite_options& o) {
  fs::remove(part_of(file, "-lock"));
  store_type s(file, o);
  ilm::cursors c = s.open().peers.at(0).second;
  s.commit(append("bob", c, {"of the third"}));
  s.crash();
}

/// Files with this user's rights, not with those of root, which may do all.
class as_nobody {
 public:
  as_nobody() { works_ = geteuid() == 0 && seteuid(65534) == 0; }
  as_nobody(const as_nobody&) = delete;
  as_nobody& operator=(const as_nobody&) = delete;
  ~as_nobody() {
    if (works_) static_cast<void>(seteuid(0));
  }

 private:
  bool works_ = false;
};

mode_t mode_of(const fs::path& file) {
  struct stat s {};
  REQUIRE(stat(file.c_str(), &s) == 0);
  return s.st_mode & 0777;
}

}  // namespace

TEST_CASE("an outsider in a process of its own", "[.]") {
  const char* file = std::getenv("ILM_TEST_FILE");
  const char* sql = std::getenv("ILM_TEST_SQL");
  REQUIRE((file != nullptr && sql != nullptr));
  outsider(file, sql);
}

TEST_CASE("sqlite: a file that goes from under its name fails the next commit, which names it") {
  temporary_directory place;
  fs::path file = place / "s.db";
  ilm::cursors c;
  store_type s(file);
  s.open();
  s.commit(append("bob", c, {"before"}));
  std::string part = GENERATE("", "-wal", "-shm");
  fs::path named = part_of(file, part), elsewhere = place / "elsewhere";
  int how = GENERATE(0, 1, 2, 3);
  CAPTURE(part, how);
  if (how == 0) fs::remove(named);
  if (how != 0) fs::rename(named, elsewhere);
  if (how == 2) fs::copy_file(elsewhere, named);
  if (how == 3) std::ofstream(named) << "something else";
  ilm::cursors then = c;
  ilm::batch<std::string> b = append("bob", then, {"after"});
  std::string why = text_of([&] { s.commit(b); });
  CHECK_THAT(why, ContainsSubstring(named.string()));
  CHECK(s.commit_error(b) == ilm::sqlite_error::file_moved);
  if (how == 0) return;
  // Where it comes back, the store goes on.
  fs::rename(elsewhere, named);
  CHECK_FALSE(s.commit_error(b));
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == strings{"before", "after"});
}

TEST_CASE("sqlite: a directory that is moved fails the next commit") {
  temporary_directory place;
  fs::create_directory(place / "here");
  ilm::cursors c;
  store_type s(place / "here" / "s.db");
  s.open();
  fs::rename(place / "here", place / "there");
  CHECK(s.commit_error(append("bob", c, {"x"})) == ilm::sqlite_error::file_moved);
}

TEST_CASE("sqlite: with a VFS of one's own, a file that goes is found by what SQLite knows") {
  fault_disk disk;
  temporary_directory place;
  ilm::cursors c;
  ilm::sqlite_options o;
  o.vfs = fault_disk::name;
  store_type s(place / "s.db", o);
  s.open();
  fs::rename(place / "s.db", place / "t.db");
  CHECK(s.commit_error(append("bob", c, {"x"})) == ilm::sqlite_error::file_moved);
}

TEST_CASE("sqlite: with a VFS of one's own, too, a store that is open is in use") {
  fault_disk disk;
  temporary_directory place;
  ilm::sqlite_options o;
  o.vfs = fault_disk::name;
  store_type first(place / "s.db", o), second(place / "s.db", o);
  first.open();
  CHECK(second.open_error() == ilm::error::store_in_use);
}

TEST_CASE("sqlite: reading the files of a store in its process does not give it free") {
  temporary_directory place;
  fs::path file = place / "s.db";
  ilm::cursors c;
  store_type first(file), second(file);
  first.open();
  first.commit(append("bob", c, {"1"}));
  for (const char* part : {"", "-wal", "-shm", "-last"}) content_of(part_of(file, part));
  CHECK(second.open_error() == ilm::error::store_in_use);
  // Nor does another connection find itself alone, and take the log away.
  outsider_process(file, "SELECT count(*) FROM ilm_outbox");
  CHECK(fs::exists(part_of(file, "-wal")));
  first.commit(append("bob", c, {"2"}));
  outsider_process(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  first.commit(append("bob", c, {"3"}));
  first.crash();
  CHECK_FALSE(second.open_error());
  CHECK(texts_of(second.read(ilm::queue::outbox, "bob", 1)) == strings{"1", "2", "3"});
}

TEST_CASE("sqlite: the end of a store leaves the locks of other connections of the process alone") {
  temporary_directory place;
  fs::path file = place / "s.db";
  outsider(file, "PRAGMA journal_mode = WAL; CREATE TABLE own (x)");
  ilm::sqlite_options o;
  o.table_prefix = "ilm_";
  sqlite3* own = nullptr;
  REQUIRE(sqlite3_open(file.string().c_str(), &own) == SQLITE_OK);
  REQUIRE(sqlite3_exec(own, "BEGIN; SELECT * FROM own", nullptr, nullptr, nullptr) == SQLITE_OK);
  {
    store_type s(file, o);
    s.open();
    s.close();
  }
  // Another process would remove the log if it found no lock.
  outsider_process(file, "SELECT * FROM own");
  CHECK(fs::exists(part_of(file, "-wal")));
  sqlite3_close(own);
}

TEST_CASE("sqlite: a lock goes with the end of its store, though its descriptor is kept") {
  temporary_directory place;
  fs::path file = place / "s.db";
  overwrite(file, "x");
  // While the file is open here, closing a descriptor of it could take SQLite's locks away.
  int other = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(other >= 0);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  {
    auto d = ilm::detail::shared_descriptor::open(file.string(), false);
    REQUIRE(d.lock(F_WRLCK, 0, 1));
    CHECK(fcntl(other, F_OFD_SETLK, &whole) != 0);
  }
  CHECK(fcntl(other, F_OFD_SETLK, &whole) == 0);
  ::close(other);
}

// ThreadSanitizer is who judges this one, where it is the first store of its process. The statement
// takes SQLite's locks of files, and none of those by which its threads know of each other.
TEST_CASE("sqlite: a first store opens while another thread reads by a connection of its own") {
  temporary_directory place;
  outsider(place / "own.db", "PRAGMA journal_mode = WAL; CREATE TABLE own (x)");
  sqlite3* own = nullptr;
  sqlite3_stmt* reads = nullptr;
  REQUIRE(sqlite3_open((place / "own.db").string().c_str(), &own) == SQLITE_OK);
  REQUIRE(sqlite3_prepare_v2(own, "SELECT x FROM own", -1, &reads, nullptr) == SQLITE_OK);
  std::atomic<int> turns = 0;
  std::atomic<int> failures = 0;
  std::atomic<bool> done = false;
  std::thread other([&] {
    for (; !done; turns.fetch_add(1, std::memory_order_relaxed)) {
      failures += sqlite3_step(reads) != SQLITE_DONE || sqlite3_reset(reads) != SQLITE_OK;
    }
  });
  while (turns == 0) std::this_thread::yield();
  ilm::cursors c;
  store_type s(place / "s.db");
  s.open();
  s.commit(append("bob", c, {"1"}));
  for (int now = turns; turns < now + 100;) std::this_thread::yield();
  done = true;
  other.join();
  CHECK(failures == 0);
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == strings{"1"});
  sqlite3_finalize(reads);
  sqlite3_close(own);
}

TEST_CASE("sqlite: of two messengers on a store the earlier one stops, even where no lock works") {
  temporary_directory place;
  fs::path file = place / "s.db";
  ilm::cursors c;
  store_type s(file);
  s.open();
  s.commit(append("bob", c, {"1"}));
  // As another one does when it opens the store.
  outsider(file, "UPDATE ilm_store SET holder = 7");
  ilm::batch<std::string> b = append("bob", c, {"2"});
  std::error_code why = s.commit_error(b);
  CHECK(why == ilm::sqlite_error::taken_over);
  CHECK(why == std::errc::device_or_resource_busy);
  CHECK(store_type::error_of([&] { s.read(ilm::queue::outbox, "bob", 1); }) == why);
  CHECK(outsider(file, "SELECT count(*) FROM ilm_outbox") == "1");
}

TEST_CASE("sqlite: of two messengers that both found no lock the later one has the store") {
  fault_disk disk;
  temporary_directory place;
  ilm::sqlite_options o;
  o.vfs = fault_disk::name;
  ilm::cursors c, d;
  store_type first(place / "s.db", o), second(place / "s.db", o);
  first.open();
  first.commit(append("bob", c, {"1"}));
  // With such a VFS the lock is on a file of its own.
  fs::remove(place / "s.db-lock");
  d = second.open().peers.at(0).second;
  SECTION("and says so") {
    second.commit(append("bob", d, {"2"}));
    CHECK(first.commit_error(append("bob", c, {"other"})) == ilm::sqlite_error::taken_over);
  }
  SECTION("or not, if the first has stored something since") {
    first.commit(append("bob", c, {"2"}));
    third_opens_and_stores(place / "s.db", o);
    CHECK(first.commit_error(append("bob", c, {"3"})) == ilm::sqlite_error::taken_over);
    CHECK(second.commit_error(append("bob", d, {"other"})) == ilm::sqlite_error::taken_over);
  }
}

TEST_CASE("sqlite: a file with two names is refused, and had by one of them") {
  temporary_directory place;
  fs::path file = place / "s.db", other = place / "other.db";
  ilm::cursors c;
  make_crashed_store(file, c);
  fs::create_hard_link(file, other);
  for (const fs::path& name : {file, other}) {
    CHECK(store_type(name).open_error() == ilm::sqlite_error::several_names);
  }
  fs::remove(other);
  store_type s(file);
  CHECK_FALSE(s.open_error());
  fs::create_hard_link(file, other);
  CHECK(store_type(other).open_error());
  CHECK_FALSE(s.commit_error(append("bob", c, {"11"})));
}

TEST_CASE_METHOD(
    crashed_store,
    "sqlite: one flipped bit anywhere in the log is refused, and never puts the store back") {
  const std::string log = content_of(part_of(file, "-wal"));
  REQUIRE(log.size() > 15 * 4096);
  std::size_t refused = 0, tried = 0;
  for (std::size_t at = 0; at < log.size(); at += at < 2000 ? 13 : 1777) {
    overwrite(part_of(file, "-wal"), log);
    flip(part_of(file, "-wal"), at);
    store_type s(file);
    std::error_code why = s.open_error();
    ++tried;
    if (why) {
      ++refused;
      CHECK(why == ilm::error::store_corrupt);
      continue;
    }
    // Nothing depends on the bit.
    CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == ten_messages());
    s.crash();
    overwrite(part_of(file, "-last"), "");  // this life changed the log
  }
  CHECK(refused > tried * 9 / 10);
}

TEST_CASE("sqlite: a log that was damaged before whole commits is found in a copy, too") {
  temporary_directory place;
  fs::path file = place / "s.db", copy = place / "copy.db";
  ilm::cursors c;
  make_crashed_store(file, c);
  const std::string log = content_of(part_of(file, "-wal"));
  fs::copy_file(file, copy);
  // Up to the last frame of the transaction before the last one.
  std::size_t frame = 24 + 4096, frames = (log.size() - 32) / frame, commits = 0, last = frames;
  while (commits < 2) {
    std::string_view size = std::string_view(log).substr(32 + --last * frame + 4, 4);
    if (size != std::string_view("\0\0\0\0", 4)) ++commits;
  }
  REQUIRE(last > frames / 2);
  for (std::size_t n = 0; n <= last; ++n) {
    overwrite(part_of(copy, "-wal"), log);
    flip(part_of(copy, "-wal"), 32 + n * frame + 24 + 77);
    std::string why = text_of([&] { store_type(copy).open(); });
    CHECK_THAT(
        why, ContainsSubstring("copy.db-wal is damaged at byte " + std::to_string(32 + n * frame)));
    CHECK(store_type(copy).open_error() == ilm::error::store_corrupt);
  }
  SECTION("also where bytes were put between") {
    overwrite(part_of(copy, "-wal"), log.substr(0, 5000) + "xyz" + log.substr(5000));
    CHECK(store_type(copy).open_error() == ilm::error::store_corrupt);
  }
  SECTION("also its beginning") {
    overwrite(part_of(copy, "-wal"), std::string(32, '\0') + log.substr(32));
    CHECK(store_type(copy).open_error() == ilm::error::store_corrupt);
  }
}

TEST_CASE("sqlite: a log has pages of any size that SQLite has") {
  std::string size = GENERATE("512", "65536");
  temporary_directory place;
  fs::path file = place / "s.db";
  outsider(file,
           "PRAGMA page_size = " + size + "; PRAGMA journal_mode = WAL; CREATE TABLE own (x)");
  REQUIRE(outsider(file, "PRAGMA page_size") == size);
  ilm::sqlite_options o;
  o.table_prefix = "ilm_";
  ilm::cursors c;
  make_crashed_store(file, c, o);
  REQUIRE(fs::exists(part_of(file, "-wal")));
  store_type s(file, o);
  s.open();
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == ten_messages());
}

TEST_CASE_METHOD(crashed_store, "sqlite: a transaction that a crash cut short is no damage") {
  // The record of the newest commit would tell a cut from a crash, in the machine's same life.
  fs::remove(part_of(file, "-last"));
  const std::string log = content_of(part_of(file, "-wal"));
  std::size_t cut = GENERATE(1U, 4096U, 4097U, 4119U, 4120U);
  SECTION("at any byte") { overwrite(part_of(file, "-wal"), log.substr(0, log.size() - cut)); }
  SECTION("with parts written that came later") {
    overwrite(part_of(file, "-wal"), log);
    flip(part_of(file, "-wal"), log.size() - 4120 - cut / 2);
  }
  store_type s(file);
  s.open();
  strings expected = ten_messages();
  expected.pop_back();
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == expected);
}

TEST_CASE_METHOD(crashed_store,
                 "sqlite: a log whose header is damaged is refused if the file lacks what it had") {
  bool worked_in = GENERATE(false, true);
  const std::string whole = content_of(part_of(file, "-wal"));
  if (worked_in) outsider(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  // As where the log begins anew on a full disk, which takes a part of the header.
  overwrite(part_of(file, "-wal"), whole);
  flip(part_of(file, "-wal"), GENERATE(0U, 15U, 19U, 23U, 31U));
  const std::string log = content_of(part_of(file, "-wal"));
  SECTION("in place") {}
  SECTION("but in a copy, of which no record knows, it is always refused") {
    fs::path copy = place / "copy.db";
    for (const char* part : {"", "-wal", "-last"}) {
      fs::copy_file(part_of(file, part), part_of(copy, part));
    }
    file = copy;
    worked_in = false;
  }
  store_type s(file);
  if (!worked_in) {
    CHECK(s.open_error() == ilm::error::store_corrupt);
    CHECK(content_of(part_of(file, "-wal")) == log);
    return;
  }
  s.open();
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == ten_messages());
  s.commit(append("bob", c, {"message 11"}));
  s.crash();
  store_type next(file);
  next.open();
  CHECK(texts_of(next.read(ilm::queue::outbox, "bob", 1)).size() == 11);
}

TEST_CASE(
    "sqlite: a store that lacks its newest commits is refused while the machine knows better") {
  temporary_directory place;
  fs::path file = place / "s.db", log = part_of(file, "-wal");
  ilm::cursors c;
  make_crashed_store(file, c);
  const std::string all = content_of(log);
  const std::string text = GENERATE("removed", "emptied", "cut", "garbage", "zeroes", "older");
  if (text == "removed") fs::remove(log);
  if (text == "emptied") overwrite(log, "");
  if (text == "cut") overwrite(log, all.substr(0, all.size() / 2));
  if (text == "garbage") overwrite(log, std::string(all.size(), 'x'));
  if (text == "zeroes") overwrite(log, std::string(all.size(), '\0'));
  if (text == "older") {
    outsider(file, "VACUUM INTO '" + (place / "older.db").string() + "'");
    store_type s(file);
    s.open();
    s.commit(append("bob", c, {"11"}));
    s.close();
    overwrite(file, content_of(place / "older.db"));
  }
  CAPTURE(text);
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
  std::string why = text_of([&] { store_type(file).open(); });
  CHECK_THAT(why, ContainsSubstring(file.string()));
  CHECK_THAT(why, ContainsSubstring("-last") || ContainsSubstring("damaged at byte"));
}

TEST_CASE_METHOD(crashed_store,
                 "sqlite: what others may do to a store that nobody has is no damage") {
  std::string what = GENERATE("SELECT count(*) FROM ilm_outbox", "PRAGMA wal_checkpoint(TRUNCATE)",
                              "VACUUM", "PRAGMA integrity_check");
  outsider(file, what);
  SECTION("under its name") {}
  SECTION("and moved") {
    fs::create_directory(place / "new");
    for (const char* part : {"", "-wal", "-last"}) {
      std::error_code none;
      fs::rename(part_of(file, part), place / "new" / ("s.db" + std::string(part)), none);
    }
    file = place / "new" / "s.db";
  }
  store_type s(file);
  s.open();
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == ten_messages());
}

TEST_CASE_METHOD(crashed_store,
                 "sqlite: a file that was emptied, or is missing beside its log, is never new") {
  std::string log = content_of(part_of(file, "-wal"));
  bool closed = GENERATE(false, true);
  if (closed) {
    store_type s(file);
    s.open();
    s.close();
    REQUIRE_FALSE(fs::exists(part_of(file, "-wal")));
  }
  SECTION("emptied") {
    overwrite(file, "");
    CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
    CHECK(fs::file_size(file) == 0);
  }
  SECTION("emptied after it was copied with its files") {
    fs::path copy = place / "copy.db";
    for (const char* part : {"", "-wal", "-last"}) {
      std::error_code none;
      fs::copy_file(part_of(file, part), part_of(copy, part), none);
    }
    overwrite(copy, "");
    if (GENERATE(false, true)) overwrite(part_of(copy, "-last"), "");
    CHECK(store_type(copy).open_error() == ilm::error::store_corrupt);
  }
  SECTION("missing") {
    fs::remove(file);
    // Without its log it is as the loss of the disk, which the peers tell.
    CHECK(store_type(file).open_error() ==
          (closed ? std::error_code() : ilm::error::store_corrupt));
    CHECK(fs::exists(file) == closed);
  }
  if (!closed) CHECK(content_of(part_of(file, "-wal")) == log);
}

TEST_CASE_METHOD(crashed_store,
                 "sqlite: a schema that looks empty in a file with pages is damage") {
  outsider(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  fs::remove(part_of(file, "-last"));
  std::string whole = content_of(file);
  SECTION("no table") { whole[103] = whole[104] = '\0'; }
  SECTION("fewer tables") { whole[104] = char(whole[104] - 1); }
  SECTION("no table, and nobody's file") {
    whole[103] = whole[104] = whole[68] = whole[69] = whole[70] = whole[71] = '\0';
  }
  overwrite(file, whole);
  std::error_code why = store_type(file).open_error();
  CHECK((why == ilm::error::store_corrupt ||
         why == std::error_code(SQLITE_CORRUPT, ilm::sqlite_category())));
  CHECK(content_of(file) == whole);
}

TEST_CASE_METHOD(crashed_store, "sqlite: a version that is damaged is no older or newer one") {
  std::string version = GENERATE("0", "-1", "4", "123456789");
  outsider(file, "UPDATE ilm_store SET version = " + version);
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE_METHOD(
    crashed_store,
    "sqlite: a message where none can be is found at opening, not by each later commit") {
  std::string table = GENERATE("ilm_outbox", "ilm_inbox");
  std::string key =
      GENERATE("-5", "3", "(1 << 40)", "(1 << 40) + 11", "(2 << 40) + 1", "9223372036854775807");
  outsider(file, "INSERT INTO " + table + " SELECT " + key +
                     ", sequence, salt, hash, time, checksum, contents, "
                     "attributes FROM ilm_outbox WHERE sequence = 10");
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE("sqlite: rows of another store do not pass") {
  temporary_directory place;
  fs::path file = place / "s.db", other = place / "other.db";
  ilm::cursors c, d;
  make_crashed_store(file, c);
  make_crashed_store(other, d);
  std::string attach = "ATTACH '" + other.string() + "' AS other; ";
  SECTION("a message") {
    outsider(file, attach +
                       "DELETE FROM ilm_outbox WHERE sequence = 1; INSERT INTO ilm_outbox "
                       "SELECT * FROM other.ilm_outbox WHERE sequence = 1");
    store_type s(file);
    s.open();
    CHECK(store_type::error_of([&] { s.read(ilm::queue::outbox, "bob", 1); }) ==
          ilm::error::store_corrupt);
  }
  SECTION("cursors") {
    outsider(file,
             attach + "DELETE FROM ilm_peer; INSERT INTO ilm_peer SELECT * FROM other.ilm_peer");
    CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
  }
}

TEST_CASE("sqlite: a store keeps whose it is") {
  temporary_directory place;
  ilm::cursors c;
  make_crashed_store(place / "s.db", c);
  store_type s(place / "s.db");
  CHECK(s.open().local_id == "alice");
  s.close();
  outsider(place / "s.db", "UPDATE ilm_store SET local = CAST('zoe' AS BLOB)");
  CHECK(store_type(place / "s.db").open_error() == ilm::error::store_corrupt);
}

TEST_CASE("sqlite: the files of a store are its owner's alone") {
  temporary_directory place;
  fs::path file = place / "s.db";
  mode_t before = umask(022);
  ilm::cursors c;
  store_type s(file);
  s.open();
  s.commit(append("bob", c, {"x"}));
  umask(before);
  for (const char* part : {"", "-wal", "-shm", "-last"}) {
    CAPTURE(part);
    CHECK(mode_of(part_of(file, part)) == 0600);
  }
}

TEST_CASE_METHOD(crashed_store, "sqlite: a file of the store that is something else is named") {
  std::string part = GENERATE("", "-wal", "-shm", "-last");
  fs::path named = part_of(file, part);
  fs::remove(named);
  fs::create_directory(named);
  CAPTURE(part);
  std::string why = text_of([&] { store_type(file).open(); });
  CHECK_THAT(why, ContainsSubstring(named.string()));
}

TEST_CASE("sqlite: files that this user may not use are named") {
  if (geteuid() != 0) return;  // only root can leave such files
  temporary_directory place;
  fs::create_directory(place / "d");
  fs::path file = place / "d" / "s.db";
  fs::permissions(place / "", fs::perms::all);
  fs::permissions(place / "d", fs::perms::all);
  ilm::cursors c;
  {
    as_nobody lower;
    make_crashed_store(file, c);
  }
  std::string part = GENERATE("", "-wal", "-shm", "-last");
  fs::path named = part_of(file, part);
  REQUIRE(chown(named.c_str(), 0, 0) == 0);
  as_nobody lower;
  CAPTURE(part);
  std::string why = text_of([&] { store_type(file).open(); });
  CHECK_THAT(why, ContainsSubstring(named.string() + ":"));
  CHECK_THAT(why, ContainsSubstring("owner"));
}

TEST_CASE("sqlite: a directory in which no files can be made is named") {
  if (geteuid() != 0) return;
  temporary_directory place;
  fs::create_directory(place / "d");
  fs::permissions(place / "", fs::perms::all);
  as_nobody lower;
  std::string why = text_of([&] { store_type(place / "d" / "s.db").open(); });
  CHECK_THAT(why, ContainsSubstring((place / "d").string()));
}

TEST_CASE("sqlite: a commit that fails names the file that could not be written") {
  fault_disk disk;
  temporary_directory place;
  ilm::sqlite_options o;
  o.vfs = fault_disk::name;
  ilm::cursors c;
  store_type s(place / "s.db", o);
  s.open();
  int code = GENERATE(SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC);
  disk.result_of = [code](fault_disk::operation op) {
    bool write = op == fault_disk::operation::write || op == fault_disk::operation::sync;
    return write ? code : SQLITE_OK;
  };
  std::string why = text_of([&] { s.commit(append("bob", c, {"x"})); });
  disk.result_of = {};
  CHECK_THAT(why, ContainsSubstring((place / "s.db-wal").string() + ":"));
}

TEST_CASE("sqlite: no transaction is broken into though this process reads the store's files") {
  temporary_directory place;
  fs::path file = place / "s.db";
  ilm::cursors c;
  store_type s(file);
  s.open();
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      for (const char* part : {"", "-wal", "-shm"}) content_of(part_of(file, part));
    }
  });
  std::uint64_t sent = 0;
  for (int turn = 0; turn < 8; ++turn) {
    std::thread other([&] { outsider_process(file, "PRAGMA wal_checkpoint(TRUNCATE)"); });
    for (int i = 0; i < 100; ++i) {
      if (!s.commit_error(append("bob", c, {std::to_string(++sent)}))) continue;
      --sent;
      --c.outbox.next;
    }
    other.join();
  }
  done = true;
  reader.join();
  s.crash();
  CHECK(outsider(file, "PRAGMA integrity_check") == "ok");
  store_type again(file);
  again.open();
  CHECK(again.read(ilm::queue::outbox, "bob", 1).size() == sent);
}

TEST_CASE("sqlite: an older log of the same store is refused, whichever peers it puts back") {
  temporary_directory place;
  fs::path file = place / "s.db", log = part_of(file, "-wal");
  store_type s(file);
  s.open();
  std::map<std::string, ilm::cursors> peers;
  for (int i = 0; i < 60; ++i) {
    std::string name = "peer " + std::to_string(i);
    s.commit(append(name, peers[name], {"1"}));
  }
  outsider_process(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  s.commit(append("peer 1", peers["peer 1"], {"2"}));
  const std::string older = content_of(log);
  s.commit(append("peer 1", peers["peer 1"], {"3"}));
  // Its row is in another page, which the older log does not have.
  s.commit(append("peer 59", peers["peer 59"], {"2"}));
  outsider_process(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  s.crash();
  CHECK_FALSE(store_type(file).open_error());
  overwrite(log, older);
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE(
    "sqlite: a log that belongs to another store is refused, and both are left as they were") {
  temporary_directory place;
  fs::path file = place / "s.db", other = place / "other.db";
  ilm::cursors c, d;
  make_crashed_store(file, c);
  make_crashed_store(other, d);
  for (const fs::path& part : {part_of(file, "-last"), part_of(file, "-shm")}) fs::remove(part);
  fs::copy_file(part_of(other, "-wal"), part_of(file, "-wal"),
                fs::copy_options::overwrite_existing);
  std::string before = content_of(file);
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
  CHECK(content_of(file) == before);
}

TEST_CASE("sqlite: a log that has all of another store is not taken for the file's own") {
  temporary_directory place;
  fs::path file = place / "s.db", other = place / "other.db";
  ilm::cursors c, d;
  make_crashed_store(file, c);
  {
    // Without an identity its log is never worked in: it has the whole store.
    store_type s(other);
    s.open();
    s.commit(append("bob", d, {"another"}));
    s.crash();
  }
  for (const fs::path& part : {part_of(file, "-last"), part_of(file, "-shm")}) fs::remove(part);
  fs::copy_file(part_of(other, "-wal"), part_of(file, "-wal"),
                fs::copy_options::overwrite_existing);
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
  CHECK_THAT(text_of([&] { store_type(file).open(); }),
             ContainsSubstring(file.string() + "-wal belongs to another file"));
  // Its own file takes it.
  store_type s(other);
  s.open();
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == strings{"another"});
}

TEST_CASE_METHOD(crashed_store, "sqlite: opening a store changes nothing in it") {
  std::string main = content_of(file), log = content_of(part_of(file, "-wal"));
  store_type s(file);
  s.open();
  s.crash();
  CHECK(content_of(file) == main);
  CHECK(content_of(part_of(file, "-wal")) == log);
}

TEST_CASE_METHOD(crashed_store,
                 "sqlite: a store without its log is its own older self, never a new one") {
  for (const char* part : {"-wal", "-last"}) fs::remove(part_of(file, part));
  store_type::state found = store_type(file).open();
  CHECK(found.local == ilm::incarnation{1, 2});
  CHECK(found.local_id == "alice");
}

namespace {

/// Changes the number of the boot in a record of the newest commit, and the checksum of that.
void as_of_another_boot(const fs::path& record) {
  std::string last = content_of(record);
  last[10] = last[10] == '0' ? '1' : '0';
  std::uint64_t sum = ilm::crc32c(std::as_bytes(std::span(last)).first(112));
  for (std::size_t i = 0; i < 8; ++i) last[112 + i] = static_cast<char>(sum >> (56 - 8 * i));
  overwrite(record, last);
}

}  // namespace

TEST_CASE_METHOD(crashed_store,
                 "sqlite: a log with a damaged header is refused unless all is known to be there") {
  const std::string whole = content_of(part_of(file, "-wal"));
  outsider(file, "PRAGMA wal_checkpoint(TRUNCATE)");
  SECTION("after a restart of the machine") { as_of_another_boot(part_of(file, "-last")); }
  SECTION("where the file has the cursors, and not the messages") {
    outsider(file, "DELETE FROM ilm_outbox WHERE key = (SELECT max(key) FROM ilm_outbox)");
  }
  overwrite(part_of(file, "-wal"), whole);
  flip(part_of(file, "-wal"), 20);
  const std::string log = content_of(part_of(file, "-wal"));
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
  CHECK(content_of(part_of(file, "-wal")) == log);
}

TEST_CASE("sqlite: after a restart of the machine a synced store that went back is refused") {
  temporary_directory place;
  fs::path file = place / "s.db";
  ilm::cursors c;
  bool media = GENERATE(true, false);
  using at_os = ilm::sqlite_backend<std::string, ilm::durability::os>;
  if (media) make_crashed_store(file, c);
  if (!media) {
    hand_driven<at_os> s(file);
    s.open();
    for (int i = 0; i < 10; ++i) s.commit(append("bob", c, {"x"}));
    s.crash();
  }
  as_of_another_boot(part_of(file, "-last"));
  SECTION("whole") { CHECK_FALSE(store_type(file).open_error()); }
  SECTION("without its log") {
    fs::remove(part_of(file, "-wal"));
    std::error_code expected;
    if (media) expected = ilm::error::store_corrupt;
    CHECK(store_type(file).open_error() == expected);
  }
}

namespace {

ilm::detail::store_mark mark(std::uint64_t rows, std::uint64_t progress) {
  ilm::detail::store_mark m;
  m.rows = rows;
  m.progress = progress;
  return m;
}

/// The record of the newest commit, by itself.
struct record_of_commits {
  using last_commit = ilm::detail::last_commit;

  record_of_commits() { overwrite(file, "a store"); }
  /// As the next process finds it.
  last_commit opened(ilm::durability level) const {
    return {record.string(), *ilm::detail::file_identity::of(file.string()), level};
  }

  temporary_directory place;
  fs::path file = place / "s.db", record = part_of(file, "-last");
};

}  // namespace

TEST_CASE_METHOD(record_of_commits,
                 "sqlite: after a restart of the machine a forgotten peer is not missed") {
  {
    last_commit last = opened(ilm::durability::media);
    last.start_from(mark(100, 50));
    last.begin(mark(60, 20));
  }
  as_of_another_boot(record);
  last_commit last = opened(ilm::durability::media);
  CHECK(last.is_in(mark(60, 20)));
  CHECK(last.is_in(mark(100, 50)));
  CHECK_FALSE(last.is_in(mark(60, 19)));
}

TEST_CASE_METHOD(
    record_of_commits,
    "sqlite: a process that ends within a commit leaves the store before or after it") {
  {
    last_commit last = opened(ilm::durability::media);
    last.start_from(mark(100, 50));
    last.begin(mark(120, 60));
  }
  last_commit last = opened(ilm::durability::media);
  CHECK(last.is_in(mark(100, 50)));
  CHECK(last.is_in(mark(120, 60)));
  CHECK_FALSE(last.is_in(mark(110, 55)));
}

TEST_CASE_METHOD(record_of_commits,
                 "sqlite: a store may be as after the last commit, or the one that began then") {
  {
    last_commit last = opened(ilm::durability::media);
    last.start_from(mark(100, 50));
    for (std::uint64_t n : {1U, 2U}) {
      last.begin(mark(100 + n, 50 + n));
      last.complete(mark(100 + n, 50 + n));
    }
    last.begin(mark(103, 53));
  }
  last_commit last = opened(ilm::durability::media);
  CHECK_FALSE(last.is_in(mark(100, 50)));
  CHECK_FALSE(last.is_in(mark(101, 51)));
  CHECK(last.is_in(mark(102, 52)));
  CHECK(last.is_in(mark(103, 53)));
}

TEST_CASE_METHOD(record_of_commits,
                 "sqlite: a store of `os` is one of `media` from its first commit there on") {
  {
    last_commit last = opened(ilm::durability::os);
    last.begin(mark(100, 50));
    last.complete(mark(100, 50));
  }
  {
    last_commit last = opened(ilm::durability::media);
    last.start_from(mark(100, 50));
    last.begin(mark(120, 60));
    last.complete(mark(120, 60));
    last.begin(mark(140, 70));
    last.complete(mark(140, 70));
  }
  as_of_another_boot(record);
  CHECK_FALSE(opened(ilm::durability::media).is_in(mark(120, 60)));
}

TEST_CASE_METHOD(crashed_store, "sqlite: a damaged record of the newest commit says nothing") {
  for (std::size_t at : {95U, 111U}) flip(part_of(file, "-last"), at);
  CHECK_FALSE(store_type(file).open_error());
}

TEST_CASE("sqlite: a store without its tables is damage, also if it may have lost commits") {
  temporary_directory place;
  fs::path file = place / "s.db";
  using at_os = ilm::sqlite_backend<std::string, ilm::durability::os>;
  ilm::cursors c;
  hand_driven<at_os> s(file);
  s.open();
  s.commit(append("bob", c, {"x"}));
  s.close();
  outsider(file,
           "DROP TABLE ilm_store; DROP TABLE ilm_peer; DROP TABLE ilm_outbox; DROP TABLE "
           "ilm_inbox");
  as_of_another_boot(part_of(file, "-last"));
  CHECK(hand_driven<at_os>(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE_METHOD(crashed_store, "sqlite: a store without one of its tables is damage") {
  std::string table = GENERATE("ilm_store", "ilm_peer", "ilm_outbox", "ilm_inbox");
  outsider(file, "DROP TABLE " + table);
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE("sqlite: a file that is cut under a running messenger fails the next commit") {
  temporary_directory place;
  fs::path file = place / "s.db";
  ilm::cursors c;
  store_type s(file);
  s.open();
  s.commit(append("bob", c, {"1"}));
  std::string part = GENERATE("", "-wal");
  overwrite(part_of(file, part), "");
  CAPTURE(part);
  ilm::batch<std::string> b = append("bob", c, {"2"});
  CHECK_THAT(text_of([&] { s.commit(b); }), ContainsSubstring("s.db" + part + " was cut"));
}

TEST_CASE("sqlite: a file that goes within a commit fails it, and each one after it") {
  std::string part = GENERATE("", "-wal", "-shm");
  fault_disk disk;
  disk.be_default();
  temporary_directory place;
  fs::path file = place / "s.db", away = place / "away";
  ilm::cursors c;
  store_type s(file);
  s.open();
  s.commit(append("bob", c, {"1"}));
  disk.result_of = [&](fault_disk::operation o) {
    // The log is synced at the end of the commit, after the files were looked for.
    if (o == fault_disk::operation::sync && !fs::exists(away)) {
      fs::rename(part_of(file, part), away);
    }
    return SQLITE_OK;
  };
  CHECK(s.commit_error(append("bob", c, {"2"})) == ilm::sqlite_error::file_moved);
  REQUIRE(fs::exists(away));
  // Nobody knows whether it is stored: not even the file that is back changes that.
  fs::rename(away, part_of(file, part));
  CHECK(s.commit_error(append("bob", c, {"3"})) == ilm::sqlite_error::file_moved);
  s.crash();
  CHECK_FALSE(store_type(file).open_error());
}

TEST_CASE("sqlite: a record of the newest commit that goes away is made again") {
  temporary_directory place;
  fs::path file = place / "s.db", last = part_of(file, "-last");
  ilm::cursors c;
  store_type s(file);
  s.open();
  s.commit(append("bob", c, {"1"}));
  std::string old = content_of(last);
  fs::remove(last);
  if (GENERATE(false, true)) overwrite(last, old);
  s.commit(append("bob", c, {"2"}));
  s.crash();
  CHECK_FALSE(store_type(file).open_error());
  fs::remove(part_of(file, "-wal"));
  CHECK(store_type(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE("sqlite: commits that could not be synced leave nothing behind that looks as damage") {
  temporary_directory place;
  fs::path file = place / "s.db";
  bool heals = GENERATE(true, false);
  {
    fault_disk disk;
    ilm::sqlite_options o;
    o.vfs = fault_disk::name;
    ilm::cursors c;
    store_type s(file, o);
    s.open();
    s.commit(append("bob", c, {"1"}));
    disk.result_of = [](fault_disk::operation op) {
      return op == fault_disk::operation::sync ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    };
    for (std::size_t size : {60000U, 40000U, 20000U, 5000U, 10U}) {
      ilm::cursors then = c;
      CHECK(s.commit_error(append("bob", then, {std::string(size, 'x')})));
    }
    disk.result_of = {};
    if (heals) s.commit(append("bob", c, {"2"}));
    s.crash();
  }
  CHECK_FALSE(store_type(file).open_error());
}

TEST_CASE_METHOD(crashed_store, "sqlite: what is no file beside the store is refused at once") {
  std::string part = GENERATE("-wal", "-shm", "-journal");
  fs::path named = part_of(file, part);
  fs::rename(part_of(file, "-wal"), place / "log");
  fs::remove(named);
  SECTION("a pipe") { REQUIRE(mkfifo(named.c_str(), 0600) == 0); }
  SECTION("a link") { fs::create_symlink(place / "log", named); }
  CHECK_THAT(text_of([&] { store_type(file).open(); }), ContainsSubstring(named.string()));
}

TEST_CASE("sqlite: a store of ILM's own is not opened with a table prefix") {
  temporary_directory place;
  ilm::cursors c;
  make_crashed_store(place / "s.db", c);
  ilm::sqlite_options o;
  o.table_prefix = "ilm_";
  CHECK(store_type(place / "s.db", o).open_error() == ilm::error::invalid_options);
  CHECK_FALSE(store_type(place / "s.db").open_error());
}

TEST_CASE("sqlite: an error of ILM's own is none of SQLite's") {
  using ilm::sqlite_error;
  for (int value = static_cast<int>(sqlite_error::newer_version);
       value < static_cast<int>(sqlite_error::taken_over); ++value) {
    std::error_code e = static_cast<sqlite_error>(value);
    CAPTURE(e.message());
    CHECK(e.default_error_condition() == std::error_condition(value, ilm::sqlite_category()));
  }
}

TEST_CASE("sqlite: commits of others are no sign that a file was cut") {
  temporary_directory place;
  fs::path file = place / "s.db";
  outsider(file, "PRAGMA journal_mode = WAL; CREATE TABLE own (x)");
  ilm::sqlite_options first, second;
  first.table_prefix = "a_";
  second.table_prefix = "B_";
  ilm::cursors c, d;
  store_type one(file, first), two(file, second);
  one.open();
  two.open();
  std::thread other([&] {
    for (int i = 0; i < 400; ++i) two.commit(append("bob", d, {"x"}));
  });
  std::size_t failed = 0;
  for (int i = 0; i < 400; ++i) {
    if (one.commit_error(append("bob", c, {"x"}))) ++failed;
  }
  other.join();
  CHECK(failed == 0);
}

TEST_CASE("sqlite: a prefix is the same in small and large letters") {
  temporary_directory place;
  fs::path file = place / "s.db";
  outsider(file, "PRAGMA journal_mode = WAL; CREATE TABLE own (x)");
  ilm::sqlite_options large, small;
  large.table_prefix = "ABCmXYZ_";
  small.table_prefix = "abcmxyz_";
  ilm::cursors c;
  store_type first(file, large), second(file, small);
  first.open();
  first.commit(append("bob", c, {"1"}));
  CHECK(second.open_error() == ilm::error::store_in_use);
  first.close();
  second.open();
  CHECK(texts_of(second.read(ilm::queue::outbox, "bob", 1)) == strings{"1"});
}

TEST_CASE_METHOD(crashed_store,
                 "sqlite: a record that is left of a store that is gone is in nobody's way") {
  for (const char* part : {"", "-wal", "-shm"}) fs::remove(part_of(file, part));
  store_type(file).open();
  CHECK_FALSE(fs::exists(part_of(file, "-last")));
  // As a start leaves it that is cut short before the first page is written.
  for (const char* part : {"", "-wal", "-shm"}) fs::remove(part_of(file, part));
  overwrite(file, "");
  CHECK_FALSE(store_type(file).open_error());
}

TEST_CASE_METHOD(crashed_store, "sqlite: an opening waits for another connection's transaction") {
  sqlite3* own = nullptr;
  REQUIRE(sqlite3_open(file.string().c_str(), &own) == SQLITE_OK);
  REQUIRE(sqlite3_exec(own, "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT", nullptr,
                       nullptr, nullptr) == SQLITE_OK);
  std::thread ends([own] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    sqlite3_close(own);
  });
  CHECK_FALSE(store_type(file).open_error());
  ends.join();
}
