// Sends a file, line by line, over a network that loses, repeats, reorders, delays and corrupts
// frames, cuts the session and crashes both sides on the way, and compares the received file.

#include "support/program.hpp"

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

using fabric = ilm::memory_fabric<std::string>;
using memory_store = ilm::memory_backend<std::string>;
using inbox = ilm::inbox<std::string>;
using messenger = ilm::messenger<memory_store, fabric::network_type, inbox>;

constexpr std::string_view usage =
    "usage: demo [--seed N] [FILE]\n"
    "Sends FILE (by default a text of this repository), line by line, from one messenger to\n"
    "another over a network in memory that loses, repeats, reorders, delays and corrupts frames.\n"
    "Cuts the session and crashes both messengers on the way. Exits with 0 if what was received\n"
    "is the file, byte for byte, and with 1 otherwise.\n"
    "  --seed N  draws the network's faults from N (default 1)\n";

struct arguments {
  std::filesystem::path file = DEMO_FILE;
  std::uint64_t seed = 1;
};

arguments parse(const std::vector<std::string>& words) {
  arguments parsed;
  bool file_given = false;
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (*word == "--seed") {
      const char* end = nullptr;
      if (++word != words.end()) {
        end = word->data() + word->size();
        auto [stopped, failed] = std::from_chars(word->data(), end, parsed.seed);
        if (failed != std::errc() || stopped != end) end = nullptr;
      }
      if (end == nullptr) throw example::misuse("--seed needs a number up to 2^64 - 1");
    } else if (word->starts_with('-') || std::exchange(file_given, true)) {
      throw example::misuse("what is \"" + *word + "\"?");
    } else {
      parsed.file = *word;
    }
  }
  return parsed;
}

std::string contents_of(const std::filesystem::path& file) {
  try {
    example::require_readable(file);
  } catch (const std::exception& e) {
    throw std::runtime_error(example::line_about(file.string(), example::line_of(e)));
  }
  std::ifstream in(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) throw std::runtime_error(file.string() + ": it cannot be read to its end");
  return text;
}

/// Lines with their ends, so that put together they are the text again. A long one goes in pieces:
/// a message must fit a frame, and the demo's frames are small.
std::vector<std::string_view> lines_of(std::string_view text) {
  constexpr std::size_t longest = 512;
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    std::string_view line = text.substr(0, std::min(end, longest));
    lines.push_back(line);
    text.remove_prefix(line.size());
  }
  return lines;
}

class demonstration {
 public:
  demonstration(asio::io_context& context, const std::string& text, std::uint64_t seed)
      : context_(context), text_(text), lines_(lines_of(text)), fabric_(seed, frame_size) {
    ilm::faults faults;
    faults.loss = 0.10;
    faults.repetition = 0.10;
    faults.reordering = 0.25;
    faults.corruption = 0.02;
    faults.delay = 1ms;
    faults.reordering_delay = 10ms;
    faults.late_frames = true;
    fabric_.set_faults(faults);
    options_.frame_fill = 128;  // many small frames, so that many of them meet with something
  }

  /// True if the file came through.
  asio::awaitable<bool> run() {
    std::cout << lines_.size() << " messages, " << text_.size() << " bytes\n";
    start_alice();
    start_bob();
    for (std::size_t next = 0;;) {
      while (next < incidents && received_.size() >= lines_.size() * (next + 1) / (incidents + 1)) {
        co_await cause(next++);
      }
      while (sent_ < lines_.size() && sent_ < received_.size() + ahead()) {
        co_await alice_->send_to("bob", lines_[sent_++]);
      }
      if (received_.size() >= lines_.size()) break;
      ilm::message<std::string> line = co_await bob_inbox_.receive();
      book(line);
    }
    co_await bob_inbox_.consume();
    if (sent_ > 0) co_await alice_->wait_delivered("bob", sent_);
    say("the last receipt is in");
    add_up();
    co_await alice_->shutdown(1s);
    co_await bob_->shutdown(1s);
    while (auto line = bob_inbox_.try_receive()) book(*line);
    co_return report();
  }

 private:
  static constexpr std::size_t frame_size = ilm::minimum_frame_size;
  static constexpr std::size_t incidents = 7;

  /// The sender may be so many messages ahead, so that each incident finds messages under way.
  std::size_t ahead() const { return 20 + lines_.size() / 8; }

  void start_alice() {
    alice_ = std::make_unique<messenger>(context_, alice_store_, fabric_.join("alice"), inbox(),
                                         options_);
  }
  void start_bob() {
    bob_inbox_ = inbox();
    bob_ = std::make_unique<messenger>(context_, bob_store_, fabric_.join("bob"), bob_inbox_,
                                       options_);
  }

  asio::awaitable<void> cause(std::size_t incident) {
    switch (incident) {
      case 2:
        return crash_alice();
      case 4:
        return crash_bob();
      default:
        return cut();
    }
  }

  asio::awaitable<void> cut() {
    say("the session is cut");
    ++cuts_;
    fabric_.disconnect("alice", "bob");
    co_await pause(100ms);
    fabric_.connect("alice", "bob");
    say("the session is back");
  }

  /// Accepted messages are in the store, and are sent again from there.
  asio::awaitable<void> crash_alice() {
    say("the sender crashes");
    add_up();
    alice_.reset();
    co_await pause(100ms);
    start_alice();
    say("the sender is back, on the same store");
  }

  /// A crash between booking a line and the store's record of that would repeat the line
  /// (include/ilm/README.md), so wait for the record. What has arrived besides, and what is under
  /// way, may be in any state.
  asio::awaitable<void> crash_bob() {
    co_await bob_inbox_.consume();
    say("the receiver crashes");
    add_up();
    bob_.reset();
    co_await pause(100ms);
    start_bob();
    say("the receiver is back, on the same store");
  }

  asio::awaitable<void> pause(std::chrono::milliseconds time) {
    asio::steady_timer timer(context_, time);
    co_await timer.async_wait(asio::use_awaitable);
  }

  void book(const ilm::message<std::string>& line) {
    std::uint64_t expected = last_sequence_ + 1;
    if (line.sequence > expected) missing_ += line.sequence - expected;
    if (line.sequence < expected) ++repeated_;
    last_sequence_ = line.sequence;
    received_.emplace_back(line.text());
    if (received_.size() * 10 / lines_.size() != (received_.size() - 1) * 10 / lines_.size()) {
      say("");
    }
  }

  /// The counts of a messenger begin with its construction.
  void add_up() {
    for (const messenger* m : {alice_.get(), bob_.get()}) {
      for (const auto& peer : m->statistics().peers) {
        resent_ += peer.resent;
        duplicates_ += peer.duplicates_dropped;
      }
    }
  }

  void say(std::string_view text) const {
    std::cout << std::fixed << std::setprecision(2) << std::setw(6) << seconds() << " s "
              << std::setw(8) << received_.size() << " of " << lines_.size()
              << (text.empty() ? "" : "  ") << text << '\n';
    example::flush_output();
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  }

  bool report() const {
    std::string joined;
    for (const std::string& line : received_) joined += line;
    bool same = joined == text_;
    ilm::fabric_counts frames = fabric_.counts();
    auto row = [](const char* name, auto value) {
      std::cout << "  " << std::left << std::setw(22) << name << std::right << std::setw(10)
                << value << '\n';
    };
    std::cout << '\n';
    row("messages sent", sent_);
    row("messages received", received_.size());
    row("  missing", missing_);
    row("  repeated, disordered", repeated_);
    row("frames sent", frames.sent);
    row("  lost", frames.lost);
    row("  repeated", frames.repeated);
    row("  reordered", frames.reordered);
    row("  corrupted", frames.corrupted);
    row("messages resent", resent_);
    row("duplicates dropped", duplicates_);
    row("sessions cut", cuts_);
    row("restarts", 2);
    row("seconds", seconds());
    bool right = same && missing_ == 0 && repeated_ == 0;
    std::cout << (right ? "\nThe file came through, byte for byte.\n"
                        : "\nWHAT CAME OUT IS NOT WHAT WENT IN.\n");
    return right;
  }

  asio::io_context& context_;
  const std::string& text_;
  std::vector<std::string_view> lines_;
  std::vector<std::string> received_;
  std::size_t sent_ = 0;

  fabric fabric_;
  ilm::options options_;
  memory_store alice_store_, bob_store_;
  inbox bob_inbox_;
  std::unique_ptr<messenger> alice_, bob_;

  std::uint64_t last_sequence_ = 0;
  std::uint64_t missing_ = 0, repeated_ = 0;
  std::uint64_t resent_ = 0, duplicates_ = 0;
  unsigned cuts_ = 0;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

int run(const arguments& asked) {
  std::string text = contents_of(asked.file);
  std::cout << ilm::printable(asked.file.string()) << ", seed " << asked.seed << ": ";

  asio::io_context context;
  demonstration demo(context, text, asked.seed);
  std::exception_ptr failed;
  bool right = false;
  asio::co_spawn(context, demo.run(), [&](std::exception_ptr e, bool r) { failed = e, right = r; });
  context.run();
  if (failed) std::rethrow_exception(failed);
  return right ? 0 : 1;
}

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) { return run(parse(given)); };
  return example::run_program("demo", usage, count, words, work);
}
