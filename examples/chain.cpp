// Exactly once through a chain of processes: a source sends numbers, a relay consumes each and
// sends its square, and a sink writes the squares down. The program starts the three, kills them
// again and again with kill -9, mostly the relay, starts each again on its store, and judges by the
// sink's file: each input has one output, in order.
//
//   chain                the relay is a handler
//   chain --inbox        the relay reads an inbox
//   chain --two-commits  the relay sends in a commit of its own: see outputs repeat
//
// The sink's file is outside of its store, so the sink writes the index of a message with it, in
// one step, and skips a message that it has. POSIX only.

#include "support/program.hpp"
#include "support/tasks.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace fs = std::filesystem;
using namespace std::chrono_literals;

using message = ilm::message<std::string>;
using context_type = ilm::delivery_context<std::string>;
using inbox_type = ilm::inbox<std::string>;
using network_type = ilm::tcp_network<std::string>;
template <ilm::durability Level>
using store_type = ilm::sqlite_backend<std::string, Level>;

constexpr std::string_view usage =
    "usage: chain [OPTION]...\n"
    "  --handler      the relay is a handler (default)\n"
    "  --inbox        the relay reads an inbox\n"
    "  --two-commits  the relay is a handler that sends in a commit of its own\n"
    "  --os           the stores survive kill -9 (default)\n"
    "  --media        they survive power cuts as well; that is slower\n"
    "  --kills N      how often to kill a process (default 50)\n"
    "  --inputs N     how many numbers the source sends (default 5000; with --media 1000)\n"
    "  --keep DIR     keeps stores and outputs in DIR, which must be new; otherwise they are\n"
    "                 kept only if the run fails\n";

enum class relay_kind { handler, reader, two_commits };

/// All that the three processes know in common.
struct arguments {
  relay_kind kind = relay_kind::handler;
  bool media = false;
  std::uint64_t kills = 50;
  std::uint64_t inputs = 0;
  fs::path directory;
  std::string source_address, sink_address;
};

std::uint64_t to_number(const std::string& word) {
  std::uint64_t value = 0;
  auto [end, failed] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (failed != std::errc() || end != word.data() + word.size() || value > 1'000'000) {
    throw example::misuse("\"" + word + "\" is not a number up to a million");
  }
  return value;
}

arguments parse(const std::vector<std::string>& words) {
  arguments parsed;
  for (auto word = words.begin(); word != words.end(); ++word) {
    auto value = [&] {
      if (word + 1 == words.end()) throw example::misuse(*word + " needs a value");
      return *++word;
    };
    if (*word == "--handler") {
      parsed.kind = relay_kind::handler;
    } else if (*word == "--inbox") {
      parsed.kind = relay_kind::reader;
    } else if (*word == "--two-commits") {
      parsed.kind = relay_kind::two_commits;
    } else if (*word == "--os" || *word == "--media") {
      parsed.media = *word == "--media";
    } else if (*word == "--kills") {
      parsed.kills = to_number(value());
    } else if (*word == "--inputs") {
      parsed.inputs = to_number(value());
    } else if (*word == "--keep") {
      parsed.directory = value();
    } else {
      throw example::misuse("what is \"" + *word + "\"?");
    }
  }
  if (parsed.inputs == 0) parsed.inputs = parsed.media ? 1000 : 5000;
  return parsed;
}

// --- the relay ----------------------------------------------------------------------------------

/// "7 49"
std::string output_for(const message& m) {
  auto n = m.as<std::uint64_t>();
  return std::to_string(n) + ' ' + std::to_string(n * n);
}

// [relay]
/// Consumes an input and sends the output: the store has both or neither.
void relay(const ilm::message<std::string>& m, ilm::delivery_context<std::string>& context) {
  context.send_to("sink", output_for(m));
}

/// The same with an inbox: asking for the next input consumes the one before.
asio::awaitable<void> relay_from(ilm::inbox<std::string> inputs) {
  for (;;) {
    auto m = co_await inputs.receive();
    m.context.send_to("sink", output_for(m));
  }
}
// [relay]

/// Sends in a commit of its own. A kill between the two commits repeats the output.
asio::awaitable<void> relay_in_two_commits(message m, context_type& context) {
  std::string output = output_for(m);
  co_await context.messenger().send_to("sink", output);
}

// --- the sink -----------------------------------------------------------------------------------

[[noreturn]] void fail(const std::string& operation) {
  throw std::system_error(errno, std::generic_category(), operation);
}

/// A line for each message, of one size: its index, and its text.
class output_file {
 public:
  static constexpr int index_width = 8, text_width = 31;
  static constexpr off_t line_size = index_width + 1 + text_width + 1;

  output_file(const fs::path& path, bool media)
      : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)),
        media_(media) {
    if (descriptor_ < 0) fail("cannot open " + path.string());
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) fail("cannot look at " + path.string());
    // A power cut may leave a part of a line.
    off_t whole = status.st_size - status.st_size % line_size;
    if (::ftruncate(descriptor_, whole) != 0) fail("cannot cut " + path.string());
    if (whole > 0) last_index_ = index_at(whole - line_size);
  }
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;
  ~output_file() { ::close(descriptor_); }

  /// As safe as the store when it returns: a message that was consumed does not come again.
  void add(const message& m) {
    if (m.index <= last_index_) return;
    std::ostringstream line;
    line << std::setw(index_width) << m.index << ' ' << std::setw(text_width) << m.text() << '\n';
    std::string text = line.str();
    errno = ENOSPC;  // of a write that was cut short
    if (::write(descriptor_, text.data(), text.size()) != line_size) fail("cannot write");
    if (media_ && ::fsync(descriptor_) != 0) fail("cannot sync");
    last_index_ = m.index;
  }

 private:
  std::uint64_t index_at(off_t offset) const {
    std::array<char, index_width + 1> text{};
    if (::pread(descriptor_, text.data(), index_width, offset) != index_width) fail("cannot read");
    return std::strtoull(text.data(), nullptr, 10);
  }

  int descriptor_;
  bool media_;
  std::uint64_t last_index_ = 0;
};

// --- the three processes ------------------------------------------------------------------------

void rethrow(std::exception_ptr failed) {
  if (failed) std::rethrow_exception(failed);
}

/// Number n has the sequence n, so the last accepted sequence says where to go on after a kill.
template <class Messenger>
asio::awaitable<void> send_numbers(Messenger& source, std::uint64_t last) {
  constexpr std::uint64_t ahead = 100;
  ilm::sequence_range pending = co_await source.undelivered("relay");
  for (std::uint64_t n = pending.last + 1; n <= last; ++n) {
    co_await source.send_to("relay", n);
    if (n > ahead) co_await source.wait_delivered("relay", n - ahead);
  }
}

/// Shuts down when the parent closes its end of the pipe, or is gone.
template <class Messenger>
asio::awaitable<void> end_with_parent(Messenger& m, asio::posix::stream_descriptor parent,
                                      inbox_type inputs) {
  std::array<char, 1> nothing{};
  std::error_code ended;
  co_await parent.async_read_some(asio::buffer(nothing),
                                  asio::redirect_error(asio::use_awaitable, ended));
  co_await m.shutdown(10s);
  inputs.close();
}

/// The messenger repeats each operation in which its store or handler fails. Nobody mends them
/// here, so that the process ends with the reason.
template <class Messenger>
asio::awaitable<void> end_with_failure(Messenger& m) {
  for (;;) {
    ilm::event<std::string> e = co_await m.next_event();
    if (e.kind == ilm::event_kind::store_failed || e.kind == ilm::event_kind::delivery_failed) {
      throw std::runtime_error(example::reason_of(e));
    }
  }
}

template <class Messenger>
void run(asio::io_context& context, Messenger& m, int parent, inbox_type inputs = {}) {
  asio::posix::stream_descriptor pipe(context, parent);
  example::tasks work(context);
  work.spawn(end_with_failure(m));
  work.spawn(end_with_parent(m, std::move(pipe), std::move(inputs)));
  work.run();
}

template <ilm::durability Level>
void run_source(const arguments& asked, int parent) {
  asio::io_context context;
  network_type net(context, "source");
  net.listen(asked.source_address);
  ilm::messenger m(context, store_type<Level>(asked.directory / "source.db"), std::move(net),
                   inbox_type());
  asio::co_spawn(context, send_numbers(m, asked.inputs), rethrow);
  run(context, m, parent);
}

template <ilm::durability Level>
void run_relay(const arguments& asked, int parent) {
  asio::io_context context;
  network_type net(context, "relay");
  net.add_peer("source", asked.source_address);
  net.add_peer("sink", asked.sink_address);
  store_type<Level> store(asked.directory / "relay.db");
  if (asked.kind == relay_kind::handler) {
    ilm::messenger m(context, std::move(store), std::move(net), relay);
    run(context, m, parent);
  } else if (asked.kind == relay_kind::two_commits) {
    ilm::messenger m(context, std::move(store), std::move(net), relay_in_two_commits);
    run(context, m, parent);
  } else {
    inbox_type inputs;
    ilm::messenger m(context, std::move(store), std::move(net), inputs);
    asio::co_spawn(context, relay_from(inputs), [](std::exception_ptr failed) {
      try {
        rethrow(failed);
      } catch (const std::system_error& e) {
        if (e.code() != ilm::error::inbox_closed) throw;
      }
    });
    run(context, m, parent, inputs);
  }
}

template <ilm::durability Level>
void run_sink(const arguments& asked, int parent) {
  asio::io_context context;
  network_type net(context, "sink");
  net.listen(asked.sink_address);
  output_file outputs(asked.directory / "outputs", asked.media);
  ilm::messenger m(context, store_type<Level>(asked.directory / "sink.db"), std::move(net),
                   [&outputs](const message& output) { outputs.add(output); });
  run(context, m, parent);
}

using role = void (*)(const arguments&, int parent);

template <ilm::durability Level>
constexpr std::array<role, 3> roles{run_relay<Level>, run_source<Level>, run_sink<Level>};
constexpr std::array<const char*, 3> role_names{"relay", "source", "sink"};

// --- the parent, which kills them ---------------------------------------------------------------

/// A process that ends when its pipe does.
class process {
 public:
  process() = default;
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() { kill(); }

  /// Calls `work` in a new process, with its end of the pipe.
  template <class Work>
  void start(Work work) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) fail("cannot make a pipe");
    id_ = ::fork();
    if (id_ < 0) fail("cannot start a process");
    if (id_ == 0) {
      ::close(ends[1]);
      std::_Exit(work(ends[0]));
    }
    ::close(ends[0]);
    pipe_ = ends[1];
  }

  /// As kill -9.
  void kill() {
    if (id_ <= 0) return;
    ::kill(id_, SIGKILL);
    end();
  }

  /// Lets it shut down. True if it ended well.
  bool end() {
    drop_pipe();
    if (id_ > 0) wait(0);
    return WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
  }

  /// Whether it has ended by itself, which is too early.
  bool has_ended() {
    if (id_ > 0) wait(WNOHANG);
    return id_ == 0;
  }

  void drop_pipe() {
    if (pipe_ >= 0) ::close(std::exchange(pipe_, -1));
  }

 private:
  void wait(int flags) {
    pid_t ended = 0;
    while ((ended = ::waitpid(id_, &status_, flags)) < 0) {
      if (errno != EINTR) fail("cannot wait for a process");
    }
    if (ended != 0) id_ = 0;
  }

  pid_t id_ = 0;
  int pipe_ = -1;
  int status_ = 0;
};

/// An address that nobody takes while its process is killed: Linux has sixteen million of this
/// machine alone, other systems one, and then the port must do.
std::string free_address() {
  asio::io_context context;
  asio::ip::tcp::acceptor probe(context, asio::ip::tcp::v4());
  asio::ip::address_v4 address(0x7f000002U + std::random_device()() % 0xfffff0U);
  std::error_code failed;
  probe.bind({address, 0}, failed);
  if (failed) probe.bind({asio::ip::address_v4::loopback(), 0});
  auto bound = probe.local_endpoint();
  return bound.address().to_string() + ":" + std::to_string(bound.port());
}

class chain {
 public:
  explicit chain(const arguments& asked) : asked_(asked) {
    for (std::size_t which = 0; which < role_names.size(); ++which) start(which);
  }

  /// True if the three ended well.
  bool run() {
    bool well = true;
    for (std::uint64_t k = 1; k <= asked_.kills && well; ++k) {
      well = wait_for_output(asked_.inputs * k / (asked_.kills + 1));
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3000));
      kill_and_restart(k);
    }
    well = well && wait_for_output(asked_.inputs);
    // Each process gives the next one all that it has before it ends.
    for (std::size_t which : {1U, 0U, 2U}) well = processes_[which].end() && well;
    return well;
  }

  std::uint64_t kills(std::size_t which) const { return kills_[which]; }

 private:
  void start(std::size_t which) {
    processes_[which].start([this, which](int parent) {
      // The pipes of the others must end with the parent, not with this process.
      for (process& other : processes_) other.drop_pipe();
      try {
        (asked_.media ? roles<ilm::durability::media> : roles<ilm::durability::os>)[which](asked_,
                                                                                           parent);
        return 0;
      } catch (const std::exception& e) {
        std::cerr << role_names[which] << ": " << example::line_of(e) << std::endl;
        return 1;
      }
    });
  }

  /// Mostly the relay.
  void kill_and_restart(std::uint64_t k) {
    std::size_t which = k % 5 < 3 ? 0 : k % 5 - 2;
    processes_[which].kill();
    ++kills_[which];
    start(which);
  }

  /// Waits for the output for input `n`. False if no more outputs come.
  bool wait_for_output(std::uint64_t n) {
    constexpr auto patience = 30s;
    std::uint64_t before = 0;
    for (auto since = std::chrono::steady_clock::now();;) {
      std::uint64_t last = last_output();
      if (last >= n) return true;
      auto now = std::chrono::steady_clock::now();
      if (last != std::exchange(before, last)) since = now;
      if (now - since > patience) return false;
      for (process& p : processes_) {
        if (p.has_ended()) return false;
      }
      std::this_thread::sleep_for(500us);
    }
  }

  /// The input of the last output; 0 if there is none.
  std::uint64_t last_output() const {
    std::ifstream outputs(asked_.directory / "outputs");
    std::uint64_t index = 0, n = 0;
    outputs.seekg(-output_file::line_size, std::ios::end);
    outputs >> index >> n;
    return n;
  }

  const arguments& asked_;
  std::array<process, role_names.size()> processes_;
  std::array<std::uint64_t, role_names.size()> kills_{};
  std::minstd_rand random_{std::random_device()()};
};

// --- the result ---------------------------------------------------------------------------------

struct result {
  std::uint64_t outputs = 0, missing = 0, repeated = 0, disordered = 0, wrong = 0;

  bool is_exact() const { return missing + repeated + disordered + wrong == 0; }
};

result judge(const arguments& asked) {
  result r;
  std::vector<bool> seen(asked.inputs);
  std::ifstream outputs(asked.directory / "outputs");
  std::uint64_t index = 0, n = 0, square = 0, before = 0;
  while (outputs >> index >> n >> square) {
    ++r.outputs;
    if (n == 0 || n > asked.inputs || square != n * n) {
      ++r.wrong;
      continue;
    }
    if (seen[n - 1]) ++r.repeated;
    if (!seen[n - 1] && n < before) ++r.disordered;
    seen[n - 1] = true;
    before = std::max(before, n);
  }
  r.missing = static_cast<std::uint64_t>(std::count(seen.begin(), seen.end(), false));
  return r;
}

fs::path make_directory() {
  std::string name = (example::temporary_place() / "ilm_chain.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) fail("cannot make " + name);
  return name;
}

int run(arguments asked) {
  bool keeps = !asked.directory.empty();
  std::error_code failed;
  if (!keeps) {
    asked.directory = make_directory();
  } else if (!fs::create_directory(asked.directory, failed)) {
    std::string reason = failed ? failed.message() : "it is there already";
    throw example::misuse("cannot make " + asked.directory.string() + ": " + reason);
  }
  asked.source_address = free_address();
  asked.sink_address = free_address();

  chain c(asked);
  bool well = c.run();
  result r = judge(asked);
  std::cout << "inputs     " << asked.inputs << "\nkills      " << asked.kills << ": relay "
            << c.kills(0) << ", source " << c.kills(1) << ", sink " << c.kills(2) << "\noutputs    "
            << r.outputs << "\nmissing    " << r.missing << "\nrepeated   " << r.repeated
            << "\ndisordered " << r.disordered << "\nwrong      " << r.wrong << std::endl;
  if (!well) std::cout << "a process did not end well, or no more outputs came\n";
  bool good = well && r.is_exact();
  if (good && !keeps) {
    fs::remove_all(asked.directory);
  } else {
    std::cout << "stores and outputs are in " << ilm::printable(asked.directory.string()) << '\n';
  }
  return good ? 0 : 1;
}

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) { return run(parse(given)); };
  return example::run_program("chain", usage, count, words, work);
}
