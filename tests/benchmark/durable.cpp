// Two processes over TCP or WebSocket on loopback, each with a store in memory or in SQLite:
// one-way throughput, and the time that single messages take. POSIX.
//
//   durable [--level memory|os|media] [--messages N] [--size N] [--senders N] [--rounds N]
//           [--dir DIR] [--smoke] [--websocket] [--listen HOST:PORT] [--dial ADDRESS]
//           [--table neighbours|sizes]
//
// With --table it prints lines for report.cpp alone: beside its neighbours, or by size and senders,
// with the times of all messages.
// A proxy is between the two that dials the address listened on and is at the one dialed.
// Before it measures, it prints how long this disk takes to sync 4 KiB: the cost of `media`.

#include "latency.hpp"
#include "process.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>
#ifdef WITH_WEBSOCKET
#include <ilm/networks/websocket.hpp>
#endif

#include <asio/io_context.hpp>

#include <algorithm>
#include <functional>
#include <iostream>
#include <type_traits>
#include <vector>

namespace {

using namespace benchmark;
using message = ilm::message<std::string>;
using handler = std::function<void(const message&)>;

struct settings {
  explicit settings(const arguments& a)
      : senders(a.number("--senders", a.has("--smoke") ? 100 : 1000)),
        messages(a.number("--messages", a.has("--smoke") ? 10'000 : 1'000'000)),
        size(a.number("--size", 100)),
        table(a.text("--table", "")),
        rounds(a.number("--rounds", a.has("--smoke") ? 20
                                    : table.empty()  ? 2000
                                                     : 0)),
        level(a.text("--level", "os")),
        websocket(a.has("--websocket")),
        listen(a.text("--listen", "127.0.0.1:0")),
        dial(a.text("--dial", "")),
        directory(a.text("--dir", std::filesystem::temp_directory_path().string())) {
    messages -= messages % senders;
  }

  std::uint64_t senders;
  std::uint64_t messages;
  std::uint64_t size;
  std::string table;
  std::uint64_t rounds;
  std::string level;
  bool websocket;
  std::string listen, dial;  // none to dial: the port listened on
  work_directory directory;
};

double median(std::vector<double> all) {
  auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

/// The median time of a sync after 4 KiB were appended, in seconds.
double sync_time(const work_directory& directory) {
  int file = ::open((directory / "sync").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  std::array<char, 4096> block{};
  std::vector<double> times;
  for (int i = 0; i < 200; ++i) {
    if (::write(file, block.data(), block.size()) < 0) std::exit(1);
    auto start = clock_type::now();
    ::fsync(file);
    times.push_back(seconds_since(start));
  }
  ::close(file);
  return median(times);
}

using network = ilm::detail::tcp::peer_network<std::string>;  // over either transport

network make_network(const settings& s, asio::io_context& context, const char* name) {
  if (!s.websocket) return ilm::tcp_network<>(context, name);
#ifdef WITH_WEBSOCKET
  return ilm::websocket_network<>(context, name);
#else
  std::cerr << "there is no WebSocket without wslay\n";
  std::exit(1);
#endif
}

/// Told by the process that receives: where it listens, then how long the messages took.
struct told {
  std::uint16_t port = 0;
  percentiles took;
};

template <class Backend>
Backend make_store(const settings& s, const char* name) {
  if constexpr (std::is_default_constructible_v<Backend>) {
    return Backend();
  } else {
    return Backend(s.directory / name);
  }
}

/// The process that receives: it answers messages that begin with '?', and the last of the others.
template <class Backend, class Report>
void serve(const settings& s, Report report) {
  asio::io_context context(1);
  network n = make_network(s, context, "receiver");
  n.listen(s.listen);
  std::uint16_t port = n.port();
  handler answer;
  ilm::messenger m(context, make_store<Backend>(s, "receiver.db"), std::move(n),
                   handler([&](const message& got) { answer(got); }));
  std::uint64_t consumed = 0;
  bool timed = s.table == "sizes";
  latencies took(timed ? s.messages : 0);
  answer = [&](const message& got) {
    bool question = got.text().starts_with('?');
    if (!question && timed) took.add(got.text().data());
    if (!question && ++consumed != s.messages) return;
    m.send_to("sender", "!", [](std::error_code, std::uint64_t) {});
    if (!question) report(told{port, took.result()});
  };
  report(told{port, {}});
  context.run();
}

template <class Messenger>
asio::awaitable<void> send(Messenger& from, std::uint64_t count, std::uint64_t size) {
  const ilm::bytes contents(std::string(size, 'x'));
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to("receiver", contents);
}
template <class Messenger>
asio::awaitable<void> send_stamped(Messenger& from, std::uint64_t count, std::uint64_t size) {
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to("receiver", stamped(size));
}

std::string part_of(const settings& s) {
  return s.level == "memory" ? "TCP, memory" : "TCP, SQLite " + s.level;
}

void print(const settings& s, double rate, std::uint64_t commits, child<told>& receiver) {
  if (s.table == "sizes") {
    print_run(part_of(s), s.senders, s.size, rate, receiver.ask().took);
  } else if (s.table == "neighbours") {
    print_figure("side_by_side", "ILM, " + s.level, "", rate, "messages/s",
                 s.level == "media" ? "a power cut"
                 : s.level == "os"  ? "a kill, not a power cut"
                                    : "nothing");
  } else {
    std::cout << s.messages << " messages of " << s.size << " bytes from " << s.senders
              << " coroutines: " << static_cast<std::uint64_t>(rate) << " messages/s, in "
              << commits << " commits of the sender's\n";
  }
}

template <class Messenger>
asio::awaitable<void> measure(const settings& s, Messenger& m, ilm::inbox<std::string>& answers,
                              child<told>& receiver) {
  // A session, and files that have been written to.
  co_await m.send_to("receiver", "?");
  co_await answers.receive();
  std::vector<double> rounds;
  for (std::uint64_t i = 0; i < s.rounds; ++i) {
    auto start = clock_type::now();
    co_await m.send_to("receiver", "?");
    co_await answers.receive();
    rounds.push_back(seconds_since(start));
  }
  if (!rounds.empty()) {
    std::cout << "a single message takes " << static_cast<int>(median(rounds) / 2 * 1e6)
              << " us: half of the median of " << s.rounds << " rounds there and back\n";
  }
  auto start = clock_type::now();
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  for (std::uint64_t i = 0; i < s.senders; ++i) {
    std::uint64_t each = s.messages / s.senders;
    asio::awaitable<void> work =
        s.table == "sizes" ? send_stamped(m, each, s.size) : send(m, each, s.size);
    asio::co_spawn(executor, std::move(work), asio::detached);
  }
  co_await answers.receive();
  double rate = static_cast<double>(s.messages) / seconds_since(start);
  print(s, rate, m.statistics().commits, receiver);
}

template <class Backend>
void run(const settings& s) {
  child<told> receiver([&](auto report) { serve<Backend>(s, report); });
  std::string address = "127.0.0.1:" + std::to_string(receiver.ask().port);
  asio::io_context context(1);
  network n = make_network(s, context, "sender");
  n.add_peer("receiver", s.dial.empty() ? address : s.dial);
  ilm::inbox<std::string> answers;
  ilm::messenger m(context, make_store<Backend>(s, "sender.db"), std::move(n), answers);
  asio::co_spawn(context, measure(s, m, answers, receiver), [&](std::exception_ptr failed) {
    if (failed) std::rethrow_exception(failed);
    context.stop();
  });
  context.run();
}

}  // namespace

int main(int count, char** values) {
  settings s(arguments(count, values));
  if (s.table.empty()) {
    std::cout << "level " << s.level << "; a sync of 4 KiB takes "
              << static_cast<int>(sync_time(s.directory) * 1e6) << " us here\n"
              << std::flush;
  } else if (s.table == "neighbours") {
    print_figure("machine", "sync", "", sync_time(s.directory) * 1e6, "us");
  }
  if (s.level == "memory") {
    run<ilm::memory_backend<std::string>>(s);
  } else if (s.level == "media") {
    run<ilm::sqlite_backend<std::string, ilm::durability::media>>(s);
  } else {
    run<ilm::sqlite_backend<std::string, ilm::durability::os>>(s);
  }
}
