#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <system_error>
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
