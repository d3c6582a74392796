// A chat that loses no line and shows none twice, even if either side is killed at any time.
//
//   chat alice --listen 127.0.0.1:4001 --peer bob=127.0.0.1:4002     in one terminal
//   chat bob --listen 127.0.0.1:4002 --peer alice=127.0.0.1:4001     in another
//
// Type lines. "…" marks one that is on its way, "✓" one that the other side has. Kill either side
// with kill -9 in the middle of it, type on at the other, start it again.
//
// The store's file holds ILM's tables and one of the chat's own, the transcript, which makes the
// effect of a message idempotent. A typed line is written there under the sequence that it will
// get, and then sent: after a crash between the two, undelivered() shows that it was not accepted,
// and it is sent then. A received line is written there under its index, and then shown: if it is
// delivered again, after a crash before ILM recorded it, the index is there already. The history
// shown by the next start has the lines that a crash kept from the terminal.
//
// Names are not proven here: do this among machines that you trust. POSIX only.

#include "chat/screen.hpp"
#include "chat/transcript.hpp"
#include "support/program.hpp"
#include "support/tasks.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: chat NAME --listen ADDRESS:PORT --peer NAME=ADDRESS:PORT... [--store FILE]\n"
    "What you type goes to all peers; \"@NAME text\" goes to one. /help lists the commands, and\n"
    "/quit or Ctrl-D ends.\n"
    "  --listen  where the peers reach this side; loopback for a try on one machine\n"
    "  --peer    who to chat with, and where they listen; any number of them\n"
    "  --store   the file that keeps it all (default NAME.chat.db)\n";

struct arguments {
  std::string name;
  std::string listen;
  std::map<std::string, std::string> peers;
  std::string store;
};

bool is_name(std::string_view text) {
  auto fits = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), fits);
}

arguments parse(const std::vector<std::string>& words) {
  arguments parsed;
  for (auto word = words.begin(); word != words.end(); ++word) {
    auto value = [&] {
      if (word + 1 == words.end()) throw example::misuse(*word + " needs a value");
      return *++word;
    };
    if (*word == "--listen") {
      parsed.listen = value();
    } else if (*word == "--store") {
      parsed.store = value();
    } else if (*word == "--peer") {
      std::string peer = value();
      std::size_t sign = peer.find('=');
      if (sign == std::string::npos || !is_name(peer.substr(0, sign))) {
        throw example::misuse("\"" + peer + "\" is no NAME=ADDRESS:PORT");
      }
      parsed.peers[peer.substr(0, sign)] = peer.substr(sign + 1);
    } else if (is_name(*word) && !word->starts_with('-') && parsed.name.empty()) {
      parsed.name = *word;
    } else {
      throw example::misuse("what is \"" + *word +
                            "\"? Names are of letters, digits, '-', '_' and '.'");
    }
  }
  if (parsed.name.empty()) throw example::misuse("who are you? Give a name");
  if (parsed.listen.empty()) throw example::misuse("--listen is missing");
  if (parsed.peers.empty()) throw example::misuse("nobody to chat with: --peer is missing");
  if (parsed.peers.contains(parsed.name)) throw example::misuse("you and your peer have one name");
  if (parsed.store.empty()) parsed.store = parsed.name + ".chat.db";
  return parsed;
}

using store_type = ilm::sqlite_backend<std::string>;
using network_type = ilm::tcp_network<std::string>;
using message = ilm::message<std::string>;
using messenger = ilm::messenger<store_type, network_type, std::function<void(const message&)>>;

// [prefix]
store_type store_beside_transcript(const std::string& file) {
  ilm::sqlite_options options;
  options.table_prefix = "ilm_";
  return store_type(file, options);
}
// [prefix]

network_type join(asio::io_context& context, const arguments& asked) {
  network_type net(context, asked.name);
  net.listen(asked.listen);
  for (const auto& [name, address] : asked.peers) net.add_peer(name, address);
  return net;
}

/// Reads from standard input through a description of its own where that is a terminal: Asio makes
/// it non-blocking, and the terminal's is shared with standard output.
asio::posix::stream_descriptor open_input(asio::io_context& context, bool terminal) {
  const char* name = terminal ? ttyname(STDIN_FILENO) : nullptr;
  int input = name != nullptr ? ::open(name, O_RDONLY | O_CLOEXEC) : ::dup(STDIN_FILENO);
  if (input < 0) throw std::system_error(errno, std::generic_category(), "standard input");
  asio::posix::stream_descriptor opened(context);
  std::error_code failed;
  opened.assign(input, failed);
  if (failed)
    throw example::misuse("standard input must be a terminal or a pipe: cat FILE | chat ...");
  return opened;
}

class chat {
 public:
  chat(asio::io_context& context, const arguments& asked, network_type net)
      : context_(context),
        asked_(asked),
        signals_(context, SIGINT, SIGTERM, SIGHUP),
        tasks_(context),
        input_(open_input(context, screen_.is_terminal())),
        transcript_(asked.store),
        messenger_(context, store_beside_transcript(asked.store), std::move(net),
                   [this](const message& m) { receive(m); }) {
    wait_for_signal();
    tasks_.spawn(presence());
    tasks_.spawn(talk());
  }

  /// An error ends the chat: the transcript is there when it is started again.
  void run() { tasks_.run(); }

 private:
  /// The second one does not wait for peers.
  void wait_for_signal() {
    signals_.async_wait([this](std::error_code failed, int) {
      if (failed) return;
      if (leaving_) return context_.stop();
      leave();
      wait_for_signal();
    });
  }

  /// As /quit. Where not even the store is open yet, there is nothing to wait for.
  void leave() {
    leaving_ = true;
    input_.cancel();
    if (!recalled_) context_.stop();
  }

  asio::awaitable<void> talk() {
    co_await recall();
    screen_.note("type; … is on its way, ✓ has arrived; /help helps, /quit ends");
    while (std::optional<std::string> text = co_await read_line()) {
      if (text->starts_with("//")) {
        co_await say(text->substr(1));
      } else if (!text->starts_with('/')) {
        co_await say(*text);
      } else if (co_await obey(text->substr(0, text->find(' ')))) {
        break;
      }
    }
    co_await part();
  }

  /// True if the command is to end the chat.
  asio::awaitable<bool> obey(std::string command) {
    if (command == "/help") {
      screen_.note("text goes to all peers, @NAME text to one, //text begins with a slash");
      screen_.note("/peers shows who is here, and how many lines are on their way; /quit ends");
    } else if (command == "/peers") {
      co_await show_peers();
    } else if (command != "/quit") {
      screen_.note("there is no command " + ilm::printable(command) +
                   "; /help lists them, and // sends a line that begins with a slash");
    }
    co_return command == "/quit";
  }

  asio::awaitable<void> show_peers() {
    for (const auto& [peer, address] : asked_.peers) {
      ilm::sequence_range pending = co_await messenger_.undelivered(peer);
      screen_.note(peer + " at " + ilm::printable(address) + " is " +
                   (here_.contains(peer) ? "here; " : "away; ") +
                   std::to_string(pending.empty() ? 0 : pending.last - pending.first + 1) +
                   " on their way");
    }
  }

  /// Shows the end of the last conversation, and continues it.
  asio::awaitable<void> recall() {
    std::map<std::string, ilm::sequence_range> pending;
    std::uint64_t oldest = INT64_MAX;  // the largest number that SQL knows
    for (const auto& [peer, address] : asked_.peers) {
      // A crash may leave lines in the transcript that were not sent.
      ilm::sequence_range accepted = co_await messenger_.undelivered(peer);
      store_is_open_ = true;
      for (const line& l : transcript_.own_after(peer, accepted.last)) co_await send(l);
      pending[peer] = co_await messenger_.undelivered(peer);
      next_[peer] = pending[peer].last + 1;
      oldest = std::min(oldest, pending[peer].first);
    }
    for (const line& l : transcript_.history(10, oldest)) {
      if (!pending.contains(l.peer)) pending[l.peer] = co_await messenger_.undelivered(l.peer);
      bool on_its_way = l.own && pending[l.peer].contains(l.number);
      screen_.print(l, on_its_way);
      if (on_its_way) tasks_.spawn(confirm(l));
    }
    recalled_ = true;
  }

  /// The next line of the terminal or pipe; none at its end.
  asio::awaitable<std::optional<std::string>> read_line() {
    while (!leaving_) {
      while (!read_.empty()) {
        std::optional<std::string> entered = screen_.feed(read_.front());
        read_.remove_prefix(1);
        if (entered) co_return entered;
        if (screen_.ended()) co_return std::nullopt;
      }
      std::error_code ended;
      std::size_t size = co_await input_.async_read_some(
          asio::buffer(buffer_), asio::redirect_error(asio::use_awaitable, ended));
      if (ended) break;
      read_ = std::string_view(buffer_.data(), size);
    }
    co_return std::nullopt;
  }

  asio::awaitable<void> say(std::string text) {
    std::string one;
    if (text.starts_with('@')) {
      one = text.substr(1, text.find(' ') - 1);
      text.erase(0, std::min(text.size(), one.size() + 2));
      if (!asked_.peers.contains(one))
        co_return screen_.note("no peer is called " + ilm::printable_id(one));
    }
    if (text.empty()) co_return;
    if (text.size() > screen::longest_line) co_return screen_.note("too long; say it in parts");
    for (const auto& [peer, address] : asked_.peers) {
      if (one.empty() || peer == one) co_await say_to(peer, text);
    }
  }

  asio::awaitable<void> say_to(std::string peer, std::string text) {
    line l;
    l.peer = peer;
    l.own = true;
    l.number = next_[peer]++;
    l.text = text;
    transcript_.add(l);
    screen_.print(l, true);
    co_await send(l);
    tasks_.spawn(confirm(l));
  }

  asio::awaitable<void> send(line l) {
    std::uint64_t sequence = co_await messenger_.send_to(l.peer, l.text);
    if (sequence != l.number) throw std::logic_error("a line got another number than foreseen");
  }

  asio::awaitable<void> confirm(line l) {
    co_await messenger_.wait_delivered(l.peer, l.number);
    screen_.mark(l);
  }

  /// Runs on the context's only thread, and blocks it while the line is written: a program with
  /// more to do would let another thread write.
  void receive(const message& m) {
    line l;
    l.peer = m.from;
    l.number = m.index;
    l.text = m.text();
    bool is_new = transcript_.add(l);
    if (is_new && recalled_) screen_.print(l, false);
  }

  asio::awaitable<void> presence() {
    example::last_lines told;
    for (;;) {
      ilm::event<std::string> e = co_await messenger_.next_event();
      example::require_useful(e, store_is_open_, asked_.store);
      e.count = 1;  // how often it was tried is no news
      if (e.peer && e.kind == ilm::event_kind::peer_connected) here_.insert(*e.peer);
      if (e.peer && e.kind == ilm::event_kind::peer_disconnected) here_.erase(*e.peer);
      std::string text = text_of(e);
      if (told.is_new(e.peer.value_or(""), text)) screen_.note(text);
    }
  }

  std::string text_of(const ilm::event<std::string>& e) const {
    std::string subject = ilm::printable_id(e.peer.value_or(asked_.name));
    switch (e.kind) {
      case ilm::event_kind::peer_connected:
        return subject + " is here";
      case ilm::event_kind::peer_disconnected:
        return subject + " is away";
      case ilm::event_kind::network_problem:
        return subject + " cannot be reached yet: " + example::reason_of(e);
      default:
        return describe(e);
    }
  }

  asio::awaitable<void> part() {
    ilm::shutdown_report<std::string> report = co_await messenger_.shutdown(3s);
    for (const auto& p : report.peers) {
      screen_.note(ilm::printable_id(p.peer) + " got " + std::to_string(p.delivered) +
                   " since you came; " + std::to_string(p.undelivered) +
                   " stay in the store until you meet again");
    }
    signals_.cancel();
  }

  asio::io_context& context_;
  const arguments& asked_;
  asio::signal_set signals_;  // first, so that no signal leaves a terminal as the screen needs it
  example::tasks tasks_;
  screen screen_;
  asio::posix::stream_descriptor input_;
  transcript transcript_;
  messenger messenger_;
  std::array<char, 4096> buffer_{};
  std::string_view read_;
  std::map<std::string, std::uint64_t> next_;
  std::set<std::string> here_;
  bool store_is_open_ = false, recalled_ = false, leaving_ = false;
};

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) {
    arguments asked = parse(given);
    asio::io_context context;
    network_type net = join(context, asked);  // a mistyped address is told before a file is made
    chat(context, asked, std::move(net)).run();
    return 0;
  };
  return example::run_program("chat", usage, count, words, work);
}
