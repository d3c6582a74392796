#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"
#include "terminal.hpp"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr const char* prompt = "--- type; … is on its way, ✓ has arrived; /help helps, /quit ends";

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
  void type(const std::string& line) { running_->type(line); }
  void kill() { running_->kill(); }
  int leave() {
    running_->end_input();
    return running_->exit_code();
  }
  int exit_code() { return running_->exit_code(); }

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

/// Alice at a terminal, with an absent peer.
class at_terminal {
 public:
  explicit at_terminal(std::vector<std::string> variables, unsigned short columns = 80)
      : alice(CHAT_PROGRAM,
              {"alice", "--listen", test::free_address(), "--peer", "bob=" + test::free_address(),
               "--store", place / "store.db"},
              columns, variables) {
    REQUIRE(alice.shows("/help"));
  }
  /// Lines under way, by the store.
  std::string said() const {
    return test::outsider(place / "store.db", "SELECT group_concat(text, ' ') FROM chat_line");
  }

  test::temporary_directory place;
  test::terminal alice;
};

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

TEST_CASE("chat: commands are obeyed and not sent, and a second slash sends the first") {
  test::temporary_directory place;
  person alice("alice", place), bob("bob", place);
  alice.start(bob);
  bob.start(alice);
  for (const char* line : {"/help", "/peers", "/nonsense x", "//help", "b"}) alice.type(line);
  CHECK(test::wait_until([&] { return alice.printed("✓ 2 to bob") > 0; }));
  alice.type("/quit");
  CHECK(alice.exit_code() == 0);
  INFO(alice.output() << bob.output());
  CHECK(alice.all_said() == "/help b");
  CHECK(bob.all_heard() == "/help b");
  CHECK_THAT(alice.output(), test::ContainsSubstring("@NAME text to one"));
  CHECK_THAT(alice.output(), test::ContainsSubstring("; 0 on their way"));
  CHECK_THAT(alice.output(), test::ContainsSubstring("there is no command /nonsense;"));
}

TEST_CASE("chat: what a peer says does not control the terminal") {
  test::temporary_directory place;
  person alice("alice", place), bob("bob", place);
  alice.start(bob);
  bob.start(alice);
  alice.type("wipe \x1b[2J, title \xc2\x9d, turn \xe2\x80\xae, half \xc3");
  std::string shown = R"(wipe \x1b[2J, title \u009d, turn \u202e, half \xc3)";
  CHECK(test::wait_until([&] { return bob.printed("alice: " + shown) == 1; }));
  CHECK(alice.printed("… 1 to bob: " + shown) == 1);
  INFO(alice.output() << bob.output());
  CHECK(bob.output().find('\x1b') == std::string::npos);
}

TEST_CASE("chat: colours are where a terminal has them and its user wants them") {
  const std::string colour = "\x1b[33m…";
  {
    at_terminal t({"TERM=xterm"});
    t.alice.type("hello\r");
    CHECK(t.alice.shows(colour + "\x1b[0m 1 to bob: hello"));
  }
  {
    at_terminal t({"TERM=xterm", "NO_COLOR=1"});
    t.alice.type("hello\r");
    CHECK(t.alice.shows("\x1b[K… 1 to bob: hello"));
  }
  for (const char* kind : {"TERM=dumb", "TERM="}) {
    at_terminal t({kind});
    t.alice.type("hello\r");
    CHECK(t.alice.shows("… 1 to bob: hello"));
    CHECK(t.alice.printed().find('\x1b') == std::string::npos);
  }
}

TEST_CASE("chat: a terminal without columns, or with one, takes lines") {
  for (unsigned short columns = 0; columns <= 3; ++columns) {
    at_terminal t({"TERM=xterm"}, columns);
    t.alice.type("hello\r/quit\r");
    CHECK(t.alice.exit_code() == 0);
    CHECK(t.said() == "hello");
  }
}

TEST_CASE("chat: Ctrl-C ends it as /quit does, and leaves the terminal as it was") {
  at_terminal t({"TERM=xterm"});
  CHECK(!t.alice.edits_lines());
  t.alice.type("hello\r");
  REQUIRE(t.alice.shows("1 to bob"));
  t.alice.type("\x03");
  CHECK(t.alice.exit_code() == 0);
  CHECK(t.alice.edits_lines());
  CHECK_THAT(t.alice.printed(), test::ContainsSubstring("1 stay in the store"));
}

TEST_CASE("chat: a store that cannot be had ends it in one line") {
  test::temporary_directory place;
  person alice("alice", place), bob("bob", place);
  alice.start(bob);
  auto output = place / "out", other = place / "other";
  std::ofstream(other) << std::string(4096, 'x');
  auto refuses = [&](const std::filesystem::path& store, const std::string& reason) {
    std::vector<std::string> words{
        "alice",   "--listen",    test::free_address(), "--peer", "bob=" + test::free_address(),
        "--store", store.string()};
    CHECK(test::run(CHAT_PROGRAM, words, output) == 1);
    std::string printed = test::contents_of(output);
    INFO(printed);
    CHECK(test::is_one_line(printed, "chat", reason));
  };
  refuses(place / "alice.db", "another messenger uses this store");
  refuses(place / ".", "unable to open database file");
  refuses(place / "missing" / "store.db", "unable to open database file");
  refuses(other, "not a database");
  refuses(place / std::string(260, 'n'), "unable to open database file");
}

TEST_CASE(
    "chat: it ends in one line where nobody can read what it prints, and where nobody types") {
  test::temporary_directory place;
  std::vector<std::string> words{
      "alice",   "--listen",        test::free_address(), "--peer", "bob=" + test::free_address(),
      "--store", place / "store.db"};
  for (const char* script : {"exec \"$0\" \"$@\" >&-", "exec \"$0\" \"$@\" >/dev/full"}) {
    CHECK(test::run_by_shell(script, CHAT_PROGRAM, words, place / "out") == 1);
    std::string printed = test::contents_of(place / "out");
    INFO(printed);
    CHECK(test::is_one_line(printed, "chat", "the output cannot be written"));
  }
  // As Ctrl-D.
  CHECK(test::run_by_shell("exec \"$0\" \"$@\" <&-", CHAT_PROGRAM, words, place / "out") == 0);
  CHECK(test::count_lines(place / "out", prompt) == 1);
}
