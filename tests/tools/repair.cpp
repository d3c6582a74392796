#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t sent = 300, answers = 1;

std::string text_of(std::uint64_t number) {
  return "message " + std::to_string(number) + ' ' + std::string(100, 'x');
}

/// Alice, whose store is the one to be damaged, and Bob, whose store is not.
class pair_of_messengers {
 public:
  using events = std::vector<ilm::event_kind>;

  pair_of_messengers(const fs::path& file, ilm::memory_backend<std::string> bob,
                     ilm::sqlite_options o = {}) {
    alice_.emplace(context_, ilm::sqlite_backend<>(file, std::move(o)), fabric_.join("alice"),
                   alice_inbox_);
    bob_.emplace(context_, std::move(bob), fabric_.join("bob"), bob_inbox_);
  }
  pair_of_messengers(const pair_of_messengers&) = delete;
  pair_of_messengers& operator=(const pair_of_messengers&) = delete;
  /// As a crash: the log is left as it is.
  ~pair_of_messengers() {
    alice_.reset();
    bob_.reset();
    context_.restart();
    context_.run_for(10s);
  }

  /// Leaves `sent` messages in her outbox and one in her inbox.
  void fill() { run(exchange_messages()); }

  /// The events of both, Alice's first; and a message gets through.
  events told() {
    events found;
    run(meet_again(found));
    return found;
  }

 private:
  template <class Messenger>
  static asio::awaitable<ilm::event_kind> next_other(Messenger& m) {
    for (;;) {
      auto e = co_await m.next_event();
      bool of_session =
          e.kind == ilm::event_kind::peer_connected || e.kind == ilm::event_kind::peer_disconnected;
      if (!of_session) co_return e.kind;
    }
  }

  asio::awaitable<void> exchange_messages() {
    co_await alice_->send_to("bob", "first");
    co_await bob_inbox_.receive();
    co_await bob_inbox_.consume();
    co_await alice_->wait_delivered("bob", 1);
    co_await bob_->send_to("alice", text_of(1));
    co_await alice_inbox_.receive();
    co_await bob_->shutdown(100ms);
    for (std::uint64_t i = 2; i <= sent + 1; ++i) co_await alice_->send_to("bob", text_of(i));
  }

  asio::awaitable<void> meet_again(events& found) {
    co_await alice_->send_to("bob", "anew");
    found.push_back(co_await next_other(*alice_));
    found.push_back(co_await next_other(*bob_));
    co_await bob_inbox_.receive();
  }

  void run(asio::awaitable<void> work) {
    std::exception_ptr failed = std::make_exception_ptr(std::runtime_error("it takes too long"));
    asio::co_spawn(context_, std::move(work), [&](std::exception_ptr e) {
      failed = e;
      context_.stop();
    });
    context_.restart();
    context_.run_for(20s);
    if (failed) std::rethrow_exception(failed);
  }

  using fabric = ilm::memory_fabric<std::string>;
  using inbox = ilm::inbox<std::string>;
  template <class Backend>
  using messenger = ilm::messenger<Backend, fabric::network_type, inbox>;

  asio::io_context context_;
  fabric fabric_;
  inbox alice_inbox_, bob_inbox_;
  std::optional<messenger<ilm::sqlite_backend<>>> alice_;
  std::optional<messenger<ilm::memory_backend<std::string>>> bob_;
};

/// A crashed store, ways to damage it, and the program.
class fixture {
 public:
  fixture() { pair_of_messengers(file, bob).fill(); }

  int look() { return run({file.string()}); }
  int save() { return run({file.string(), "--save", saved.string()}); }
  int run(std::vector<std::string> words) {
    int code = test::run(REPAIR_PROGRAM, std::move(words), place / "out");
    output = test::contents_of(place / "out");
    return code;
  }

  /// Works the log into the file.
  void checkpoint() const { test::outsider(file, "PRAGMA wal_checkpoint(TRUNCATE)"); }
  fs::path part(const std::string& suffix) const { return file.string() + suffix; }

  static void write(const fs::path& to, std::uint64_t at, const std::string& bytes) {
    std::fstream out(to, std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(static_cast<std::streamoff>(at));
    out << bytes;
  }
  /// Changes a byte of the first place where `text` is.
  static void flip(const fs::path& in, const std::string& text) {
    std::size_t at = test::contents_of(in).find(text);
    REQUIRE(at != std::string::npos);
    write(in, at, "#");
  }

  /// The sequences of the saved messages, each of which is as it was stored.
  std::set<std::uint64_t> saved_of(const std::string& queue) const {
    std::set<std::uint64_t> found;
    std::istringstream lines(test::contents_of(saved / "messages.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      json m = json::parse(line);
      if (m["queue"] != queue) continue;
      std::uint64_t sequence = m["sequence"];
      CHECK(m["contents"] == text_of(sequence));
      CHECK(m["peer"] == "bob");
      CHECK(m["waiting"] == true);
      CHECK(found.insert(sequence).second);
    }
    return found;
  }

  bool files_are_gone() const {
    return !fs::exists(file) && !fs::exists(part("-wal")) && !fs::exists(part("-shm")) &&
           !fs::exists(part("-last"));
  }

  test::temporary_directory place;
  fs::path file = place / "alice.db", saved = place / "saved";
  ilm::memory_backend<std::string> bob;
  std::string output;
};

}  // namespace

TEST_CASE("repair: a whole store is left alone") {
  fixture f;
  std::string before = test::contents_of(f.file), log = test::contents_of(f.part("-wal"));
  CHECK(f.look() == 0);
  CHECK_THAT(f.output, test::ContainsSubstring("nothing is damaged"));
  CHECK(f.save() == 0);
  CHECK_THAT(f.output, test::ContainsSubstring("nothing is damaged"));
  CHECK((test::contents_of(f.file) == before));
  CHECK((test::contents_of(f.part("-wal")) == log));
  CHECK(!fs::exists(f.saved / "messages.jsonl"));
}

TEST_CASE("repair: all messages but the damaged one are saved, and both sides are told") {
  fixture f;
  f.checkpoint();
  fixture::flip(f.file, text_of(150));
  std::string damaged = test::contents_of(f.file);

  CHECK(f.look() == 1);
  INFO(f.output);
  CHECK_THAT(f.output, test::ContainsSubstring("message 150 fails its checksum"));
  CHECK_THAT(f.output, test::ContainsSubstring("to bob: 299 of 300 messages are whole"));
  CHECK((test::contents_of(f.file) == damaged));

  CHECK(f.save() == 0);
  CHECK(f.saved_of("outbox").size() == sent - 1);
  CHECK(f.saved_of("outbox").count(150) == 0);
  CHECK(f.saved_of("inbox").size() == answers);
  CHECK(f.files_are_gone());
  CHECK((test::contents_of(f.saved / "alice.db") == damaged));

  auto told = pair_of_messengers(f.file, f.bob).told();
  CHECK(told == std::vector{ilm::event_kind::store_lost, ilm::event_kind::peer_reset});
}

TEST_CASE("repair: damaged cursors do not hide the messages") {
  fixture f;
  test::outsider(f.file, "UPDATE ilm_peer SET cursors = zeroblob(296)");
  CHECK(f.look() == 1);
  CHECK_THAT(f.output, test::ContainsSubstring("cursors of peer 1 (bob) fail their checksum"));
  CHECK(f.save() == 0);
  std::istringstream lines(test::contents_of(f.saved / "messages.jsonl"));
  std::uint64_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    json m = json::parse(line);
    CHECK(m["peer"].is_null());
    CHECK(m["peer_unchecked"] == "bob");
  }
  CHECK(count == sent + answers);
}

TEST_CASE("repair: messages behind damage in the log are saved") {
  fixture f;
  fixture::flip(f.part("-wal"), text_of(100));
  CHECK(f.look() == 1);
  INFO(f.output);
  CHECK_THAT(f.output, test::ContainsSubstring("alice.db-wal is damaged at byte"));
  CHECK(f.save() == 0);
  CHECK(f.saved_of("outbox").size() >= sent - 1);
  CHECK(f.files_are_gone());
}

TEST_CASE("repair: messages are saved without the first page, and without the store's own row") {
  fixture f;
  f.checkpoint();
  SECTION("the schema is empty") { fixture::write(f.file, 103, std::string(2, '\0')); }
  SECTION("the first page is gone") { fixture::write(f.file, 0, std::string(4096, '\0')); }
  SECTION("the store's row is gone") { fixture::write(f.file, 2 * 4096, std::string(4096, '\0')); }
  CHECK(f.look() == 1);
  INFO(f.output);
  CHECK(f.save() == 0);
  CHECK(f.saved_of("outbox").size() == sent);
  CHECK(f.saved_of("inbox").size() == answers);
  CHECK(f.files_are_gone());
}

TEST_CASE("repair: a damaged page takes no messages with it but its own") {
  fixture f;
  f.checkpoint();
  std::string contents = test::contents_of(f.file);
  for (unsigned message : {60U, 150U, 240U}) {
    std::size_t at = contents.find(text_of(message));
    REQUIRE(at != std::string::npos);
    fixture::write(f.file, at / 4096 * 4096, std::string(4096, '\xff'));
  }
  CHECK(f.save() == 0);
  INFO(f.output);
  // A page holds some 25.
  CHECK(f.saved_of("outbox").size() > sent - 100);
  CHECK(f.saved_of("outbox").count(100) == 1);
  CHECK(f.saved_of("outbox").count(200) == 1);
}

TEST_CASE("repair: files that are missing or empty are told, and their log is read") {
  fixture f;
  SECTION("the log was removed") {
    fs::remove(f.part("-wal"));
    CHECK(f.look() == 1);
    CHECK_THAT(f.output, test::ContainsSubstring("newest commits are missing"));
    CHECK(f.save() == 0);
  }
  SECTION("the file was removed") {
    fs::remove(f.file);
    CHECK(f.look() == 1);
    CHECK_THAT(f.output, test::ContainsSubstring("alice.db is missing beside its -wal"));
    CHECK(f.save() == 0);
    CHECK(f.saved_of("outbox").size() == sent);
  }
  SECTION("the file was emptied") {
    fs::resize_file(f.file, 0);
    CHECK(f.look() == 1);
    CHECK_THAT(f.output, test::ContainsSubstring("alice.db was emptied"));
    CHECK(f.save() == 0);
    CHECK(f.saved_of("outbox").size() == sent);
  }
  SECTION("the file was emptied, with its record and without its log") {
    f.checkpoint();
    for (const char* part : {"", "-last"}) fs::resize_file(f.file.string() + part, 0);
    fs::remove(f.file.string() + "-wal");
    CHECK(f.look() == 1);
    CHECK_THAT(f.output, test::ContainsSubstring("alice.db was emptied"));
    CHECK(f.save() == 0);
  }
  SECTION("the file is garbage") {
    f.checkpoint();
    std::ofstream(f.file) << std::string(20000, 'x');
    CHECK(f.look() == 1);
    CHECK_THAT(f.output, test::ContainsSubstring("no SQLite database"));
    CHECK(f.save() == 0);
  }
  CHECK(f.files_are_gone());
  pair_of_messengers(f.file, f.bob).told();
}

TEST_CASE("repair: nothing is done to files that are no store of ILM's, or in use") {
  fixture f;
  CHECK(f.run({(f.place / "none").string()}) == 2);
  CHECK(f.run({f.place / "."}) == 2);
  CHECK(f.run({}) == 2);
  CHECK(f.run({f.file.string(), "--save", f.file.parent_path().string()}) == 2);

  fs::path other = f.place / "letter.txt";
  std::ofstream(other) << std::string(5000, 'x');
  CHECK(f.run({other.string(), "--save", f.saved.string()}) == 2);
  CHECK_THAT(f.output, test::ContainsSubstring("nothing in it shows"));
  CHECK(fs::exists(other));

  fs::path database = f.place / "other.db";
  test::outsider(database, "CREATE TABLE something (x)");
  CHECK(f.run({database.string(), "--save", f.saved.string()}) == 2);
  CHECK_THAT(f.output, test::ContainsSubstring("another application"));
  CHECK(fs::exists(database));

  fixture::flip(f.part("-wal"), text_of(100));
  fs::copy_file(f.file, f.place / "used.db");
  test::hand_driven<> user(f.place / "used.db");
  user.open();
  CHECK(f.run({f.place / "used.db", "--save", f.saved.string()}) == 2);
  CHECK_THAT(f.output, test::ContainsSubstring("another messenger"));
}

TEST_CASE("repair: a repair that was killed can be run again") {
  fixture f;
  f.checkpoint();
  fixture::flip(f.file, text_of(150));
  fs::path kept = f.place / "kept";
  fs::create_directory(kept);
  for (const char* suffix : {"", "-last"}) {
    fs::copy_file(f.part(suffix), kept / ("alice.db" + std::string(suffix)));
  }
  SECTION("while it copied") {
    fs::create_directory(f.saved);
    fs::copy_file(f.file, f.saved / "alice.db");
    std::ofstream(f.saved / "alice.db-last.part") << "half";
    std::ofstream(f.saved / "messages.jsonl.part") << "half";
    CHECK(f.save() == 0);
  }
  SECTION("before it removed the files") {
    CHECK(f.save() == 0);
    for (const char* suffix : {"", "-last"}) {
      fs::copy_file(kept / ("alice.db" + std::string(suffix)), f.part(suffix));
    }
    CHECK(f.save() == 0);
  }
  SECTION("after it removed the file") {
    CHECK(f.save() == 0);
    fs::copy_file(kept / "alice.db-last", f.part("-last"));
    CHECK(f.save() == 0);
  }
  INFO(f.output);
  CHECK(f.saved_of("outbox").size() == sent - 1);
  CHECK(f.files_are_gone());
  // The directory is of this repair alone.
  pair_of_messengers(f.file, f.bob).told();
  CHECK(f.save() == 2);
  CHECK(fs::exists(f.file));
  CHECK_THAT(f.output, test::ContainsSubstring("another repair"));
}

TEST_CASE("repair: an application's database stays, without the tables") {
  fixture f;
  fs::path file = f.place / "app.db";
  test::outsider(file, "PRAGMA journal_mode=WAL");
  test::outsider(file, "CREATE TABLE mine (x)");
  ilm::sqlite_options o;
  o.table_prefix = "queue_";
  pair_of_messengers(file, {}, o).fill();
  CHECK(f.run({file.string(), "--prefix", "queue_"}) == 0);
  test::outsider(file, "UPDATE queue_outbox SET contents = 'x' WHERE sequence = 7");
  CHECK(f.run({file.string(), "--prefix", "queue_"}) == 1);
  CHECK(f.run({file.string(), "--prefix", "queue_", "--save", f.saved.string()}) == 0);
  INFO(f.output);
  CHECK(f.saved_of("outbox").size() == sent - 1);
  CHECK(test::outsider(file, "SELECT count(*) FROM sqlite_schema") == "1");
  CHECK(f.run({file.string(), "--prefix", "queue_", "--save", f.saved.string()}) == 0);
  test::hand_driven<>(file, o).open();
}

TEST_CASE("repair: a file that cannot be read, or a directory that cannot be made, is one line") {
  fixture f;
  fixture::flip(f.part("-wal"), text_of(100));
  REQUIRE(::mkfifo((f.place / "pipe").c_str(), 0600) == 0);
  std::ofstream(f.place / "text") << "a file";
  auto reason = [&](std::vector<std::string> words) {
    CHECK(f.run(std::move(words)) == 2);
    CHECK(test::is_one_line(f.output, "repair", ""));
    return f.output;
  };
  CHECK_THAT(reason({(f.place / "pipe").string()}), test::ContainsSubstring("no regular file"));
  CHECK_THAT(reason({(f.place / std::string(256, 'n')).string()}),
             test::ContainsSubstring("too long"));
  std::string below = (f.place / "text" / "below").string();
  CHECK(f.run({f.file.string(), "--save", below}) == 2);
  CHECK_THAT(f.output, test::ContainsSubstring("text/below: Not a directory\n"));
  CHECK_THAT(f.output, !test::ContainsSubstring("filesystem error"));
}

TEST_CASE("repair: what can be saved is saved where nobody can read that it is") {
  fixture f;
  fixture::flip(f.part("-wal"), text_of(100));
  CHECK(test::run_by_shell("exec \"$0\" \"$@\" >&-", REPAIR_PROGRAM,
                           {f.file.string(), "--save", f.saved.string()}, f.place / "out") == 2);
  CHECK(test::is_one_line(test::contents_of(f.place / "out"), "repair",
                          "the output cannot be written"));
  CHECK(f.saved_of("outbox").size() >= sent - 1);
  CHECK(f.files_are_gone());
}
