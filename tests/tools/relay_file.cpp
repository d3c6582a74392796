#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
using test::contents_of;

/// A file, and an inbox with another file of the same name.
class crossing {
 public:
  /// A file of `size` bytes, a multiple of 8.
  explicit crossing(std::uint64_t size) {
    fs::create_directory(inbox);
    std::ofstream(inbox / "file") << taken;
    std::ofstream out(file, std::ios::binary);
    std::mt19937_64 random(1);
    for (std::uint64_t done = 0; done < size; done += sizeof done) {
      std::uint64_t number = random();
      out.write(reinterpret_cast<const char*>(&number), sizeof number);
    }
  }

  std::unique_ptr<test::program> receive() {
    std::vector<std::string> words{"receive", "--listen",           address,
                                   "--store", place / "receive.db", inbox};
    return std::make_unique<test::program>(RELAY_FILE_PROGRAM, words, place / "receive.out");
  }
  std::unique_ptr<test::program> send() {
    std::vector<std::string> words{"send", "--to", address, "--store", place / "send.db", file};
    return std::make_unique<test::program>(RELAY_FILE_PROGRAM, words, place / "send.out");
  }

  /// Runs it in `place`; returns the exit code, and replaces the file `out` by its output.
  int run(std::vector<std::string> words) const {
    words.insert(words.begin(), place / ".");
    return test::run_by_shell("cd \"$1\"; shift; exec \"$0\" \"$@\"", RELAY_FILE_PROGRAM, words,
                              place / "out");
  }
  /// The same, where it has to end with one line about `reason`.
  void expect_error(std::vector<std::string> words, const std::string& reason) const {
    CAPTURE(words);
    CHECK(run(std::move(words)) == 1);
    std::string out = contents_of(place / "out");
    INFO(out);
    CHECK(test::is_one_line(out, "relay_file", reason));
  }
  /// The name of the part of this file, known once a sender with no --store has made its store.
  fs::path part_of(const std::string& name) const {
    for (const auto& entry : fs::directory_iterator(place / ".")) {
      std::string store = entry.path().filename().string();
      if (!store.starts_with(name + '.') || !store.ends_with(".db")) continue;
      return inbox / (store.substr(0, store.size() - 3) + ".part");
    }
    return {};
  }
  std::unique_ptr<test::program> send_in_place() {
    std::vector<std::string> words{"-c",
                                   "cd \"$1\"; shift; exec \"$0\" \"$@\"",
                                   RELAY_FILE_PROGRAM,
                                   place / ".",
                                   "send",
                                   "--to",
                                   address,
                                   "file"};
    return std::make_unique<test::program>("/bin/sh", words, place / "send.out");
  }
  std::size_t lines_with(const std::string& text, const std::string& output) const {
    std::istringstream in(contents_of(place / output));
    std::size_t count = 0;
    for (std::string line; std::getline(in, line);) count += line.find(text) != line.npos ? 1 : 0;
    return count;
  }

  std::uint64_t size() const { return fs::file_size(file); }
  void wait_until_arrived(std::uint64_t size) const {
    bool in_time = test::wait_until([&] { return arrived() > size; });
    INFO(size << " bytes have not arrived\n" << printed());
    REQUIRE(in_time);
  }
  /// Whether the file has arrived beside the other one.
  bool is_complete() const {
    return contents_of(inbox / "file.1") == contents_of(file) &&
           contents_of(inbox / "file") == taken;
  }
  std::string printed() const {
    return "the receiver printed:\n" + contents_of(place / "receive.out") +
           "the sender printed:\n" + contents_of(place / "send.out");
  }

  test::temporary_directory place;
  fs::path file = place / "file", inbox = place / "inbox";
  std::string address = test::free_address();
  const std::string taken = "something else of that name";

 private:
  /// The size of the part that has arrived.
  std::uint64_t arrived() const {
    for (const auto& entry : fs::directory_iterator(inbox)) {
      std::error_code gone;
      std::uint64_t size = fs::file_size(entry.path(), gone);
      if (entry.path().extension() == ".part") return gone ? 0 : size;
    }
    return 0;
  }
};

}  // namespace

TEST_CASE(
    "relay_file: a file goes on where it was when the receiver and then the sender is killed") {
  crossing c(16'000'040);  // 123 pieces, the last of which is not full
  auto receiver = c.receive();
  auto sender = c.send();
  c.wait_until_arrived(c.size() / 8);
  receiver->kill();
  receiver = c.receive();
  c.wait_until_arrived(c.size() / 4);
  REQUIRE(!sender->has_ended());
  sender->kill();

  sender = c.send();
  CHECK(sender->exit_code() == 0);
  INFO(c.printed());
  CHECK_THAT(c.printed(), test::ContainsSubstring("going on: of 123 pieces"));
  CHECK(c.is_complete());
}

TEST_CASE("relay_file: a file that is sent again is recognised, and missed where it was removed") {
  crossing c(1'000);
  auto receiver = c.receive();
  for (int time = 0; time < 2; ++time) {
    CHECK(c.send()->exit_code() == 0);
    INFO(c.printed());
    CHECK(c.is_complete());
    CHECK(!fs::exists(c.inbox / "file.2"));
  }
  fs::remove(c.inbox / "file.1");
  CHECK(c.send()->exit_code() == 1);
  INFO(c.printed());
  CHECK_THAT(c.printed(), test::ContainsSubstring("no: it is gone from here"));
}

TEST_CASE("relay_file: a mistyped argument is reported and leaves no file") {
  test::temporary_directory place;
  auto output = place / "out", inbox = place / "inbox", file = place / "file";
  CHECK(test::run(RELAY_FILE_PROGRAM, {}, output) == 2);
  CHECK_THAT(contents_of(output), test::ContainsSubstring("usage: relay_file receive"));

  CHECK(test::run(RELAY_FILE_PROGRAM, {"receive", "--listen", "127.0.0.1", inbox}, output) == 1);
  CHECK_THAT(contents_of(output), test::ContainsSubstring("the port is missing"));
  CHECK(!fs::exists(inbox));

  std::ofstream(file) << "contents";
  std::string store = place / "send.db";
  CHECK(test::run(RELAY_FILE_PROGRAM, {"send", "--to", "127.0.0.1", "--store", store, file},
                  output) == 1);
  CHECK_THAT(contents_of(output), test::ContainsSubstring("the port is missing"));
  CHECK(!fs::exists(store));
}

TEST_CASE("relay_file: files and directories with the longest names and with any bytes cross") {
  crossing c(1'000);
  // The name is cut in the middle of a character where it gets an ending.
  std::string umlauts = "_";
  while (umlauts.size() < 255) umlauts += "\xc3\xa4";
  for (const std::string& name :
       {std::string(244, 'n'), std::string(255, 'm'), umlauts, std::string("a\nb\x1b[2J\xff")}) {
    fs::path inbox = c.place / ("in" + name.substr(0, 250) + "box"), file = c.place / name;
    fs::copy_file(c.file, file);
    c.address = test::free_address();
    c.inbox = inbox;
    std::vector<std::string> words{"receive", "--listen", c.address, inbox};
    test::program receiver(RELAY_FILE_PROGRAM, words, c.place / "receive.out");
    CHECK(c.run({"send", "--to", c.address, name}) == 0);
    INFO(c.printed() << contents_of(c.place / "out"));
    std::string arrived = name;
    for (char& letter : arrived) {
      if (static_cast<unsigned char>(letter) < ' ') letter = '_';
    }
    CHECK(contents_of(inbox / arrived) == contents_of(c.file));
    CHECK(contents_of(c.place / "receive.out").find('\x1b') == std::string::npos);
    CHECK(contents_of(c.place / "out").find('\x1b') == std::string::npos);
  }
}

TEST_CASE("relay_file: a source that changes while it is sent ends the sender, and no piece more") {
  auto cut = [](const fs::path& file) { fs::resize_file(file, 9'000'000); };
  auto grow = [](const fs::path& file) { std::ofstream(file, std::ios::app) << "more"; };
  auto rewrite = [](const fs::path& file) {
    std::fstream(file, std::ios::in | std::ios::out) << "other";
  };
  auto replace = [](const fs::path& file) {
    fs::copy_file(file, file.string() + ".new");
    fs::rename(file.string() + ".new", file);
  };
  for (auto change : {+cut, +grow, +rewrite, +replace}) {
    crossing c(16'000'000);
    auto sender = c.send();  // as far as it goes without a receiver
    REQUIRE(test::wait_until([&] { return c.lines_with("refused", "send.out") > 0; }));
    REQUIRE(test::wait_until([&] { return fs::file_size(c.place / "send.db") > 0; }));
    change(c.file);
    auto receiver = c.receive();
    CHECK(sender->exit_code() == 1);
    INFO(c.printed());
    CHECK(c.lines_with("has changed while it was sent; send it again", "send.out") == 1);
    CHECK(c.lines_with("no:", "receive.out") == 0);
    CHECK(c.lines_with("100%", "send.out") == 0);
  }
}

TEST_CASE("relay_file: a piece that can never be put is refused once, and the sender ends") {
  crossing c(16'000'000);
  auto receiver = c.receive();
  REQUIRE(test::wait_until([&] { return c.lines_with("waiting for files", "receive.out") > 0; }));
  fs::remove_all(c.inbox);
  for (int time = 1; time <= 2; ++time) {
    auto sender = c.send();
    CHECK(sender->exit_code() == 1);
    INFO(c.printed());
    CHECK(c.lines_with("the receiver says no: cannot open", "send.out") == 1);
    CHECK(c.lines_with("mend that and delete " + (c.place / "send.db").string(), "send.out") == 1);
    CHECK(c.lines_with("no: cannot open", "receive.out") == 1);
    fs::remove(c.place / "send.out");
    for (const char* end : {"", "-wal", "-shm", "-last"}) {
      fs::remove((c.place / "send.db").string() + end);
    }
  }
  fs::create_directory(c.inbox);
  CHECK(c.send()->exit_code() == 0);
  INFO(c.printed());
  CHECK(contents_of(c.inbox / "file") == contents_of(c.file));
}

TEST_CASE("relay_file: a full disk is told once, and the file goes on when there is room") {
  crossing c(1'000'000);
  auto sender = c.send_in_place();
  REQUIRE(test::wait_until([&] { return !c.part_of("file").empty(); }));
  fs::path part = c.part_of("file");
  fs::create_symlink("/dev/full", part);
  auto receiver = c.receive();
  REQUIRE(test::wait_until([&] { return c.lines_with("No space left", "receive.out") > 0; }));
  REQUIRE(test::wait_until([&] { return c.lines_with("peer_connected", "receive.out") > 0; }));
  fs::remove(part);
  CHECK(sender->exit_code() == 0);
  INFO(c.printed());
  CHECK(c.lines_with("No space left", "receive.out") == 1);
  CHECK(contents_of(c.inbox / "file.1") == contents_of(c.file));
}

TEST_CASE("relay_file: a file, a directory or a store that cannot be used ends it in one line") {
  crossing c(1'000);
  std::ofstream(c.place / "text") << std::string(4096, 'x');
  const std::string nobody = test::free_address();
  auto send = [&](const std::string& store, const std::string& reason) {
    c.expect_error({"send", "--to", nobody, "--store", store, "file"}, reason);
    c.expect_error({"receive", "--listen", nobody, "--store", store, "new"}, reason);
  };
  send("missing/store", "does not exist");
  send("inbox", "names a directory");
  send("text", "is no SQLite database");
  send(std::string(255, 's'), "cannot be opened or made");

  auto receive = [&](const std::string& directory, const std::string& reason) {
    c.expect_error({"receive", "--listen", nobody, directory}, reason);
  };
  receive("text", "name another directory");
  receive("text/below", "name another directory");
  receive(std::string(256, 'd'), "name another directory");

  auto refuse = [&](const std::string& file, const std::string& reason) {
    CHECK(c.run({"send", "--to", nobody, file}) == 2);
    std::string out = contents_of(c.place / "out");
    INFO(out);
    CHECK(test::is_one_line(out.substr(0, out.find('\n') + 1), "relay_file", reason));
  };
  refuse("missing", "there is no such file");
  refuse("inbox", "is a directory");
  refuse(std::string(256, 'f'), "File name too long");
  refuse("/dev/zero", "is no regular file");
}

TEST_CASE("relay_file: a store in use, or a port, ends the second that wants it in one line") {
  crossing c(1'000);
  auto receiver = c.receive();
  auto sender = c.send();
  REQUIRE(sender->exit_code() == 0);
  const std::string in_use = "another messenger uses this store", elsewhere = test::free_address();
  c.expect_error({"receive", "--listen", elsewhere, "--store", "receive.db", "inbox"}, in_use);
  c.expect_error({"send", "--to", c.address, "--store", "receive.db", "file"}, in_use);
  c.expect_error({"receive", "--listen", c.address, "other"}, "Address already in use");
  receiver->kill();
  c.expect_error({"send", "--to", c.address, "--store", "receive.db", "file"}, "is of");
}

TEST_CASE("relay_file: it ends in one line where nobody can read what it prints") {
  crossing c(1'000);
  std::vector<std::string> words{"receive", "--listen",         c.address,
                                 "--store", c.place / "new.db", c.inbox};
  for (const char* script : {"exec \"$0\" \"$@\" >&-", "exec \"$0\" \"$@\" >/dev/full",
                             "{ \"$0\" \"$@\"; echo $? >&2; } | true"}) {
    test::run_by_shell(script, RELAY_FILE_PROGRAM, words, c.place / "out");
    std::string out = contents_of(c.place / "out");
    INFO(out);
    CHECK_THAT(out, test::ContainsSubstring("relay_file: the output cannot be written"));
  }
  for (const auto& entry : fs::directory_iterator(c.inbox)) CHECK(entry.path() == c.inbox / "file");
}
