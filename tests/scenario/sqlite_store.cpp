#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite/store.hpp>

#include <chrono>
#include <fstream>
#include <limits>
#include <random>
#include <span>

using namespace test;

// The SQLite store by itself: its contents, its refusals, its costs.

namespace {

using store_type = hand_driven<>;
using strings = std::vector<std::string>;

strings numbers(int count) {
  strings all;
  for (int i = 0; i < count; ++i) all.push_back(std::to_string(i));
  return all;
}

ilm::sqlite_options in_application_database() {
  ilm::sqlite_options o;
  o.table_prefix = "messages_";
  return o;
}

}  // namespace

TEST_CASE("sqlite: a new store knows nothing, and keeps the incarnation that it is given") {
  temporary_directory place;
  store_type s(place / "s.db");
  ilm::store_state<std::string> fresh = s.open();
  CHECK_FALSE(fresh.local);
  CHECK(fresh.peers.empty());
  ilm::batch<std::string> first;
  first.new_incarnation = ilm::incarnation{~std::uint64_t{0}, 42};
  s.commit(first);
  s.crash();
  store_type again(place / "s.db");
  CHECK(again.open().local == *first.new_incarnation);
}

TEST_CASE("sqlite: a committed message is there after the end of the store, however it ended") {
  temporary_directory place;
  bool graceful = GENERATE(false, true);
  ilm::cursors bob, eve;
  bob.history.seen = ilm::stamp{1, 2};
  bob.inbox.offset = ~std::uint64_t{0};  // a 64-bit number that SQLite's signed ones fold
  {
    store_type s(place / "s.db");
    s.open();
    s.commit(append("bob", bob, {"", "one", std::string(100'000, 'x')}));
    s.commit(append("eve", eve, {"for eve"}));
    s.commit(erase("bob", bob, 2));
    if (graceful) s.close();
  }
  store_type s(place / "s.db");
  ilm::store_state<std::string> state = s.open();
  REQUIRE(state.peers.size() == 2);
  CHECK(state.peers[0] == std::pair<std::string, ilm::cursors>("bob", bob));
  CHECK(state.peers[1] == std::pair<std::string, ilm::cursors>("eve", eve));
  CHECK(s.read(ilm::queue::outbox, "bob", 1).empty());
  std::vector<ilm::stored_message> page = s.read(ilm::queue::outbox, "bob", 2);
  CHECK(texts_of(page) == strings{"one", std::string(100'000, 'x')});
  CHECK(page[0].index == 2);
  CHECK(page[0].sequence == 2);
  CHECK(page[0].salt == stored(2, "one").salt);
  CHECK(page[0].hash == stored(2, "one").hash);
  CHECK(texts_of(s.read(ilm::queue::outbox, "eve", 1)) == strings{"for eve"});
  CHECK(s.read(ilm::queue::inbox, "bob", 1).empty());
  CHECK(s.read(ilm::queue::outbox, "nobody", 1).empty());
}

TEST_CASE("sqlite: a page ends at its bounds, and has a message if there is one") {
  temporary_directory place;
  store_type s(place / "s.db");
  s.open();
  ilm::cursors c;
  s.commit(append("bob", c, {"0123456789", "0123456789", "0123456789", ""}));
  CHECK(s.read(ilm::queue::outbox, "bob", 1, 2).size() == 2);
  CHECK(s.read(ilm::queue::outbox, "bob", 3, 2).size() == 2);
  CHECK(s.read(ilm::queue::outbox, "bob", 5, 2).empty());
  CHECK(s.read(ilm::queue::outbox, "bob", 1, 10, 20).size() == 2);
  CHECK(s.read(ilm::queue::outbox, "bob", 1, 10, 19).size() == 1);
  CHECK(s.read(ilm::queue::outbox, "bob", 1, 10, 1).size() == 1);
  ilm::cursors d;
  ilm::batch<std::string> b = append("eve", d, {"0123", "0123"});
  for (ilm::stored_message& m : b.changes[0].outbox) m.attributes = ilm::bytes("456789");
  s.commit(b);
  CHECK(s.read(ilm::queue::outbox, "eve", 1, 10, 20).size() == 2);
  CHECK(s.read(ilm::queue::outbox, "eve", 1, 10, 19).size() == 1);
}

TEST_CASE("sqlite: each new peer has a number of its own, in one commit and after a restart") {
  temporary_directory place;
  ilm::cursors bob, eve, zoe;
  {
    store_type s(place / "s.db");
    s.open();
    ilm::batch<std::string> both = append("bob", bob, {"for bob"});
    both.changes.push_back(append("eve", eve, {"for eve"}).changes[0]);
    s.commit(both);
  }
  store_type s(place / "s.db");
  s.open();
  s.commit(append("zoe", zoe, {"for zoe"}));
  for (const char* name : {"bob", "eve", "zoe"}) {
    CHECK(texts_of(s.read(ilm::queue::outbox, name, 1)) == strings{"for " + std::string(name)});
  }
}

TEST_CASE("sqlite: a commit that failed leaves nothing of it to the next") {
  temporary_directory place;
  store_type s(place / "s.db");
  s.open();
  ilm::cursors bob, eve;
  ilm::batch<std::string> fails = append("eve", eve, {"for eve"});
  fails.forgotten.push_back("nobody");
  CHECK(s.commit_error(fails) == ilm::error::store_corrupt);
  s.commit(append("bob", bob, {"for bob"}));
  fails.forgotten.clear();
  CHECK_FALSE(s.commit_error(fails));
  CHECK(texts_of(s.read(ilm::queue::outbox, "eve", 1)) == strings{"for eve"});
}

TEST_CASE("sqlite: random changes leave the same as in a store in memory") {
  temporary_directory place;
  std::mt19937 random(GENERATE(1U, 2U, 3U));
  hand_driven<ilm::memory_backend<std::string>> model{ilm::memory_backend<std::string>()};
  std::optional<store_type> s(std::in_place, place / "s.db");
  model.open();
  s->open();
  std::map<std::string, ilm::cursors> peers;
  for (int step = 0; step < 200; ++step) {
    ilm::batch<std::string> b;
    for (const char* name : {"a", "b", "c"}) {
      if (random() % 2 == 0) continue;
      if (random() % 10 == 0 && peers.erase(name) > 0) {
        b.forgotten.push_back(name);
        continue;
      }
      ilm::cursors& c = peers[name];
      std::vector<ilm::stored_message> out, in;
      for (auto n = random() % 4; n > 0; --n) {
        out.push_back(stored(c.outbox.next++, std::string(random() % 9000, 'o')));
      }
      for (auto n = random() % 4; n > 0; --n) {
        in.push_back(stored(c.inbox.next, std::to_string(c.inbox.next), c.inbox.next + 100));
        ++c.inbox.next;
      }
      c.outbox.first += random() % (c.outbox.next - c.outbox.first + 1);
      c.inbox.first += random() % (c.inbox.next - c.inbox.first + 1);
      b.changes.emplace_back(name, c);
      b.changes.back().outbox = std::move(out);
      b.changes.back().inbox = std::move(in);
    }
    model.commit(b);
    s->commit(b);
    if (random() % 10 == 0) {
      s.reset();
      s.emplace(place / "s.db");
      CHECK(s->open().peers.size() == peers.size());
    }
    for (const std::string& name : b.forgotten) {
      CHECK(s->read(ilm::queue::outbox, name, 1, 50).empty());
    }
    for (const auto& [name, c] : peers) {
      for (ilm::queue which : {ilm::queue::outbox, ilm::queue::inbox}) {
        std::uint64_t from = which == ilm::queue::outbox ? c.outbox.first : c.inbox.first;
        std::vector<ilm::stored_message> left = model.read(which, name, from, 50);
        std::vector<ilm::stored_message> right = s->read(which, name, from, 50);
        REQUIRE(texts_of(left) == texts_of(right));
        for (std::size_t i = 0; i < left.size(); ++i) {
          REQUIRE(left[i].index == right[i].index);
          REQUIRE(left[i].sequence == right[i].sequence);
          REQUIRE(left[i].salt == right[i].salt);
          REQUIRE(left[i].hash == right[i].hash);
        }
      }
    }
  }
  REQUIRE(peers.size() > 0);
}

TEST_CASE("sqlite: a forgotten peer leaves no row, and its space is used again") {
  temporary_directory place;
  ilm::cursors bob, eve;
  {
    store_type s(place / "s.db");
    s.open();
    ilm::batch<std::string> b = append("bob", bob, {"1", "2", "3"});
    b.changes.back().inbox.push_back(stored(bob.inbox.next++, "4"));
    b.changes.back().next = bob;
    s.commit(b);
    s.commit(append("eve", eve, {"for eve"}));
    ilm::batch<std::string> forget;
    forget.forgotten = {"bob"};
    s.commit(forget);
    s.crash();
  }
  CHECK(outsider(place / "s.db", "SELECT count(*) FROM ilm_peer") == "1");
  CHECK(outsider(place / "s.db", "SELECT count(*) FROM ilm_outbox") == "1");
  CHECK(outsider(place / "s.db", "SELECT count(*) FROM ilm_inbox") == "0");
}

TEST_CASE("sqlite: nothing is special about the index at which keys begin anew") {
  temporary_directory place;
  store_type s(place / "s.db");
  s.open();
  constexpr std::uint64_t turn = std::uint64_t{1} << 40;
  ilm::cursors c, other;
  c.outbox.first = c.outbox.next = turn - 2;
  s.commit(append("before", other, {"not mine"}));
  s.commit(append("bob", c, {"0", "1", "2", "3"}));
  s.commit(append("after", other, {"not mine either"}));
  strings found;
  std::uint64_t from = turn - 2;
  for (int reads = 0; reads < 4 && found.size() < 4; ++reads) {
    for (const std::string& text : texts_of(s.read(ilm::queue::outbox, "bob", from))) {
      found.push_back(text);
      ++from;
    }
  }
  CHECK(found == numbers(4));
  s.commit(erase("bob", c, turn + 1));
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", turn + 1)) == strings{"3"});
  CHECK(outsider(place / "s.db", "SELECT count(*) FROM ilm_outbox") == "3");
}

TEST_CASE("sqlite: a queue can be erased to any index, however far above, and goes on there") {
  temporary_directory place;
  store_type s(place / "s.db");
  s.open();
  ilm::cursors bob;
  s.commit(append("bob", bob, {"one", "two"}));
  constexpr std::uint64_t turn = std::uint64_t{1} << 40;
  // Messages that lie whole turns above have the keys of the erased ones.
  for (std::uint64_t first : {turn + 1, 3 * turn + 2, std::uint64_t{1} << 63}) {
    bob.outbox.first = bob.outbox.next = first;
    s.commit(append("bob", bob, {"next", "last"}));
    CHECK(texts_of(s.read(ilm::queue::outbox, "bob", first)) == strings{"next", "last"});
    CHECK(s.read(ilm::queue::outbox, "bob", first - turn).empty());
  }
  CHECK(outsider(place / "s.db", "SELECT count(*) FROM ilm_outbox") == "2");
}

TEST_CASE("sqlite: a queue may end at the largest index there is") {
  temporary_directory place;
  store_type s(place / "s.db");
  s.open();
  ilm::cursors other;
  s.commit(append("other", other, {"not erased"}));
  constexpr std::uint64_t most = ~std::uint64_t{0}, turn = std::uint64_t{1} << 40;
  for (std::uint64_t first : {most - turn - 1, most - turn, most - turn + 1, most - 2}) {
    std::string name = "to " + std::to_string(first);
    ilm::cursors c;
    s.commit(append(name, c, {"below"}));
    c.outbox.first = c.outbox.next = first;
    s.commit(append(name, c, {"one", "two"}));
    CHECK(texts_of(s.read(ilm::queue::outbox, name, first)).front() == "one");
    CHECK(texts_of(s.read(ilm::queue::outbox, name, first + 1)) == strings{"two"});
    s.commit(erase(name, c, first + 2));
    CHECK(s.read(ilm::queue::outbox, name, first).empty());
  }
  CHECK(outsider(place / "s.db", "SELECT count(*) FROM ilm_outbox") == "1");
}

TEST_CASE("sqlite: a store is open in one process at a time") {
  temporary_directory place;
  store_type first(place / "s.db"), second(place / "s.db");
  first.open();
  CHECK(second.open_error() == ilm::error::store_in_use);
  std::filesystem::create_symlink(place / "s.db", place / "alias.db");
  store_type by_another_name(place / "alias.db");
  CHECK(by_another_name.open_error() == ilm::error::store_in_use);
  SECTION("until it closes") { first.close(); }
  SECTION("or crashes") { first.crash(); }
  CHECK_FALSE(second.open_error());
  CHECK(by_another_name.open_error() == ilm::error::store_in_use);
}

TEST_CASE("sqlite: a file that cannot be a store is refused with the reason, and left as it was") {
  temporary_directory place;
  std::filesystem::path file = place / "s.db";
  SECTION("a directory") {
    std::filesystem::create_directory(file);
    CHECK(store_type(file).open_error() == ilm::sqlite_error::is_a_directory);
  }
  SECTION("a place that does not exist") {
    CHECK(store_type(place / "no/where/s.db").open_error() == ilm::sqlite_error::no_such_directory);
  }
  SECTION("a file that is no database") {
    std::string text(GENERATE(2U, 99U, 100U, 5000U), 'x');
    std::ofstream(file, std::ios::binary) << text;
    std::error_code why = store_type(file).open_error();
    CHECK(why == std::error_code(SQLITE_NOTADB, ilm::sqlite_category()));
    CHECK_THAT(why.message(), ContainsSubstring("no SQLite database"));
    CHECK(content_of(file) == text);
  }
  SECTION("a database of another application") {
    outsider(file, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    CHECK(store_type(file).open_error() == ilm::sqlite_error::foreign_database);
    CHECK(outsider(file, "SELECT count(*) FROM sqlite_schema") == "1");
  }
  SECTION("one with an application id, before it has tables") {
    outsider(file, "PRAGMA application_id = 77");
    CHECK(store_type(file).open_error() == ilm::sqlite_error::foreign_database);
  }
  SECTION("a store of a newer version") {
    store_type(file).open();
    outsider(file, "UPDATE ilm_store SET version = 6");
    CHECK(store_type(file).open_error() == ilm::sqlite_error::newer_version);
    CHECK(outsider(file, "SELECT version FROM ilm_store") == "6");
  }
  SECTION("a store of an older version") {
    // Its messages had no hashes, without which histories cannot be told apart.
    std::string old = GENERATE("1", "2", "3");
    outsider(file,
             "PRAGMA journal_mode = WAL; PRAGMA application_id = 0x494c4d31; "
             "CREATE TABLE ilm_store (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, "
             "incarnation BLOB, checksum INTEGER, failures INTEGER NOT NULL); "
             "CREATE TABLE ilm_peer (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, "
             "cursors BLOB NOT NULL, checksum INTEGER NOT NULL); "
             "CREATE TABLE ilm_outbox (key INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, "
             "epoch INTEGER NOT NULL, time INTEGER NOT NULL, checksum INTEGER NOT NULL, "
             "contents BLOB NOT NULL); "
             "INSERT INTO ilm_outbox VALUES (1, 1, 7, 0, 0, 'kept'); "
             "INSERT INTO ilm_store (id, version, failures) VALUES (1, " +
                 old + ", 0)");
    std::string before = content_of(file);
    std::error_code why = store_type(file).open_error();
    CHECK(why == ilm::sqlite_error::older_version);
    CHECK_THAT(why.message(), ContainsSubstring("no longer read"));
    CHECK(content_of(file) == before);
    CHECK(outsider(file, "SELECT version FROM ilm_store") == old);
    CHECK(outsider(file, "SELECT contents FROM ilm_outbox") == "kept");
  }
  SECTION("a store with peer ids of another type") {
    ilm::cursors c;
    store_type s(file);
    s.open();
    s.commit(append("bob", c, {"x"}));
    s.crash();
    asio::io_context context;
    ilm::sqlite_backend<std::uint32_t> other(file);
    std::exception_ptr failed;
    asio::co_spawn(context, other.open(), [&](std::exception_ptr e, auto) { failed = e; });
    context.run();
    REQUIRE(failed);
    CHECK_THROWS_AS(std::rethrow_exception(failed), std::system_error);
  }
}

TEST_CASE("sqlite: an empty file becomes a store, as a crash at its first start may leave it") {
  temporary_directory place;
  std::ofstream(place / "s.db");
  CHECK_FALSE(store_type(place / "s.db").open_error());
}

TEST_CASE("sqlite: options that make no sense are refused") {
  ilm::sqlite_options o;
  SECTION("a prefix that is no name") { o.table_prefix = GENERATE("a b", "1a", "x;--", "sqlite_"); }
  SECTION("no end of the log") { o.checkpoint_pages = 0; }
  SECTION("a negative time") { o.busy_timeout = std::chrono::milliseconds(-1); }
  CHECK_THROWS_AS(ilm::sqlite_backend<>("s.db", o), std::system_error);
  CHECK_THROWS_AS(ilm::sqlite_backend<>(""), std::system_error);
  CHECK_THROWS_AS(ilm::sqlite_backend<>(":memory:"), std::system_error);
}

TEST_CASE(
    "sqlite: each number at the ends of its type is refused by name, or a store works with it") {
  using time = std::chrono::milliseconds;
  std::vector<std::pair<std::string, ilm::sqlite_options>> all;
  for (time t :
       {time(0), time(1), time(std::chrono::hours(24)), time::max() - time(1), time::max()}) {
    all.emplace_back("busy_timeout", ilm::sqlite_options()).second.busy_timeout = t;
  }
  constexpr unsigned most = std::numeric_limits<unsigned>::max();
  for (unsigned n : {0U, 1U, 1U << 30, most - 1, most}) {
    all.emplace_back("checkpoint_pages", ilm::sqlite_options()).second.checkpoint_pages = n;
    all.emplace_back("cache_kibibytes", ilm::sqlite_options()).second.cache_kibibytes = n;
  }
  for (const auto& [name, o] : all) {
    std::string wrong = validation_error(o);
    if (!wrong.empty()) {
      CHECK_THAT(wrong, ContainsSubstring(name));
      continue;
    }
    INFO(name);
    temporary_directory place;
    store_type s(place / "s.db", o);
    s.open();
    ilm::cursors c;
    s.commit(append("bob", c, {"x"}));
  }
  CHECK(validation_error(all.back().second) == "cache_kibibytes must be at most 2^30 (1 TiB)");
}

TEST_CASE("sqlite: a database of the application's own can host the tables") {
  temporary_directory place;
  std::filesystem::path file = place / "app.db";
  outsider(file, "PRAGMA application_id = 77; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  CHECK(store_type(file, in_application_database()).open_error() == ilm::sqlite_error::not_wal);
  outsider(file, "PRAGMA journal_mode = WAL");
  ilm::cursors c;
  {
    store_type s(file, in_application_database());
    s.open();
    s.commit(append("bob", c, {"0", "1"}));
    outsider(file, "INSERT INTO t VALUES (2)");
    s.commit(append("bob", c, {"2"}));

    ilm::sqlite_options more;
    more.table_prefix = "others_";
    store_type another(file, more);
    CHECK(another.open().peers.empty());
    CHECK(store_type(file, in_application_database()).open_error() == ilm::error::store_in_use);
  }
  store_type s(file, in_application_database());
  s.open();
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == numbers(3));
  CHECK(outsider(file, "SELECT count(*) FROM t") == "2");
  CHECK(outsider(file, "PRAGMA application_id") == "77");
}

TEST_CASE(
    "sqlite: a transaction of the application's that lasts makes a commit fail, not wait for "
    "ever") {
  temporary_directory place;
  std::filesystem::path file = place / "app.db";
  outsider(file, "PRAGMA journal_mode = WAL");
  ilm::sqlite_options o = in_application_database();
  o.busy_timeout = std::chrono::milliseconds(1);
  store_type s(file, o);
  s.open();
  sqlite3* application = nullptr;
  sqlite3_open(file.string().c_str(), &application);
  sqlite3_exec(application, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
  ilm::cursors c;
  ilm::batch<std::string> b = append("bob", c, {"x"});
  CHECK(s.commit_error(b) == std::errc::device_or_resource_busy);
  sqlite3_exec(application, "COMMIT", nullptr, nullptr, nullptr);
  sqlite3_close(application);
  CHECK_FALSE(s.commit_error(b));
}

TEST_CASE("sqlite: a message that was changed on the disk ends the page before it, then fails") {
  temporary_directory place;
  store_type s(place / "s.db");
  s.open();
  ilm::cursors c;
  s.commit(append("bob", c, numbers(5)));
  std::string damage = GENERATE(
      "UPDATE ilm_outbox SET contents = 'X' WHERE sequence = 3",
      "UPDATE ilm_outbox SET salt = 8 WHERE sequence = 3",
      "UPDATE ilm_outbox SET hash = zeroblob(16) WHERE sequence = 3",
      "UPDATE ilm_outbox SET hash = x'00' WHERE sequence = 3",
      "UPDATE ilm_outbox SET checksum = checksum + 1 WHERE sequence = 3",
      "UPDATE ilm_outbox SET sequence = 33 WHERE sequence = 3",
      "DELETE FROM ilm_outbox WHERE sequence = 3; "
      "INSERT INTO ilm_outbox SELECT key - 1, sequence, salt, hash, time, checksum, contents, "
      "attributes FROM ilm_outbox WHERE sequence = 4");
  outsider(place / "s.db", damage);
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == numbers(2));
  CHECK(store_type::error_of([&] { s.read(ilm::queue::outbox, "bob", 3); }) ==
        ilm::error::store_corrupt);
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 4)) == strings{"3", "4"});
}

TEST_CASE("sqlite: a part of the file that was overwritten ends the page before it, then fails") {
  temporary_directory place;
  std::filesystem::path file = place / "s.db";
  {
    store_type s(file);
    s.open();
    strings texts = numbers(100);
    for (std::string& text : texts) text = "message " + text + std::string(1000, '.');
    ilm::cursors c;
    s.commit(append("bob", c, texts));
    s.close();
  }
  std::string content = content_of(file);
  std::size_t at = content.find("message 50.");
  REQUIRE(at != std::string::npos);
  content[at / 4096 * 4096] = '\0';
  std::ofstream(file, std::ios::binary) << content;
  store_type s(file);
  s.open();
  std::size_t whole = s.read(ilm::queue::outbox, "bob", 1).size();
  CHECK(whole > 0);
  CHECK(whole <= 50);
  CHECK(store_type::error_of([&] { s.read(ilm::queue::outbox, "bob", whole + 1); }) ==
        ilm::error::store_corrupt);
}

TEST_CASE("sqlite: a missing message ends a page, and its successor does not take its place") {
  temporary_directory place;
  store_type s(place / "s.db");
  s.open();
  ilm::cursors c;
  s.commit(append("bob", c, numbers(5)));
  outsider(place / "s.db", "DELETE FROM ilm_outbox WHERE sequence = 3");
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == numbers(2));
  CHECK(s.read(ilm::queue::outbox, "bob", 3).empty());
}

TEST_CASE("sqlite: cursors or an identity that were changed on the disk are an error, never new") {
  temporary_directory place;
  {
    store_type s(place / "s.db");
    s.open();
    ilm::cursors c;
    ilm::batch<std::string> b = append("bob", c, numbers(5));
    b.new_incarnation = ilm::incarnation{1, 2};
    s.commit(b);
  }
  outsider(place / "s.db",
           GENERATE("UPDATE ilm_peer SET cursors = zeroblob(296)", "UPDATE ilm_peer SET name = 'x'",
                    "UPDATE ilm_peer SET cursors = x'00'", "UPDATE ilm_peer SET id = 9",
                    "UPDATE ilm_store SET incarnation = zeroblob(16)",
                    "UPDATE ilm_store SET incarnation = x'00'", "DELETE FROM ilm_store"));
  CHECK(store_type(place / "s.db").open_error() == ilm::error::store_corrupt);
}

TEST_CASE("sqlite: a drained store gives its space back") {
  temporary_directory place;
  std::filesystem::path file = place / "s.db";
  store_type s(file);
  s.open();
  ilm::cursors c;
  std::uint64_t full = 0;
  for (int i = 0; i < 20; ++i) s.commit(append("bob", c, strings(10, std::string(100'000, 'x'))));
  full = std::filesystem::file_size(file);
  REQUIRE(full > 15'000'000);
  s.commit(erase("bob", c, c.outbox.next));
  // It does so when nothing else waits: read until it has.
  for (int i = 0; i < 100'000 && std::filesystem::file_size(file) > 6'000'000; ++i) {
    s.read(ilm::queue::outbox, "bob", 1);
  }
  CHECK(std::filesystem::file_size(file) < 6'000'000);
  s.commit(append("bob", c, {"and goes on"}));
  CHECK(s.read(ilm::queue::outbox, "bob", c.outbox.next - 1).size() == 1);
}

namespace {

/// Stores some 8 MB and erases them.
void fill_and_drain(ilm::detail::sqlite_store& s) {
  s.load();
  std::string text = "bob";
  auto name = std::as_bytes(std::span(text));
  ilm::cursors c;
  std::vector<ilm::stored_message> messages;
  for (int i = 0; i < 80; ++i) {
    messages.push_back(stored(c.outbox.next++, std::string(100'000, 'x')));
  }
  s.change([&] { s.put(name, c, messages, {}); });
  c.outbox.first = c.outbox.next;
  s.change([&] { s.put(name, c, {}, {}); });
}

}  // namespace

TEST_CASE("sqlite: a drained store keeps some 4 MiB to fill again") {
  temporary_directory place;
  std::filesystem::path file = place / "s.db";
  ilm::detail::sqlite_store s(file.string(), {}, ilm::durability::os);
  fill_and_drain(s);
  while (s.reclaim_space()) {
  }
  int free_pages = std::stoi(outsider(file, "PRAGMA freelist_count"));
  CHECK(free_pages <= 1024);
  CHECK(free_pages > 512);
}

TEST_CASE("sqlite: the free space of an application's database is left to the application") {
  temporary_directory place;
  std::filesystem::path file = place / "app.db";
  outsider(file,
           "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; CREATE TABLE own (x)");
  ilm::detail::sqlite_store s(file.string(), in_application_database(), ilm::durability::os);
  fill_and_drain(s);
  std::string free_pages = outsider(file, "PRAGMA freelist_count");
  CHECK(std::stoi(free_pages) > 1024);
  CHECK_FALSE(s.reclaim_space());
  CHECK(outsider(file, "PRAGMA freelist_count") == free_pages);
}

TEST_CASE("sqlite: a store that is closed or was never opened says so") {
  temporary_directory place;
  store_type s(place / "s.db");
  ilm::cursors c;
  CHECK(s.commit_error(append("bob", c, {"x"})) == ilm::error::store_closed);
  s.close();
  s.open();
  s.close();
  CHECK(s.commit_error(append("bob", c, {"x"})) == ilm::error::store_closed);
}

TEST_CASE("sqlite: a context that is destroyed with a commit under way leaves all or nothing") {
  temporary_directory place;
  ilm::cursors c;
  ilm::batch<std::string> b = append("bob", c, strings(1000, "x"));
  for (int i = 0; i < 20; ++i) {
    for (const char* part : {"s.db", "s.db-wal", "s.db-shm", "s.db-last"}) {
      std::filesystem::remove(place / part);
    }
    {
      auto context = std::make_unique<asio::io_context>();
      auto s = std::make_unique<ilm::sqlite_backend<>>(place / "s.db");
      auto use = [&]() -> asio::awaitable<void> {
        co_await s->open();
        co_await s->commit(b);
      };
      asio::co_spawn(*context, use(), asio::detached);
      for (int turn = 0; turn < i; ++turn) context->poll_one();
      if (i % 2 == 0) s.reset();
      context.reset();
    }
    store_type again(place / "s.db");
    again.open();
    std::size_t found = again.read(ilm::queue::outbox, "bob", 1, 2000).size();
    CHECK((found == 0 || found == 1000));
  }
}

TEST_CASE("a damaged attribute in a store is found as damage") {
  temporary_directory place;
  std::filesystem::path file = place / "s.db";
  ilm::cursors c;
  {
    store_type s(file);
    s.open();
    auto change = append("bob", c, {"one", "two"});
    change.changes[0].outbox[1].attributes = ilm::bytes(std::string_view("\x81\x03\x01kv"));
    s.commit(change);
    auto page = s.read(ilm::queue::outbox, "bob", 1);
    REQUIRE(page.size() == 2);
    CHECK(page[0].attributes.empty());
    CHECK(page[1].attributes.text() == "\x81\x03\x01kv");
  }
  CHECK(outsider(file, "SELECT count(*) FROM ilm_outbox WHERE attributes IS NULL") == "1");
  SECTION("changed") {
    outsider(file, "UPDATE ilm_outbox SET attributes = x'8103016b77' WHERE attributes NOT NULL");
  }
  SECTION("lost") { outsider(file, "UPDATE ilm_outbox SET attributes = NULL"); }
  SECTION("joined to the contents") {
    outsider(file,
             "UPDATE ilm_outbox SET contents = contents || attributes, attributes = NULL WHERE "
             "attributes NOT NULL");
  }
  store_type s(file);
  s.open();
  CHECK(s.read(ilm::queue::outbox, "bob", 1).size() == 1);
}
