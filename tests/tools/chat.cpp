#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr const char* prompt = "--- type; … is on its way, ✓ has arrived; /quit ends";

/// One side of the chat, over any number of processes.
class person {
 public:
  person(std::string name, const test::temporary_directory& directory)
      : name_(std::move(name)),
        store_(directory / (name_ + ".db")),
        output_(directory / (name_ + ".out")) {}

  /// Returns when the program asks for lines.
  void start(const person& peer) {
    running_.emplace(
        CHAT_PROGRAM,
        std::vector<std::string>{name_, "--listen", address_, "--peer",
                                 peer.name_ + "=" + peer.address_, "--store", store_.string()},
        output_);
    ++starts_;
    bool in_time = test::wait_until([this] { return printed(prompt) == starts_; });
    INFO(output());
    REQUIRE(in_time);
  }

  /// Types the lines <prefix><first> to <prefix><last>.
  void type(char prefix, std::size_t first, std::size_t last) {
    for (std::size_t n = first; n <= last; ++n) running_->type(prefix + std::to_string(n));
  }
  void kill() { running_->kill(); }
  int leave() {
    running_->end_input();
    return running_->exit_code();
  }

  /// The number of lines in the transcript; chat.cpp describes its table.
  std::size_t said() const { return std::stoul(select("count(*)", "own")); }
  std::size_t heard() const { return std::stoul(select("count(*)", "NOT own")); }
  /// All of them, in the order of the transcript.
  std::string all_said() const { return select("group_concat(text, ' ')", "own"); }
  std::string all_heard() const { return select("group_concat(text, ' ')", "NOT own"); }

  /// How often a line was printed, by all processes.
  std::size_t printed(const std::string& line) const { return test::count_lines(output_, line); }
  std::string output() const { return name_ + " printed:\n" + test::contents_of(output_); }

 private:
  std::string select(const std::string& columns, const std::string& condition) const {
    return test::outsider(store_, "SELECT " + columns + " FROM (SELECT text FROM chat_line WHERE " +
                                      condition + " ORDER BY id)");
  }

  std::string name_;
  std::filesystem::path store_, output_;
  std::string address_ = test::free_address();
  std::size_t starts_ = 0;
  std::optional<test::program> running_;
};

/// The transcript of <prefix>1 to <prefix><last>.
std::string numbered(char prefix, std::size_t last) {
  std::string all;
  for (std::size_t n = 1; n <= last; ++n) {
    all += (n == 1 ? "" : " ") + (prefix + std::to_string(n));
  }
  return all;
}

}  // namespace

TEST_CASE("chat: no line is lost or shown twice when one side is killed in the middle") {
  test::temporary_directory place;
  person alice("alice", place), bob("bob", place);
  auto wait = [&](const std::string& expectation, auto done) {
    bool in_time = test::wait_until(done);
    INFO("waiting until " << expectation << '\n' << alice.output() << bob.output());
    REQUIRE(in_time);
  };
  alice.start(bob);
  bob.start(alice);
  alice.type('a', 1, 100);
  bob.type('b', 1, 60);
  wait("Bob is in the middle", [&] { return bob.said() > 20 && bob.heard() > 20; });
  bob.kill();
  std::size_t said = bob.said();

  alice.type('a', 101, 120);
  bob.start(alice);
  // The kill lost the lines that he had typed and the chat had not read.
  bob.type('b', said + 1, 80);
  wait("all lines arrive", [&] { return bob.heard() >= 120 && alice.heard() >= 80; });
  wait("all lines are confirmed",
       [&] { return alice.printed("✓ 120 to bob") > 0 && bob.printed("✓ 80 to alice") > 0; });
  CHECK(alice.leave() == 0);
  CHECK(bob.leave() == 0);

  INFO(alice.output() << bob.output());
  CHECK(alice.all_said() == numbered('a', 120));
  CHECK(bob.all_heard() == numbered('a', 120));
  CHECK(bob.all_said() == numbered('b', 80));
  CHECK(alice.all_heard() == numbered('b', 80));
  CHECK(bob.printed("✓ 80 to alice") == 1);
  // Alice was never killed, so her output has each of his lines, and the mark of each of hers.
  for (std::size_t n = 1; n <= 80; ++n) REQUIRE(alice.printed("bob: b" + std::to_string(n)) == 1);
  for (std::size_t n = 1; n <= 120; ++n) {
    REQUIRE(alice.printed("✓ " + std::to_string(n) + " to bob") == 1);
  }
}

TEST_CASE("chat: a mistyped argument is reported and leaves no file") {
  test::temporary_directory place;
  auto output = place / "out", store = place / "store.db";
  CHECK(test::run(CHAT_PROGRAM, {}, output) == 2);
  CHECK_THAT(test::contents_of(output), test::ContainsSubstring("usage: chat NAME"));

  std::string here = "127.0.0.1", there = test::free_address();
  std::vector<std::string> words{"alice",        "--listen", here,          "--peer",
                                 "bob=" + there, "--store",  store.string()};
  CHECK(test::run(CHAT_PROGRAM, words, output) == 1);
  CHECK_THAT(test::contents_of(output), test::ContainsSubstring("the port is missing"));
  words[2] = there;
  words[4] = "bob=" + here;
  CHECK(test::run(CHAT_PROGRAM, words, output) == 1);
  CHECK_THAT(test::contents_of(output), test::ContainsSubstring("the port is missing"));
  CHECK(!std::filesystem::exists(store));
}
