// A file of any size crosses from one process to another, and goes on where it was when either is
// killed.
//
//   relay_file receive --listen 127.0.0.1:4001 INBOX           in one terminal
//   relay_file send --to 127.0.0.1:4001 FILE                   in another
//
// Kill either with kill -9 or Ctrl-C and start it again with the same words.
//
// A message must fit a frame, so a file goes in pieces: message n is piece n, and holds all that
// the receiver needs to put it where it belongs, however often it is delivered. A restarted sender
// asks undelivered() for the last accepted piece. A store that is slower than the disk must not
// hold the file once more, so no piece is sent before the one 64 before it was delivered. After the
// pieces comes a message with the checksum of all, after every start of the sender; the receiver
// answers each with its outcome, so that no crash leaves the sender waiting. A piece that cannot be
// put there, now or later, is answered, too, and the sender ends; one that finds the disk full is
// delivered again until there is room.
//
// The sender's id and its store are named after the file, its size and its time: another file, or a
// changed one, is another transfer. Names are not proven here, and any process that connects can
// fill the disk: do this among machines that you trust. POSIX only.

#include "relay_file/file.hpp"
#include "relay_file/piece.hpp"
#include "relay_file/progress.hpp"
#include "relay_file/target_directory.hpp"
#include "support/program.hpp"
#include "support/tasks.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: relay_file receive --listen ADDRESS:PORT [--store STORE] DIRECTORY\n"
    "       relay_file send --to ADDRESS:PORT [--store STORE] FILE\n"
    "Carries FILE into DIRECTORY. Start either side again after it was killed: it goes on where\n"
    "it was. STORE keeps what is under way; by default its name is made from DIRECTORY's or "
    "FILE's.\n";

constexpr std::uint64_t piece_size = 128 << 10;
constexpr std::uint64_t pieces_ahead = 64;
const std::string receiver_id = "receiver";

struct arguments {
  bool send = false;
  std::string address;
  std::string store;
  std::string path;
};

arguments parse(const std::vector<std::string>& words) {
  if (words.empty() || (words[0] != "send" && words[0] != "receive")) {
    throw example::misuse("say \"send\" or \"receive\"");
  }
  arguments parsed;
  parsed.send = words[0] == "send";
  for (auto word = words.begin() + 1; word != words.end(); ++word) {
    auto value = [&] {
      if (word + 1 == words.end()) throw example::misuse(*word + " needs a value");
      return *++word;
    };
    if (*word == (parsed.send ? "--to" : "--listen")) {
      parsed.address = value();
    } else if (*word == "--store") {
      parsed.store = value();
    } else if (!word->starts_with('-') && parsed.path.empty()) {
      parsed.path = *word;
    } else {
      throw example::misuse("what is \"" + *word + "\"?");
    }
  }
  if (parsed.address.empty()) throw example::misuse("an ADDRESS:PORT is missing");
  if (parsed.path.empty()) throw example::misuse(parsed.send ? "name a FILE" : "name a DIRECTORY");
  return parsed;
}

/// 16 hexadecimal digits.
std::string hash_of(const std::string& text) {
  std::ostringstream digits;
  digits << std::hex << std::setw(16) << std::setfill('0') << file::fnv(text);
  return digits.str();
}

/// Prints each event in a line, and none again that says the same of the same peer. Ends with an
/// error where the program has no use any more.
template <class Messenger>
asio::awaitable<void> print_events(Messenger& m, const std::string& store, const bool& is_open) {
  example::last_lines told;
  for (;;) {
    ilm::event<std::string> e = co_await m.next_event();
    example::require_useful(e, is_open, store);
    e.count = 1;  // how often it was tried is no news
    std::string line = describe(e);
    if (told.is_new(e.peer.value_or(""), line)) progress::note(line);
  }
}

// --- the receiver -------------------------------------------------------------------------------

using message = ilm::message<std::string>;
using store_type = ilm::sqlite_backend<std::string>;
using network_type = ilm::tcp_network<std::string>;

/// SQLite adds endings of up to 12 bytes to the name of a store.
constexpr std::size_t longest_store_name = longest_name - 16;

class receiver {
 public:
  receiver(asio::io_context& context, const arguments& asked, network_type net)
      : directory_(asked.path),
        store_(store_of(asked)),
        messenger_(
            context, store_type(store_), std::move(net),
            [this](const message& m, context_type with) { return consume(m, std::move(with)); }),
        tasks_(context) {
    tasks_.spawn(print_events(messenger_, store_, store_is_open_));
    tasks_.spawn(wait_for_store(asked.address));
  }

  /// Until it is killed, which is as safe as any other end.
  void run() { tasks_.run(); }

 private:
  using context_type = ilm::delivery_context<std::string>;
  using delivery = std::function<asio::awaitable<void>(const message&, context_type)>;
  using messenger = ilm::messenger<store_type, network_type, delivery>;

  static std::string store_of(const arguments& asked) {
    if (!asked.store.empty()) return asked.store;
    fs::path directory = fs::absolute(asked.path).lexically_normal();
    if (!directory.has_filename()) directory = directory.parent_path();
    std::string name = directory.filename().string();
    // Two long names may begin with the same.
    std::string ending = ".relay.db";
    if (name.size() + ending.size() > longest_store_name) ending = '.' + hash_of(name) + ending;
    return (directory.parent_path() / with_ending(name, ending, longest_store_name)).string();
  }

  asio::awaitable<void> wait_for_store(std::string address) {
    co_await messenger_.undelivered("a sender");
    store_is_open_ = true;
    progress::note("waiting for files at " + address);
  }

  /// The messenger goes on while the disk works.
  asio::awaitable<void> consume(message m, context_type context) {
    piece p;
    try {
      p = m.as<piece>();
    } catch (const std::system_error&) {
      note(m.from, "dropped a message that is no piece of a file");
      co_return;
    }
    if (p.offset == 0) refused_.erase(m.from);
    bool is_last = p.data.empty();
    auto refused = refused_.find(m.from);
    if (refused != refused_.end() && !is_last) co_return;
    std::optional<std::string> outcome;
    if (refused != refused_.end()) {
      outcome = refused->second;
    } else {
      outcome = co_await asio::co_spawn(disk_.get_executor(), put(m.from, p), asio::use_awaitable);
    }
    if (!outcome) {
      auto bar = bars_.try_emplace(m.from, p.name, p.total).first;
      bar->second.show(p.offset + p.data.size());
      co_return;
    }
    bars_.erase(m.from);
    if (!is_last) refused_[m.from] = *outcome;
    note(m.from, *outcome);
    context.send_to(m.from, *outcome);  // in one commit with the consumption
  }
  asio::awaitable<std::optional<std::string>> put(std::string from, const piece& p) {
    co_return directory_.put(from, p);
  }
  void note(const std::string& from, const std::string& text) {
    if (told_.is_new(from, text)) progress::note(ilm::printable(text));
  }

  target_directory directory_;
  std::string store_;
  bool store_is_open_ = false;
  std::map<std::string, progress> bars_;
  /// The answers to senders whose pieces are dropped until their next file begins.
  std::map<std::string, std::string> refused_;
  example::last_lines told_;
  asio::thread_pool disk_{1};
  messenger messenger_;
  example::tasks tasks_;
};

// --- the sender ---------------------------------------------------------------------------------

class sender {
 public:
  sender(asio::io_context& context, const arguments& asked)
      : path_(asked.path),
        source_(path_, O_RDONLY),
        before_(source_.status()),
        id_(id_of(path_, before_)),
        size_(static_cast<std::uint64_t>(before_.st_size)),
        pieces_((size_ + piece_size - 1) / piece_size),
        store_(asked.store.empty() ? store_of(path_, id_) : asked.store),
        messenger_(context, store_type(store_), dial(context, id_, asked.address), inbox_),
        tasks_(context) {
    tasks_.spawn(print_events(messenger_, store_, store_is_open_));
    tasks_.spawn(send_file());
  }

  /// True if the receiver has the file.
  bool run() {
    tasks_.run();
    return good_;
  }

 private:
  using messenger = ilm::messenger<store_type, network_type, ilm::inbox<std::string>>;

  static network_type dial(asio::io_context& context, const std::string& id,
                           const std::string& address) {
    network_type net(context, id);
    net.add_peer(receiver_id, address);
    return net;
  }

  static std::string store_of(const fs::path& path, const std::string& id) {
    return with_ending(path.filename().string(), '.' + id + ".db", longest_store_name);
  }

  /// The same for the same file after every start.
  static std::string id_of(const fs::path& path, const struct stat& s) {
    std::ostringstream identity;
    identity << fs::canonical(path) << ' ' << s.st_dev << ' ' << s.st_ino << ' ' << s.st_size << ' '
             << fs::last_write_time(path).time_since_epoch().count();
    return hash_of(identity.str());
  }

  asio::awaitable<void> send_file() {
    co_await send_pieces();
    // A piece may have been refused.
    if (!outcome_) co_await send_end();
    if (!outcome_) read_answer(co_await inbox_.receive());
    co_await inbox_.consume();
    std::string said = ilm::printable(*outcome_), store = ilm::printable(store_);
    progress::note("the receiver says " + said);
    co_await messenger_.shutdown(3s);
    good_ = outcome_->starts_with("ok");
    progress::note(good_ ? "nothing is left to send; " + store + " may be deleted"
                         : "to send it again, mend that and delete " + store);
  }

  /// A source that is written to while it is sent would arrive as a mixture of both. One that is
  /// removed is still there for this process.
  void require_same_file() const {
    struct stat named {};
    bool is_replaced = ::stat(path_.c_str(), &named) == 0 &&
                       (named.st_ino != before_.st_ino || named.st_dev != before_.st_dev);
    if (source_.is_as(before_) && !is_replaced) return;
    throw std::runtime_error(path_.string() +
                             " has changed while it was sent; send it again, and delete " + store_);
  }
  void read_answer(const message& answer) { outcome_ = std::string(answer.text()); }

  /// Piece n has the sequence n, so the last accepted sequence gives the next piece. The loop runs
  /// beyond the last piece, until all are delivered.
  asio::awaitable<void> send_pieces() {
    ilm::sequence_range pending = co_await messenger_.undelivered(receiver_id);
    store_is_open_ = true;
    if (pending.last > 0) {
      progress::note("going on: of " + std::to_string(pieces_) + " pieces, " +
                     std::to_string(std::min(pending.last, pieces_)) + " were accepted and " +
                     std::to_string(std::min(pending.first - 1, pieces_)) + " delivered");
    }
    progress bar(path_.filename().string(), size_);
    for (std::uint64_t n = pending.first; n <= pieces_ + pieces_ahead; ++n) {
      if (n > pieces_ahead && pieces_ > 0) {
        std::uint64_t confirmed = std::min(n - pieces_ahead, pieces_);
        co_await messenger_.wait_delivered(receiver_id, confirmed);
        bar.show(std::min(confirmed * piece_size, size_));
        if (auto answer = inbox_.try_receive()) co_return read_answer(*answer);
      }
      if (n > pending.last && n <= pieces_) co_await send_piece(n);
    }
  }

  asio::awaitable<void> send_piece(std::uint64_t n) {
    piece p = describe_file();
    p.offset = (n - 1) * piece_size;
    p.data = source_.read(p.offset, piece_size);
    require_same_file();
    std::uint64_t sequence = co_await messenger_.send_to(receiver_id, p);
    if (sequence != n) throw std::logic_error("a sequence was not the next");
  }

  asio::awaitable<void> send_end() {
    piece last = describe_file();
    last.offset = size_;
    last.checksum = source_.checksum();
    require_same_file();
    co_await messenger_.send_to(receiver_id, last);
  }

  piece describe_file() const {
    piece p;
    p.name = path_.filename().string();
    p.total = size_;
    return p;
  }

  fs::path path_;
  file source_;
  struct stat before_;
  std::string id_;
  std::uint64_t size_, pieces_;
  std::string store_;
  bool store_is_open_ = false;
  std::optional<std::string> outcome_;  ///< as the receiver says
  bool good_ = false;
  ilm::inbox<std::string> inbox_;
  messenger messenger_;
  example::tasks tasks_;
};

void require_source(const std::string& name) {
  try {
    example::require_readable(name);
  } catch (const std::exception& e) {
    throw example::misuse(example::line_about(name, example::line_of(e)));
  }
}

bool send(const arguments& asked) {
  require_source(asked.path);
  asio::io_context context;
  return sender(context, asked).run();
}

void receive(const arguments& asked) {
  asio::io_context context;
  network_type net(context, receiver_id);
  net.listen(asked.address);  // a mistyped address is told before a directory is made
  receiver(context, asked, std::move(net)).run();
}

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) {
    arguments asked = parse(given);
    if (asked.send) return send(asked) ? 0 : 1;
    receive(asked);
    return 0;
  };
  return example::run_program("relay_file", usage, count, words, work);
}
