#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using nlohmann::json;

/// Alice, with sent and received messages and an open store.
class alice_at_work {
 public:
  explicit alice_at_work(const std::filesystem::path& file) {
    alice_.emplace(context_, ilm::sqlite_backend<>(file), fabric_.join("alice"), alice_inbox_);
    bob_.emplace(context_, ilm::memory_backend<std::string>(), fabric_.join("bob"), bob_inbox_);
    std::exception_ptr failed;
    asio::co_spawn(context_, exchange_messages(), [&](std::exception_ptr e) {
      failed = e;
      context_.stop();
    });
    context_.run();
    if (failed) std::rethrow_exception(failed);
  }
  alice_at_work(const alice_at_work&) = delete;
  alice_at_work& operator=(const alice_at_work&) = delete;
  /// Her store is free when the handlers posted by her destructor have run.
  ~alice_at_work() {
    alice_.reset();
    bob_.reset();
    context_.restart();
    context_.run_for(10s);
  }

 private:
  /// Bob has all but two of her messages, and a peer with a binary id has none.
  asio::awaitable<void> exchange_messages() {
    for (const char* text : {"one", "two", "three"}) co_await alice_->send_to("bob", text);
    for (int i = 0; i < 3; ++i) co_await bob_inbox_.receive();
    co_await bob_inbox_.consume();
    co_await alice_->wait_delivered("bob", 3);
    for (const char* text : {"yes", "and"}) co_await bob_->send_to("alice", text);
    co_await alice_inbox_.receive();
    co_await alice_inbox_.consume();
    co_await bob_->wait_delivered("alice", 1);
    co_await bob_->shutdown(100ms);
    for (const char* text : {"four", "five"}) co_await alice_->send_to("bob", text);
    co_await alice_->send_to(std::string("\x01\x07"), "to somebody whose id is no text");
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

class inspection {
 public:
  /// The program's output for a file.
  std::string of(const std::filesystem::path& file, std::vector<std::string> options = {}) {
    return print(file, std::move(options), 0);
  }
  /// The same if it must fail.
  std::string error_of(const std::filesystem::path& file) { return print(file, {}, 1); }

  test::temporary_directory place;

 private:
  std::string print(const std::filesystem::path& file, std::vector<std::string> words, int code) {
    words.push_back(file.string());
    CHECK(test::run(INSPECT_PROGRAM, words, place / "out") == code);
    return test::contents_of(place / "out");
  }
};

}  // namespace

TEST_CASE("inspect: the content of a store is shown while it is in use and after") {
  inspection inspect;
  auto file = inspect.place / "alice.db";
  {
    alice_at_work alice(file);
    std::string table = inspect.of(file);
    CHECK_THAT(table, test::ContainsSubstring("to bob"));
    CHECK_THAT(table, test::ContainsSubstring("from 0x0107"));

    json store = json::parse(inspect.of(file, {"--json"}));
    INFO(store.dump(2));
    CHECK(store["version"] == 5);
    CHECK(store["local_id"] == "alice");
    CHECK(store["incarnation"].get<std::string>().size() == 32);
    json bob = store["peers"][0];
    CHECK(bob["peer"] == "bob");
    CHECK(bob["outbox"]["accepted"] == 5);
    CHECK(bob["outbox"]["delivered"] == 3);
    CHECK(bob["outbox"]["depth"] == 2);
    CHECK(bob["outbox"]["bytes"] == 8);
    CHECK(bob["outbox"].contains("oldest_age_ms"));
    CHECK(bob["inbox"]["received"] == 2);
    CHECK(bob["inbox"]["delivered"] == 1);
    CHECK(bob["inbox"]["depth"] == 1);
    CHECK(bob["inbox"]["bytes"] == 3);
    CHECK(store["peers"][1]["peer"] == "0x0107");

    json fast = json::parse(inspect.of(file, {"--json", "--fast"}));
    CHECK(fast["peers"][0]["outbox"]["depth"] == 2);
    CHECK(!fast["peers"][0]["outbox"].contains("bytes"));
  }
  CHECK_THAT(inspect.of(file), test::ContainsSubstring("to bob"));

  test::outsider(file, "UPDATE ilm_store SET version = 99");
  CHECK_THAT(inspect.error_of(file), test::ContainsSubstring("newer"));
  test::outsider(file, "UPDATE ilm_store SET version = 3");
  CHECK_THAT(inspect.error_of(file), test::ContainsSubstring("no longer read"));
}

TEST_CASE("inspect: the reason is given if a file is no store") {
  inspection inspect;
  auto file = inspect.place / "other";
  CHECK_THAT(inspect.error_of(file), test::ContainsSubstring("no such file"));
  CHECK_THAT(inspect.error_of(inspect.place / "."), test::ContainsSubstring("directory"));
  std::ofstream(file) << std::string(4096, 'x');
  CHECK_THAT(inspect.error_of(file), test::ContainsSubstring("no SQLite database"));
  std::filesystem::remove(file);
  test::outsider(file, "CREATE TABLE something (x)");
  CHECK_THAT(inspect.error_of(file), test::ContainsSubstring("no ILM store"));

  CHECK(test::run(INSPECT_PROGRAM, {}, inspect.place / "out") == 2);

  auto reason = [&](const std::filesystem::path& other) {
    std::string printed = inspect.error_of(other);
    CHECK(test::is_one_line(printed, "inspect", ""));
    return printed;
  };
  // To open it would wait for a writer.
  REQUIRE(::mkfifo((inspect.place / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(reason(inspect.place / "pipe"), test::ContainsSubstring("no regular file"));
  CHECK_THAT(reason(inspect.place / std::string(256, 'n')), test::ContainsSubstring("too long"));
  CHECK_THAT(reason(inspect.place / "a\n\x1b[2J"), test::ContainsSubstring("a\\n\\x1b[2J: "));
}

TEST_CASE("inspect: output that cannot be written is told, and is no success") {
  inspection inspect;
  auto file = inspect.place / "alice.db";
  { alice_at_work alice(file); }
  for (const char* script : {"exec \"$0\" \"$@\" >&-", "exec \"$0\" \"$@\" >/dev/full"}) {
    CHECK(test::run_by_shell(script, INSPECT_PROGRAM, {file}, inspect.place / "out") == 1);
    CHECK(test::is_one_line(test::contents_of(inspect.place / "out"), "inspect",
                            "the output cannot be written"));
  }
}
