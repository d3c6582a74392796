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
// answers each with its outcome, so that no crash leaves the sender waiting.
//
// The sender's id and its store are named after the file, its size and its time: another file, or a
// changed one, is another transfer. Names are not proven here, and any process that connects can
// fill the disk: do this among machines that you trust. POSIX only.

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace fs = std::filesystem;
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

/// Thrown for arguments that make no sense.
struct misuse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

arguments parse(const std::vector<std::string>& words) {
  if (words.empty() || (words[0] != "send" && words[0] != "receive")) {
    throw misuse("say \"send\" or \"receive\"");
  }
  arguments parsed;
  parsed.send = words[0] == "send";
  for (auto word = words.begin() + 1; word != words.end(); ++word) {
    auto value = [&] {
      if (word + 1 == words.end()) throw misuse(*word + " needs a value");
      return *++word;
    };
    if (*word == (parsed.send ? "--to" : "--listen")) {
      parsed.address = value();
    } else if (*word == "--store") {
      parsed.store = value();
    } else if (!word->starts_with('-') && parsed.path.empty()) {
      parsed.path = *word;
    } else {
      throw misuse("what is \"" + *word + "\"?");
    }
  }
  if (parsed.address.empty()) throw misuse("an ADDRESS:PORT is missing");
  if (parsed.path.empty()) throw misuse(parsed.send ? "name a FILE" : "name a DIRECTORY");
  return parsed;
}

// --- messages -----------------------------------------------------------------------------------

/// A part of a file, or, without data, the end after the last part.
struct piece {
  std::string name;            ///< of the file, without directories
  std::uint64_t total = 0;     ///< the size of the file
  std::uint64_t offset = 0;    ///< where the data belongs
  std::uint64_t checksum = 0;  ///< of the whole file, after the last piece
  std::string data;
};

template <>
struct ilm::codec<piece> {
  static void encode(const piece& p, std::vector<std::byte>& out) {
    for (std::uint64_t number : {p.total, p.offset, p.checksum, std::uint64_t{p.name.size()}}) {
      codec<std::uint64_t>::encode(number, out);
    }
    codec<std::string>::encode(p.name, out);
    codec<std::string>::encode(p.data, out);
  }
  static piece decode(std::span<const std::byte> in) {
    auto take = [&in](std::size_t size) {
      if (in.size() < size) throw std::system_error(error::undecodable_contents);
      std::span<const std::byte> taken = in.first(size);
      in = in.subspan(size);
      return taken;
    };
    piece p;
    std::uint64_t name_size = 0;
    for (std::uint64_t* number : {&p.total, &p.offset, &p.checksum, &name_size}) {
      *number = codec<std::uint64_t>::decode(take(8));
    }
    p.name = codec<std::string>::decode(take(static_cast<std::size_t>(name_size)));
    p.data = codec<std::string>::decode(in);
    return p;
  }
};

// --- files --------------------------------------------------------------------------------------

class file {
 public:
  file(const fs::path& path, int flags)
      : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) fail("cannot open ");
  }
  ~file() { ::close(descriptor_); }
  file(const file&) = delete;
  file& operator=(const file&) = delete;

  /// Reads `size` bytes at `offset`; fewer at the end of the file.
  std::string read(std::uint64_t offset, std::size_t size) const {
    std::string data(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      ssize_t got =
          ::pread(descriptor_, data.data() + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno != EINTR) fail("cannot read ");
      if (got == 0) break;
      done += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    }
    data.resize(done);
    return data;
  }

  /// On the disk when it returns: a message that was consumed does not come again.
  void write(std::uint64_t offset, std::string_view data) const {
    while (!data.empty()) {
      ssize_t put = ::pwrite(descriptor_, data.data(), data.size(), static_cast<off_t>(offset));
      if (put < 0 && errno != EINTR) fail("cannot write ");
      offset += static_cast<std::uint64_t>(std::max<ssize_t>(put, 0));
      data.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(put, 0)));
    }
    if (::fsync(descriptor_) != 0) fail("cannot sync ");
  }

  struct stat status() const {
    struct stat s {};
    if (::fstat(descriptor_, &s) != 0) fail("cannot look at ");
    return s;
  }
  std::uint64_t size() const { return static_cast<std::uint64_t>(status().st_size); }

  /// FNV-1a, 64 bits: against accidents, not against forgers.
  std::uint64_t checksum() const {
    std::uint64_t sum = fnv_start;
    for (std::uint64_t offset = 0;;) {
      std::string data = read(offset, 1 << 20);
      if (data.empty()) return sum;
      sum = fnv(data, sum);
      offset += data.size();
    }
  }

  static std::uint64_t fnv(std::string_view data, std::uint64_t sum = fnv_start) {
    for (char c : data) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return sum;
  }

 private:
  static constexpr std::uint64_t fnv_start = 0xcbf29ce484222325U;

  [[noreturn]] void fail(const char* failure) const {
    throw std::system_error(errno, std::generic_category(), failure + path_.string());
  }

  fs::path path_;
  int descriptor_;
};

// --- telling the user ---------------------------------------------------------------------------

std::string megabytes(std::uint64_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / 1e6;
  return text.str();
}

/// A bar on a terminal, and a line now and then elsewhere.
class progress {
 public:
  progress(std::string name, std::uint64_t total) : name_(std::move(name)), total_(total) {}

  void show(std::uint64_t done) {
    auto now = std::chrono::steady_clock::now();
    if (!first_) first_ = done;
    if (done < total_ && now < next_) return;
    next_ = now + (tty_ ? 100ms : 2000ms);
    double part = total_ == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total_);
    if (tty_) std::cout << "\r\x1b[K\x1b[?7l";  // the terminal cuts off the end of long rows
    std::cout << name_ << ' ' << bar(part) << std::setw(4) << static_cast<int>(part * 100) << "%  "
              << megabytes(done) << " of " << megabytes(total_) << " MB";
    double seconds = std::chrono::duration<double>(now - started_).count();
    if (seconds > 0.5) {
      auto gained = static_cast<double>(done - std::min(done, *first_));
      std::cout << "  " << megabytes(static_cast<std::uint64_t>(gained / seconds)) << " MB/s";
    }
    if (tty_) std::cout << "\x1b[?7h";
    if (!tty_ || done == total_) std::cout << '\n';
    std::cout << std::flush;
  }

  /// Prints a line beside the bar.
  static void note(const std::string& text) {
    std::cout << (tty_ ? "\r\x1b[K" : "") << "--- " << text << std::endl;
  }

 private:
  static std::string bar(double part) {
    constexpr std::size_t width = 20;
    if (!tty_) return "";
    auto full = static_cast<std::size_t>(part * width);
    return '[' + std::string(full, '#') + std::string(width - full, '.') + ']';
  }

  inline static const bool tty_ = isatty(STDOUT_FILENO) != 0;
  std::string name_;
  std::uint64_t total_;
  std::optional<std::uint64_t> first_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point next_{};
};

/// Text from peers must not control the terminal.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '_';
  }
  return text;
}

template <class Messenger>
asio::awaitable<void> print_events(Messenger& m) {
  for (;;) {
    ilm::event<std::string> e = co_await m.next_event();
    progress::note(printable(describe(e)));
  }
}

// --- the receiver -------------------------------------------------------------------------------

using message = ilm::message<std::string>;
using store_type = ilm::sqlite_backend<std::string>;
using network_type = ilm::tcp_network<std::string>;

/// Puts pieces into a directory. A piece that is delivered again changes nothing.
class target_directory {
 public:
  explicit target_directory(fs::path directory) : directory_(std::move(directory)) {
    fs::create_directories(directory_);
  }

  /// Returns the outcome if this is the last piece. A throw means "try again", so a piece that can
  /// never succeed does not throw.
  std::optional<std::string> put(const std::string& from, const piece& p) const {
    if (!is_sender(from)) return "no: your id is not that of a sender of files";
    if (p.offset > p.total || p.data.size() > p.total - p.offset) {
      return "no: a piece lies outside of its file";
    }
    fs::path part = directory_ / (safe(p.name) + '.' + from + ".part");
    if (!p.data.empty()) {
      file(part, O_WRONLY | O_CREAT).write(p.offset, p.data);
      return std::nullopt;
    }
    return finish(part, directory_ / safe(p.name), p);
  }

 private:
  /// The part becomes the file, under the first name that is free or has its contents already.
  static std::string finish(const fs::path& part, const fs::path& wanted, const piece& p) {
    if (p.total == 0) file(part, O_WRONLY | O_CREAT).write(0, {});
    bool here = fs::exists(part);
    if (here && !is_right(part, p)) {
      return "no: what has arrived is not the file. Did it change on the way, or was the store "
             "used for another? Send it again with a new store";
    }
    for (unsigned n = 0;; ++n) {
      fs::path name = n == 0 ? wanted : fs::path(wanted.string() + '.' + std::to_string(n));
      bool is_free = !fs::exists(name);
      if (is_free && !here) return "no: it is gone from here. Send it again with a new store";
      // Unlike a rename, a link never replaces a file.
      if (is_free && ::link(part.c_str(), name.c_str()) != 0) {
        throw std::system_error(errno, std::generic_category(), "cannot link " + name.string());
      }
      if (is_free || is_right(name, p)) {
        fs::remove(part);
        return "ok: " + name.filename().string();
      }
    }
  }

  static bool is_right(const fs::path& path, const piece& p) {
    if (!fs::is_regular_file(path)) return false;
    file f(path, O_RDONLY);
    return f.size() == p.total && f.checksum() == p.checksum;
  }

  /// The id becomes part of a file's name.
  static bool is_sender(const std::string& id) {
    return id.size() == 16 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
  }
  /// A plain and visible name in the directory for any name by the sender.
  static std::string safe(const std::string& name) {
    std::string clean = printable(name.substr(0, 200));
    std::replace(clean.begin(), clean.end(), '/', '_');
    if (clean.empty() || clean.front() == '.') clean.insert(0, "_");
    return clean;
  }

  fs::path directory_;
};

class receiver {
 public:
  receiver(asio::io_context& context, const arguments& asked, network_type net)
      : directory_(asked.path),
        messenger_(
            context, store_type(store_of(asked)), std::move(net),
            [this](const message& m, context_type with) { return consume(m, std::move(with)); }) {
    progress::note("waiting for files at " + asked.address);
    asio::co_spawn(context, print_events(messenger_), asio::detached);
  }

 private:
  using context_type = ilm::delivery_context<std::string>;
  using delivery = std::function<asio::awaitable<void>(const message&, context_type)>;
  using messenger = ilm::messenger<store_type, network_type, delivery>;

  static std::string store_of(const arguments& asked) {
    if (!asked.store.empty()) return asked.store;
    fs::path directory = fs::absolute(asked.path).lexically_normal();
    if (!directory.has_filename()) directory = directory.parent_path();
    return directory.string() + ".relay.db";
  }

  /// The messenger goes on while the disk works.
  asio::awaitable<void> consume(message m, context_type context) {
    piece p;
    try {
      p = m.as<piece>();
    } catch (const std::system_error&) {
      progress::note("dropped a message that is no piece of a file");
      co_return;
    }
    auto outcome =
        co_await asio::co_spawn(disk_.get_executor(), put(m.from, p), asio::use_awaitable);
    if (!outcome) {
      auto bar = bars_.try_emplace(m.from, printable(p.name), p.total).first;
      bar->second.show(p.offset + p.data.size());
      co_return;
    }
    bars_.erase(m.from);
    progress::note(*outcome);
    context.send_to(m.from, *outcome);  // in one commit with the consumption
  }
  asio::awaitable<std::optional<std::string>> put(std::string from, const piece& p) {
    co_return directory_.put(from, p);
  }

  target_directory directory_;
  std::map<std::string, progress> bars_;
  asio::thread_pool disk_{1};
  messenger messenger_;
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
        store_(asked.store.empty() ? path_.filename().string() + '.' + id_ + ".db" : asked.store),
        messenger_(context, store_type(store_), dial(context, id_, asked.address), inbox_) {
    asio::co_spawn(context, print_events(messenger_), asio::detached);
  }

  /// True if the receiver has the file.
  asio::awaitable<bool> run() {
    co_await send_pieces();
    if (is_changed())
      throw std::runtime_error(path_.string() + " has changed meanwhile; send it again");
    piece last = describe_file();
    last.offset = size_;
    last.checksum = source_.checksum();
    co_await messenger_.send_to(receiver_id, last);
    message answer = co_await inbox_.receive();
    std::string outcome(answer.text());
    co_await inbox_.consume();
    progress::note("the receiver says " + printable(outcome));
    co_await messenger_.shutdown(3s);
    bool good = outcome.starts_with("ok");
    if (good) progress::note("nothing is left to send; " + store_ + " may be deleted");
    co_return good;
  }

 private:
  using messenger = ilm::messenger<store_type, network_type, ilm::inbox<std::string>>;

  static network_type dial(asio::io_context& context, const std::string& id,
                           const std::string& address) {
    network_type net(context, id);
    net.add_peer(receiver_id, address);
    return net;
  }

  /// The same for the same file after every start.
  static std::string id_of(const fs::path& path, const struct stat& s) {
    std::ostringstream identity;
    identity << fs::canonical(path) << ' ' << s.st_dev << ' ' << s.st_ino << ' ' << s.st_size << ' '
             << fs::last_write_time(path).time_since_epoch().count();
    std::ostringstream id;
    id << std::hex << std::setw(16) << std::setfill('0') << file::fnv(identity.str());
    return id.str();
  }
  bool is_changed() const { return id_of(path_, source_.status()) != id_; }

  /// Piece n has the sequence n, so the last accepted sequence gives the next piece. The loop runs
  /// beyond the last piece, until all are delivered.
  asio::awaitable<void> send_pieces() {
    ilm::sequence_range pending = co_await messenger_.undelivered(receiver_id);
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
      }
      if (n > pending.last && n <= pieces_) co_await send_piece(n);
    }
  }

  asio::awaitable<void> send_piece(std::uint64_t n) {
    piece p = describe_file();
    p.offset = (n - 1) * piece_size;
    p.data = source_.read(p.offset, piece_size);
    std::uint64_t sequence = co_await messenger_.send_to(receiver_id, p);
    if (sequence != n) throw std::logic_error("a sequence was not the next");
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
  ilm::inbox<std::string> inbox_;
  messenger messenger_;
};

bool send(const arguments& asked) {
  if (!fs::is_regular_file(asked.path)) throw misuse(asked.path + " is not there, or no file");
  asio::io_context context;
  sender s(context, asked);
  std::exception_ptr failed;
  bool good = false;
  asio::co_spawn(context, s.run(), [&](std::exception_ptr e, bool g) {
    failed = e, good = g;
    context.stop();
  });
  context.run();
  if (failed) std::rethrow_exception(failed);
  return good;
}

/// Runs until it is killed, which is as safe as any other end.
void receive(const arguments& asked) {
  asio::io_context context;
  network_type net(context, receiver_id);
  net.listen(asked.address);  // a mistyped address is told before a directory is made
  receiver r(context, asked, std::move(net));
  context.run();
}

int main(int count, char** words) try {
  if (count == 2 && std::string_view(words[1]) == "--help") {
    std::cout << usage;
    return 0;
  }
  arguments asked = parse({words + 1, words + count});
  if (asked.send) return send(asked) ? 0 : 1;
  receive(asked);
  return 0;
} catch (const misuse& e) {
  std::cerr << "relay_file: " << e.what() << '\n' << usage;
  return 2;
} catch (const std::exception& e) {
  std::cerr << "relay_file: " << e.what() << '\n';
  return 1;
}
