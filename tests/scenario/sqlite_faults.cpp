#include "support/catch.hpp"
#include "support/fault_vfs.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite/connection.hpp>

#include <map>
#include <random>

using namespace test;
using operation = fault_disk::operation;

// The SQLite store on a disk that fails, fills up, and loses its power.

namespace {

using strings = std::vector<std::string>;

ilm::sqlite_options on_fault_disk() {
  ilm::sqlite_options o;
  o.vfs = fault_disk::name;
  o.checkpoint_pages = 8;  // so that every kind of operation comes early
  o.cache_kibibytes = 16;
  return o;
}

/// The contents that a store must hold: the state after the last commit that completed.
struct expectation {
  ilm::cursors where;
  strings texts;
};

/// The n-th change of a history: appends a few messages, and erases all but some.
ilm::batch<std::string> nth_change(int n, expectation& e) {
  strings added = {std::to_string(n), std::string(static_cast<std::size_t>(n % 5) * 3000, 'x')};
  ilm::batch<std::string> b = append("bob", e.where, added);
  e.texts.insert(e.texts.end(), added.begin(), added.end());
  if (n % 3 == 2) {
    e.texts.erase(e.texts.begin(), e.texts.end() - 2);
    e.where.outbox.first = e.where.outbox.next - 2;
    b.changes.back().next = e.where;
  }
  return b;
}

template <class Store>
void require_holds(Store& s, const expectation& e, const typename Store::state& state) {
  if (e.where.outbox.next == 1) {
    REQUIRE(state.peers.empty());
    return;
  }
  REQUIRE(state.peers.size() == 1);
  REQUIRE(state.peers[0].second == e.where);
  REQUIRE(texts_of(s.read(ilm::queue::outbox, "bob", e.where.outbox.first)) == e.texts);
}

}  // namespace

TEST_CASE(
    "sqlite: an operation of the disk that fails, whichever it is, loses and leaves nothing") {
  const bool for_good = GENERATE(false, true);
  const int code = for_good ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  fault_disk disk;
  int faults = 0;
  for (int failing = 1;; ++failing) {
    temporary_directory place;
    int at = 0;
    bool hit = false;
    std::atomic<bool> sick = false;
    expectation expected;
    {
      hand_driven<> s(place / "s.db", on_fault_disk());
      disk.result_of = nullptr;
      s.open();
      disk.result_of = [&](operation o) {
        if (sick || (o != operation::read && ++at == failing)) {
          hit = true;
          sick = for_good;
          return o == operation::read ? SQLITE_OK : code;
        }
        return SQLITE_OK;
      };
      for (int n = 0; n < 8; ++n) {
        expectation wanted = expected;
        ilm::batch<std::string> b = nth_change(n, wanted);
        std::error_code failed = s.commit_error(b);
        if (failed) {
          REQUIRE(failed.category() == ilm::sqlite_category());
          REQUIRE(texts_of(s.read(ilm::queue::outbox, "bob", expected.where.outbox.first)) ==
                  expected.texts);
          sick = false;  // somebody made room
        } else {
          expected = wanted;
        }
      }
    }
    disk.result_of = nullptr;
    hand_driven<> again(place / "s.db", on_fault_disk());
    require_holds(again, expected, again.open());
    if (!hit) break;
    ++faults;
  }
  CHECK(faults > 50);
}

TEST_CASE("sqlite: a read that fails is an error, and the store opens when the disk reads again") {
  fault_disk disk;
  temporary_directory place;
  expectation expected;
  {
    hand_driven<> s(place / "s.db", on_fault_disk());
    s.open();
    for (int n = 0; n < 8; ++n) s.commit(nth_change(n, expected));
    s.close();
  }
  int faults = 0;
  for (int failing = 1;; ++failing) {
    int at = 0;
    bool hit = false;
    disk.result_of = [&](operation o) {
      bool fails = o == operation::read && ++at == failing;
      hit = hit || fails;
      return fails ? SQLITE_IOERR_READ : SQLITE_OK;
    };
    hand_driven<> s(place / "s.db", on_fault_disk());
    std::error_code failed = s.open_error();
    if (!failed) {
      failed = s.error_of([&] { s.read(ilm::queue::outbox, "bob", expected.where.outbox.first); });
    }
    disk.result_of = nullptr;
    if (hit) CHECK(failed == std::errc::io_error);
    require_holds(s, expected, s.open());
    s.close();
    if (!hit) break;
    ++faults;
  }
  CHECK(faults >= 5);
}

TEST_CASE(
    "sqlite: a power cut takes nothing from a store at `media`, and no half of a commit at `os`") {
  std::mt19937 random(GENERATE(1U, 2U, 3U, 4U, 5U));
  const bool media = GENERATE(true, false);
  fault_disk disk;
  temporary_directory place;
  std::map<std::uint64_t, expectation> after;  // by the next sequence
  expectation last;
  after[last.where.outbox.next] = last;
  int n = 0, went_back = 0;
  auto run_process = [&](auto store) {
    auto state = store.open();
    ilm::cursors found = state.peers.empty() ? ilm::cursors() : state.peers[0].second;
    if (found.outbox.next != last.where.outbox.next) ++went_back;
    REQUIRE(after.contains(found.outbox.next));
    expectation now = after[found.outbox.next];
    if (media) REQUIRE(now.where == last.where);
    require_holds(store, now, state);
    last = now;
    after.erase(after.upper_bound(found.outbox.next), after.end());
    for (auto commits = random() % 30; commits > 0; --commits) {
      store.commit(nth_change(n++, last));
      after[last.where.outbox.next] = last;
    }
  };
  for (int round = 0; round < 30; ++round) {
    if (media) {
      run_process(hand_driven<>(place / "s.db", on_fault_disk()));
    } else {
      using os_backend = ilm::sqlite_backend<std::string, ilm::durability::os>;
      run_process(hand_driven<os_backend>(place / "s.db", on_fault_disk()));
    }
    disk.cut_power([&] { return random() % 2 == 0; });
    std::filesystem::remove(place / "s.db-shm");
  }
  CHECK((went_back > 0) == !media);
}

TEST_CASE("sqlite: a file that cannot be written is refused at once") {
  fault_disk disk;
  temporary_directory place;
  hand_driven<>(place / "s.db", on_fault_disk()).open();
  disk.read_only = true;
  std::error_code why = hand_driven<>(place / "s.db", on_fault_disk()).open_error();
  CHECK(why == std::errc::read_only_file_system);
  CHECK_THAT(why.message(), ContainsSubstring("writable"));
}

TEST_CASE("sqlite: opening takes reads by peers, not by messages") {
  fault_disk disk;
  std::map<int, std::uint64_t> reads;
  for (int messages : {100, 20'000}) {
    temporary_directory place;
    {
      hand_driven<> s(place / "s.db", on_fault_disk());
      s.open();
      ilm::cursors c;
      s.commit(append("bob", c, strings(static_cast<std::size_t>(messages), "x")));
      s.close();
    }
    hand_driven<> s(place / "s.db", on_fault_disk());
    std::uint64_t before = disk.count(operation::read);
    s.open();
    reads[messages] = disk.count(operation::read) - before;
  }
  CHECK(reads[20'000] <= reads[100] + 4);
}

TEST_CASE("sqlite: a commit is synced once at `media`, and not at `os`") {
  fault_disk disk;
  ilm::sqlite_options o = on_fault_disk();
  o.checkpoint_pages = 1000;
  auto syncs = [&](auto store) {
    store.open();
    ilm::cursors c;
    store.commit(append("bob", c, {"first"}));
    std::uint64_t before = disk.count(operation::sync);
    store.commit(append("bob", c, strings(3, "x")));
    return disk.count(operation::sync) - before;
  };
  temporary_directory place;
  CHECK(syncs(hand_driven<>(place / "media.db", o)) == 1);
  CHECK(disk.kind_of_last_sync() == SQLITE_SYNC_FULL);
  using os_backend = ilm::sqlite_backend<std::string, ilm::durability::os>;
  CHECK(syncs(hand_driven<os_backend>(place / "os.db", o)) == 0);
}

TEST_CASE("sqlite: a commit that could not be synced is not in the log, though somebody reads it") {
  fault_disk disk;
  temporary_directory place;
  std::filesystem::path file = place / "s.db", copy = place / "copy.db";
  ilm::cursors c;
  hand_driven<> s(file, on_fault_disk());
  s.open();
  s.commit(append("bob", c, {"stored"}));
  ilm::detail::sqlite_connection reader(file.string(), "");
  reader.execute("BEGIN");
  reader.number("SELECT count(*) FROM ilm_peer");
  bool fails = true;
  disk.result_of = [&](operation o) {
    return o == operation::sync && std::exchange(fails, false) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
  };
  ilm::cursors then = c;
  CHECK(s.commit_error(append("bob", then, {"failed"})));
  // As a crash would leave it.
  for (const char* part : {"", "-wal"}) {
    std::filesystem::copy_file(file.string() + part, copy.string() + part);
  }
  hand_driven<> again(copy);
  again.open();
  CHECK(texts_of(again.read(ilm::queue::outbox, "bob", 1)) == strings{"stored"});
}

TEST_CASE("sqlite: a commit that failed and turns out to be stored is no damage") {
  fault_disk disk;
  disk.be_default();
  disk.writes_half = false;
  temporary_directory place;
  ilm::cursors c;
  {
    hand_driven<> s(place / "s.db");
    s.open();
    s.commit(append("bob", c, {"1"}));
    bool sick = false;
    disk.result_of = [&](operation o) {
      sick = sick || o == operation::sync;
      return sick && o != operation::read ? SQLITE_IOERR : SQLITE_OK;
    };
    ilm::cursors then = c;
    CHECK(s.commit_error(append("bob", then, {"2"})));
    then = c;
    CHECK(s.commit_error(append("bob", then, {"other", "messages"})));
    s.crash();
    disk.result_of = {};
  }
  hand_driven<> s(place / "s.db");
  CHECK_FALSE(s.open_error());
  CHECK(texts_of(s.read(ilm::queue::outbox, "bob", 1)) == strings{"1", "2"});
}

TEST_CASE("sqlite: once nothing is left of a commit that failed no older store is taken for it") {
  fault_disk disk;
  disk.be_default();
  temporary_directory place;
  std::filesystem::path file = place / "s.db", log = place / "s.db-wal";
  ilm::cursors bob, eve;
  hand_driven<> s(file);
  s.open();
  s.commit(append("bob", bob, {"1"}));
  // The commit that overwrites the one that failed may fail as well, and the next one overwrites
  // it.
  bool fails_again = GENERATE(false, true);
  int failures = fails_again ? 2 : 1;
  disk.result_of = [&](operation o) {
    return o == operation::sync && failures > 0 && failures-- > 0 ? SQLITE_IOERR_FSYNC : SQLITE_OK;
  };
  ilm::cursors then = bob;
  CHECK(s.commit_error(append("bob", then, {"2"})));
  s.commit(append("eve", eve, {"1"}));
  std::string older = content_of(log);
  ilm::batch<std::string> forget;
  forget.forgotten.push_back("bob");
  s.commit(forget);
  s.crash();
  CHECK_FALSE(hand_driven<>(file).open_error());
  std::ofstream(log, std::ios::binary) << older;
  CHECK(hand_driven<>(file).open_error() == ilm::error::store_corrupt);
}

namespace {

/// A commit after which the log is emptied.
ilm::batch<std::string> first_change(ilm::cursors& c) {
  ilm::batch<std::string> b = append("bob", c, {"first"});
  b.new_incarnation = ilm::incarnation{1, 2};
  return b;
}

}  // namespace

TEST_CASE("sqlite: no commit waits for somebody who reads") {
  fault_disk disk;
  temporary_directory place;
  ilm::cursors c;
  hand_driven<> s(place / "s.db", on_fault_disk());
  s.open();
  s.commit(append("bob", c, {"before"}));
  ilm::detail::sqlite_connection reader((place / "s.db").string(), "");
  reader.execute("BEGIN");
  reader.number("SELECT count(*) FROM ilm_peer");
  int waits = 0;
  disk.instead_of_sleep = [&] { ++waits; };
  CHECK_FALSE(s.commit_error(first_change(c)));
  CHECK(waits == 0);
}

TEST_CASE("sqlite: each commit waits for somebody who writes") {
  fault_disk disk;
  temporary_directory place;
  ilm::cursors c;
  hand_driven<> s(place / "s.db", on_fault_disk());
  s.open();
  s.commit(first_change(c));
  ilm::detail::sqlite_connection writer((place / "s.db").string(), "");
  writer.execute("BEGIN IMMEDIATE");
  disk.instead_of_sleep = [&] { writer.execute("COMMIT"); };
  CHECK_FALSE(s.commit_error(append("bob", c, {"second"})));
}
