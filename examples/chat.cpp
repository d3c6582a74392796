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

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/signal_set.hpp>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <system_error>
#include <termios.h>
#include <unistd.h>
#include <utility>
#include <vector>
#include <wchar.h>

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: chat NAME --listen ADDRESS:PORT --peer NAME=ADDRESS:PORT... [--store FILE]\n"
    "What you type goes to all peers; \"@NAME text\" goes to one. /quit or Ctrl-D ends.\n"
    "  --listen  where the peers reach this side; loopback for a try on one machine\n"
    "  --peer    who to chat with, and where they listen; any number of them\n"
    "  --store   the file that keeps it all (default NAME.chat.db)\n";

struct arguments {
  std::string name;
  std::string listen;
  std::map<std::string, std::string> peers;
  std::string store;
};

/// Thrown for arguments that make no sense.
struct misuse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

bool is_name(std::string_view text) {
  auto fits = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), fits);
}

arguments parse(const std::vector<std::string>& words) {
  arguments parsed;
  for (auto word = words.begin(); word != words.end(); ++word) {
    auto value = [&] {
      if (word + 1 == words.end()) throw misuse(*word + " needs a value");
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
        throw misuse("\"" + peer + "\" is no NAME=ADDRESS:PORT");
      }
      parsed.peers[peer.substr(0, sign)] = peer.substr(sign + 1);
    } else if (is_name(*word) && !word->starts_with('-') && parsed.name.empty()) {
      parsed.name = *word;
    } else {
      throw misuse("what is \"" + *word + "\"? Names are of letters, digits, '-', '_' and '.'");
    }
  }
  if (parsed.name.empty()) throw misuse("who are you? Give a name");
  if (parsed.listen.empty()) throw misuse("--listen is missing");
  if (parsed.peers.empty()) throw misuse("nobody to chat with: --peer is missing");
  if (parsed.peers.contains(parsed.name)) throw misuse("you and your peer have one name");
  if (parsed.store.empty()) parsed.store = parsed.name + ".chat.db";
  return parsed;
}

// --- the transcript -----------------------------------------------------------------------------

struct line {
  std::string peer;
  bool own = false;          ///< sent to the peer, or else received from it
  std::uint64_t number = 0;  ///< the sequence of an own line, the index of a received one
  std::string text;
};

/// All lines there ever were, in a table beside ILM's.
class transcript {
 public:
  explicit transcript(const std::string& file) {
    sqlite3* opened = nullptr;
    int result = sqlite3_open(file.c_str(), &opened);
    database_.reset(opened);
    check(result);
    sqlite3_busy_timeout(opened, 5000);
    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("CREATE TABLE IF NOT EXISTS chat_line (id INTEGER PRIMARY KEY, peer TEXT, own INTEGER, "
        "number INTEGER, text TEXT, UNIQUE (peer, own, number))");
    add_ = prepare("INSERT OR IGNORE INTO chat_line (peer, own, number, text) VALUES (?, ?, ?, ?)");
  }

  /// Durable when it returns. False if the line is there already.
  bool add(const line& l) {
    bind(add_, 1, l.peer);
    sqlite3_bind_int(add_.get(), 2, l.own ? 1 : 0);
    sqlite3_bind_int64(add_.get(), 3, static_cast<sqlite3_int64>(l.number));
    bind(add_, 4, l.text);
    sqlite3_step(add_.get());
    check(sqlite3_reset(add_.get()));
    return sqlite3_changes(database_.get()) > 0;
  }

  /// The last lines, and before them the own ones from `number` on.
  std::vector<line> history(unsigned count, std::uint64_t number) {
    return select("id > (SELECT max(id) FROM chat_line) - " + std::to_string(count) +
                  " OR (own AND number >= " + std::to_string(number) + ")");
  }

  /// The own lines to a peer that come after `number`.
  std::vector<line> own_after(const std::string& peer, std::uint64_t number) {
    return select("own AND peer = '" + peer + "' AND number > " + std::to_string(number));
  }

 private:
  struct closer {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  using statement = std::unique_ptr<sqlite3_stmt, closer>;

  std::vector<line> select(const std::string& condition) {
    statement rows = prepare("SELECT peer, own, number, text FROM chat_line WHERE " + condition +
                             " ORDER BY id");
    std::vector<line> found;
    while (sqlite3_step(rows.get()) == SQLITE_ROW) {
      line l;
      l.peer = text(rows, 0);
      l.own = sqlite3_column_int(rows.get(), 1) != 0;
      l.number = static_cast<std::uint64_t>(sqlite3_column_int64(rows.get(), 2));
      l.text = text(rows, 3);
      found.push_back(std::move(l));
    }
    check(sqlite3_reset(rows.get()));
    return found;
  }

  void check(int result) const {
    if (result == SQLITE_OK) return;
    throw std::runtime_error("the transcript: " + std::string(sqlite3_errmsg(database_.get())));
  }
  void run(const char* sql) {
    check(sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr));
  }
  statement prepare(const std::string& sql) {
    sqlite3_stmt* made = nullptr;
    check(sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &made, nullptr));
    return statement(made);
  }
  static void bind(const statement& s, int at, const std::string& value) {
    sqlite3_bind_text(s.get(), at, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  static std::string text(const statement& s, int column) {
    const unsigned char* found = sqlite3_column_text(s.get(), column);
    return found == nullptr ? std::string() : reinterpret_cast<const char*>(found);
  }

  std::unique_ptr<sqlite3, closer> database_;
  statement add_;
};

// --- the terminal -------------------------------------------------------------------------------

/// Text from peers must not control the terminal.
std::string printable(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return clean;
}

/// Prints lines above the one that is being typed, and marks lines in place. Where there is no
/// terminal, it reads and prints plain lines.
class screen {
 public:
  screen() {
    if (!tty_) return;
    std::setlocale(LC_CTYPE, "");
    tcgetattr(STDIN_FILENO, &before_);
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &now);
    draw_typed();
  }
  ~screen() {
    if (!tty_) return;
    std::cout << "\r\x1b[K" << std::flush;
    tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;

  void print(const std::string& text) {
    if (tty_) std::cout << "\r\x1b[K";
    std::cout << text << std::endl;
    if (!tty_) return;
    watch_size();
    rows_ += std::max<std::size_t>(1, (columns_of(text) + width_ - 1) / width_);
    draw_typed();
  }

  void print(const line& l, bool on_its_way) {
    if (!l.own) return print(printable(l.peer) + ": " + l.text);
    if (on_its_way) row_of_[{l.peer, l.number}] = rows_;
    print((on_its_way ? "… " : "✓ ") + label(l) + ": " + l.text);
  }

  /// The peer has an own line: marks it. If the line has left the screen, or the window has changed
  /// since, prints a new line instead.
  void mark(const line& l) {
    watch_size();
    auto found = row_of_.find({l.peer, l.number});
    std::size_t row = found == row_of_.end() ? 0 : found->second;
    bool seen = found != row_of_.end() && row >= certain_from_ && rows_ - row < height_;
    if (found != row_of_.end()) row_of_.erase(found);
    if (!tty_ || !seen) return print("✓ " + label(l));
    // Up to the row, and back to where the cursor was.
    std::cout << "\0337\033[" << rows_ - row << "A\r✓\0338" << std::flush;
  }

  /// Takes input a byte at a time; returns a line when it is complete.
  std::optional<std::string> feed(char c) {
    if (c == '\n') {
      std::string entered = std::exchange(typed_, {});
      if (tty_) draw_typed();
      return entered;
    }
    if (tty_) {
      edit(c);
      draw_typed();
    } else {
      typed_ += c;
    }
    return std::nullopt;
  }

  /// Ctrl-D on an empty line.
  bool ended() const { return ended_; }
  bool is_terminal() const { return tty_; }

 private:
  static std::string label(const line& l) { return std::to_string(l.number) + " to " + l.peer; }

  static std::size_t columns_of(const std::string& text) {
    std::wstring wide(text.size() + 1, L'\0');
    std::size_t size = std::mbstowcs(wide.data(), text.c_str(), wide.size());
    int columns = size == static_cast<std::size_t>(-1) ? -1 : ::wcswidth(wide.data(), size);
    return columns < 0 ? text.size() : static_cast<std::size_t>(columns);
  }

  static bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

  void edit(char c) {
    if (escape_) {
      // An arrow or function key, which moves nothing here.
      escape_ = c == '[' || c == 'O' || c < '@';
    } else if (c == '\x1b') {
      escape_ = true;
    } else if (c == '\x7f' || c == '\b') {
      while (!typed_.empty() && continues(typed_.back())) typed_.pop_back();
      if (!typed_.empty()) typed_.pop_back();
    } else if (c == '\x15') {  // Ctrl-U
      typed_.clear();
    } else if (c == '\x04') {  // Ctrl-D
      ended_ = ended_ || typed_.empty();
    } else if (static_cast<unsigned char>(c) >= ' ') {
      typed_ += c;
    }
  }

  /// Draws the end of the typed text, as much as fits into a row.
  void draw_typed() {
    std::string_view tail = typed_;
    while (!tail.empty() && columns_of(std::string(tail)) + 3 > width_) {
      do tail.remove_prefix(1);
      while (!tail.empty() && continues(tail.front()));
    }
    std::cout << "\r\x1b[K> " << tail << std::flush;
  }

  void watch_size() {
    winsize size{};
    if (!tty_ || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return;
    if (size.ws_col != width_ || size.ws_row != height_) certain_from_ = rows_;
    width_ = size.ws_col;
    height_ = size.ws_row;
  }

  bool tty_ = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  termios before_{};
  std::string typed_;
  bool escape_ = false;
  bool ended_ = false;
  std::size_t width_ = 80, height_ = 24;
  /// Rows printed so far, and the first since the size of the window changed.
  std::size_t rows_ = 0, certain_from_ = 0;
  std::map<std::pair<std::string, std::uint64_t>, std::size_t> row_of_;
};

// --- the chat -----------------------------------------------------------------------------------

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
  if (failed) throw misuse("standard input must be a terminal or a pipe: cat FILE | chat ...");
  return opened;
}

class chat {
 public:
  chat(asio::io_context& context, const arguments& asked, network_type net)
      : context_(context),
        asked_(asked),
        input_(open_input(context, screen_.is_terminal())),
        transcript_(asked.store),
        messenger_(context, store_beside_transcript(asked.store), std::move(net),
                   [this](const message& m) { receive(m); }),
        signals_(context, SIGINT, SIGTERM, SIGHUP) {
    signals_.async_wait([this](std::error_code failed, int) {
      if (!failed) leave();
    });
    spawn(presence());
    spawn(talk());
  }

  void rethrow() const {
    if (failed_) std::rethrow_exception(failed_);
  }

 private:
  /// Starts work that ends with the messenger. Any other error ends the chat: the transcript is
  /// there when it is started again.
  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(context_, std::move(work), [this](std::exception_ptr failed) {
      try {
        if (failed) std::rethrow_exception(failed);
      } catch (const std::system_error& e) {
        if (e.code() == ilm::error::shut_down) return;
        fail(failed);
      } catch (...) {
        fail(failed);
      }
    });
  }
  void fail(std::exception_ptr why) {
    failed_ = std::move(why);
    context_.stop();
  }

  /// As /quit. Where not even the store is open yet, there is nothing to wait for.
  void leave() {
    leaving_ = true;
    input_.cancel();
    if (!recalled_) context_.stop();
  }

  asio::awaitable<void> talk() {
    co_await recall();
    screen_.print("--- type; … is on its way, ✓ has arrived; /quit ends");
    while (std::optional<std::string> text = co_await read_line()) {
      if (*text == "/quit") break;
      co_await say(*text);
    }
    co_await part();
  }

  /// Shows the end of the last conversation, and continues it.
  asio::awaitable<void> recall() {
    std::map<std::string, ilm::sequence_range> pending;
    std::uint64_t oldest = INT64_MAX;  // the largest number that SQL knows
    for (const auto& [peer, address] : asked_.peers) {
      // A crash may leave lines in the transcript that were not sent.
      ilm::sequence_range accepted = co_await messenger_.undelivered(peer);
      for (const line& l : transcript_.own_after(peer, accepted.last)) co_await send(l);
      pending[peer] = co_await messenger_.undelivered(peer);
      next_[peer] = pending[peer].last + 1;
      oldest = std::min(oldest, pending[peer].first);
    }
    for (const line& l : transcript_.history(10, oldest)) {
      if (!pending.contains(l.peer)) pending[l.peer] = co_await messenger_.undelivered(l.peer);
      bool on_its_way = l.own && pending[l.peer].contains(l.number);
      screen_.print(l, on_its_way);
      if (on_its_way) spawn(confirm(l));
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
      if (!asked_.peers.contains(one)) co_return screen_.print("--- no peer is called " + one);
    }
    text = printable(text);
    if (text.empty()) co_return;
    if (text.size() > 4000) co_return screen_.print("--- that is too long; say it in parts");
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
    spawn(confirm(l));
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
    l.text = printable(m.text());
    bool is_new = transcript_.add(l);
    if (is_new && recalled_) screen_.print(l, false);
  }

  asio::awaitable<void> presence() {
    for (;;) {
      ilm::event<std::string> e = co_await messenger_.next_event();
      std::string who = printable(e.peer.value_or(asked_.name));
      if (e.kind == ilm::event_kind::peer_connected) {
        screen_.print("--- " + who + " is here");
      } else if (e.kind == ilm::event_kind::peer_disconnected) {
        screen_.print("--- " + who + " is away");
      } else if (e.kind == ilm::event_kind::network_problem) {
        screen_.print("--- " + who + " cannot be reached yet: " + e.error.message());
      } else {
        screen_.print("--- " + printable(describe(e)));
      }
    }
  }

  asio::awaitable<void> part() {
    ilm::shutdown_report<std::string> report = co_await messenger_.shutdown(3s);
    for (const auto& p : report.peers) {
      screen_.print("--- " + printable(p.peer) + " got " + std::to_string(p.delivered) +
                    " since you came; " + std::to_string(p.undelivered) +
                    " stay in the store until you meet again");
    }
    signals_.cancel();
  }

  asio::io_context& context_;
  const arguments& asked_;
  screen screen_;
  asio::posix::stream_descriptor input_;
  transcript transcript_;
  messenger messenger_;
  asio::signal_set signals_;
  std::array<char, 4096> buffer_{};
  std::string_view read_;
  std::map<std::string, std::uint64_t> next_;
  bool recalled_ = false, leaving_ = false;
  std::exception_ptr failed_;
};

int main(int count, char** words) try {
  if (count == 2 && std::string_view(words[1]) == "--help") {
    std::cout << usage;
    return 0;
  }
  arguments asked = parse({words + 1, words + count});
  asio::io_context context;
  network_type net = join(context, asked);  // a mistyped address is told before a file is made
  chat c(context, asked, std::move(net));
  context.run();
  c.rethrow();
  return 0;
} catch (const misuse& e) {
  std::cerr << "chat: " << e.what() << '\n' << usage;
  return 2;
} catch (const std::exception& e) {
  std::cerr << "chat: " << e.what() << '\n';
  return 1;
}
