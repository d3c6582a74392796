// A store of one's own: a journal to which each batch is appended, and which is replayed when it is
// opened. It never shrinks, and keeps all messages in memory as well: good for a few thousand
// messages, and to show the duties of a backend. POSIX only.

#include "support/program.hpp"

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <cerrno>
#include <cstdint>
#include <deque>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

// Numbers and texts, one after the other.
void put(std::string& out, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
}
void put(std::string& out, std::string_view text) {
  put(out, text.size());
  out += text;
}
std::string_view take(std::string_view& in, std::uint64_t size) {
  if (size > in.size()) throw std::system_error(ilm::error::store_corrupt);
  std::string_view taken = in.substr(0, static_cast<std::size_t>(size));
  in.remove_prefix(taken.size());
  return taken;
}
std::uint64_t take_number(std::string_view& in) {
  std::uint64_t number = 0;
  for (char digit : take(in, 8)) number = number << 8 | static_cast<unsigned char>(digit);
  return number;
}
std::string_view take_text(std::string_view& in) { return take(in, take_number(in)); }

/// FNV-1a (Fowler, Noll and Vo): detects damage by a disk, not by an attacker.
std::uint64_t checksum(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return sum;
}

/// A file to append to, locked against other processes.
class journal_file {
 public:
  journal_file() = default;
  explicit journal_file(const std::string& path)
      : handle_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    if (handle_ < 0) throw std::system_error(errno, std::generic_category(), path);
    if (::flock(handle_, LOCK_EX | LOCK_NB) == 0) return;
    int failure = errno;
    ::close(handle_);
    if (failure == EWOULDBLOCK) throw std::system_error(ilm::error::store_in_use);
    throw std::system_error(failure, std::generic_category());
  }
  journal_file(journal_file&& other) noexcept : handle_(std::exchange(other.handle_, -1)) {}
  journal_file& operator=(journal_file&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~journal_file() {
    if (handle_ >= 0) ::close(handle_);
  }

  std::string read() {
    std::string all;
    char part[1 << 16];
    for (;;) {
      ssize_t size = ::pread(handle_, part, sizeof part, static_cast<off_t>(all.size()));
      if (size < 0) fail();
      if (size == 0) return all;
      all.append(part, static_cast<std::size_t>(size));
    }
  }
  void append(std::string_view record) {
    while (!record.empty()) {
      ssize_t size = ::write(handle_, record.data(), record.size());
      if (size < 0) fail();
      record.remove_prefix(static_cast<std::size_t>(size));
    }
  }
  bool is_open() const { return handle_ >= 0; }
  void cut(std::size_t size) {
    if (::ftruncate(handle_, static_cast<off_t>(size)) != 0) fail();
  }

 private:
  [[noreturn]] static void fail() { throw std::system_error(errno, std::generic_category()); }

  int handle_ = -1;
};

class journal {
 public:
  using peer_id = std::string;

  /// A completed write survives `kill -9`, but not a power cut: that needs an fdatasync before
  /// `commit` completes, on a thread that may wait for it.
  static constexpr ilm::durability durable_to = ilm::durability::os;

  explicit journal(std::string path) : path_(std::move(path)) {}

  asio::awaitable<ilm::store_state<peer_id>> open() {
    file_ = journal_file();
    file_ = journal_file(path_);
    replay();
    ilm::store_state<peer_id> state;
    state.local = local_;
    state.local_id = local_id_;
    for (const auto& [peer, s] : peers_) state.peers.emplace_back(peer, s.where);
    co_return state;
  }

  asio::awaitable<void> commit(const ilm::batch<peer_id>& change) {
    require_open();
    std::string body = record_of(change);
    std::string record;
    put(record, checksum(body));
    put(record, body);
    // A failed commit may leave half a record: it is cut off before the next one.
    if (std::exchange(torn_, true)) file_.cut(size_);
    file_.append(record);
    torn_ = false;
    size_ += record.size();
    apply(body);
    co_return;
  }

  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const peer_id& peer,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    require_open();
    std::vector<ilm::stored_message> page;
    std::size_t bytes = 0;
    peer_record& s = peers_[peer];
    for (const auto& m : which == ilm::queue::outbox ? s.outbox : s.inbox) {
      if (m.index != from + page.size()) continue;
      bytes += m.size();
      if (page.size() == limit.messages || (bytes > limit.bytes && !page.empty())) break;
      page.push_back(m);
    }
    co_return page;
  }

  asio::awaitable<void> close() {
    file_ = journal_file();
    co_return;
  }

 private:
  using messages = std::deque<ilm::stored_message>;
  struct peer_record {
    ilm::cursors where;
    messages outbox, inbox;
  };

  static std::string record_of(const ilm::batch<peer_id>& change) {
    std::string out;
    ilm::incarnation created = change.new_incarnation.value_or(ilm::incarnation());
    put(out, created.high);
    put(out, created.low);
    if (created) put(out, change.new_local_id.value_or(peer_id()));
    put(out, change.forgotten.size());
    for (const peer_id& peer : change.forgotten) put(out, peer);
    for (const auto& c : change.changes) {
      put(out, c.peer);
      auto where = c.next.encode();
      out.append(reinterpret_cast<const char*>(where.data()), where.size());
      for (const auto* added : {&c.outbox, &c.inbox}) {
        put(out, added->size());
        for (const ilm::stored_message& m : *added) {
          put(out, m.index);
          put(out, m.sequence);
          put(out, m.salt);
          put(out, m.hash.high);
          put(out, m.hash.low);
          put(out, m.contents.text());
          put(out, m.attributes.text());
        }
      }
    }
    return out;
  }

  /// Reads a record of record_of: the same code after a restart as for each commit.
  void apply(std::string_view in) {
    ilm::incarnation created;
    created.high = take_number(in);
    created.low = take_number(in);
    if (created) {
      local_ = created;
      local_id_ = peer_id(take_text(in));
    }
    for (std::uint64_t left = take_number(in); left > 0; --left) {
      peers_.erase(peer_id(take_text(in)));
    }
    while (!in.empty()) {
      peer_record& s = peers_[peer_id(take_text(in))];
      auto where = std::as_bytes(std::span(take(in, ilm::cursors::encoded_size)));
      s.where = ilm::cursors::decode(where.first<ilm::cursors::encoded_size>());
      for (messages* to : {&s.outbox, &s.inbox}) {
        for (std::uint64_t left = take_number(in); left > 0; --left) {
          std::uint64_t index = take_number(in);
          std::uint64_t sequence = take_number(in);
          std::uint64_t salt = take_number(in);
          ilm::stream_hash hash;
          hash.high = take_number(in);
          hash.low = take_number(in);
          ilm::bytes contents(take_text(in));
          ilm::bytes attributes(take_text(in));
          to->emplace_back(index, sequence, salt, hash, std::move(contents), std::move(attributes));
        }
      }
      erase_below(s.outbox, s.where.outbox.first);
      erase_below(s.inbox, s.where.inbox.first);
    }
  }

  /// After a failed open another process may have the file.
  void require_open() const {
    if (!file_.is_open()) throw std::system_error(ilm::error::store_closed);
  }

  static void erase_below(messages& all, std::uint64_t first) {
    while (!all.empty() && all.front().index < first) all.pop_front();
  }

  /// An incomplete last record was being written when the process died: its commit never completed,
  /// so it is dropped. A complete record with a wrong checksum is an error, never "empty".
  void replay() {
    local_ = {};
    local_id_.reset();
    peers_.clear();
    std::string all = file_.read();
    std::string_view left = all;
    while (left.size() >= 16) {
      std::string_view rest = left;
      std::uint64_t sum = take_number(rest);
      std::uint64_t size = take_number(rest);
      if (size > rest.size()) break;
      std::string_view body = take(rest, size);
      if (checksum(body) != sum) throw std::system_error(ilm::error::store_corrupt);
      apply(body);
      left = rest;
    }
    size_ = all.size() - left.size();
    file_.cut(size_);
    torn_ = false;
  }

  std::string path_;
  journal_file file_;
  std::size_t size_ = 0;
  bool torn_ = false;
  ilm::incarnation local_;
  std::optional<peer_id> local_id_;
  std::map<peer_id, peer_record> peers_;
};
static_assert(ilm::backend<journal, std::string>);

using fabric = ilm::memory_fabric<std::string>;

/// The sender's first process: it ends without a shutdown, as by a crash.
asio::awaitable<void> send(asio::io_context& context, fabric network, std::string path) {
  ilm::messenger alice(context, journal(path), network.join("alice"), ilm::inbox<std::string>());
  for (const char* text : {"one", "two", "three"}) co_await alice.send_to("bob", text);
}

/// The next one: the messages of the first arrive.
asio::awaitable<void> resume(asio::io_context& context, fabric network, std::string path) {
  ilm::inbox<std::string> inbox;
  ilm::messenger alice(context, journal(path), network.join("alice"), ilm::inbox<std::string>());
  ilm::messenger bob(context, ilm::memory_backend<std::string>(), network.join("bob"), inbox);
  for (const char* text : {"one", "two", "three"}) {
    ilm::message<std::string> m = co_await inbox.receive();
    std::cout << m.from << ": " << m.text() << '\n';
    if (m.text() != text) throw std::runtime_error("the messages are not what was sent");
  }
  co_await inbox.consume();
  co_await alice.shutdown(1s);
  co_await bob.shutdown(1s);
}

void run(asio::awaitable<void> (*process)(asio::io_context&, fabric, std::string),
         const std::string& path) {
  asio::io_context context;
  std::exception_ptr failed;
  asio::co_spawn(context, process(context, fabric(), path),
                 [&](std::exception_ptr e) { failed = e; });
  context.run();
  if (failed) std::rethrow_exception(failed);
}

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>&) {
    std::string name = "ilm_own_backend." + std::to_string(::getpid());
    std::string path = example::temporary_place() / name;
    run(send, path);
    std::ofstream(path, std::ios::app) << "half a record, as kill -9 leaves it";
    run(resume, path);
    std::filesystem::remove(path);
    return 0;
  };
  return example::run_program("own_backend", "usage: own_backend\n", count, words, work);
}
