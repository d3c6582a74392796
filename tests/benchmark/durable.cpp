// Two processes over TCP or WebSocket on loopback, each with a SQLite store: one-way throughput of
// 100-byte messages, and the time that single messages take. POSIX.
//
//   durable [--level os|media] [--messages N] [--senders N] [--rounds N] [--dir DIR] [--smoke]
//           [--websocket] [--listen HOST:PORT] [--dial ADDRESS]
//
// A proxy is between the two that dials the address listened on and is at the one dialed.
// Before it measures, it prints how long this disk takes to sync 4 KiB: the cost of `media`.

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
#include <vector>

namespace {

using namespace benchmark;
using message = ilm::message<std::string>;
using handler = std::function<void(const message&)>;

struct settings {
  explicit settings(const arguments& a)
      : senders(a.number("--senders", a.has("--smoke") ? 100 : 1000)),
        messages(a.number("--messages", a.has("--smoke") ? 10'000 : 1'000'000)),
        rounds(a.number("--rounds", a.has("--smoke") ? 20 : 2000)),
        media(a.text("--level", "os") == "media"),
        websocket(a.has("--websocket")),
        listen(a.text("--listen", "127.0.0.1:0")),
        dial(a.text("--dial", "")),
        directory(a.text("--dir", std::filesystem::temp_directory_path().string())) {
    messages -= messages % senders;
  }

  std::uint64_t senders;
  std::uint64_t messages;
  std::uint64_t rounds;
  bool media;
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

/// The process that receives: it answers messages that begin with '?', and the last of the others.
template <class Backend, class Report>
void serve(const settings& s, Report report) {
  asio::io_context context(1);
  network n = make_network(s, context, "receiver");
  n.listen(s.listen);
  std::uint16_t port = n.port();
  handler answer;
  ilm::messenger m(context, Backend(s.directory / "receiver.db"), std::move(n),
                   handler([&](const message& got) { answer(got); }));
  std::uint64_t consumed = 0;
  answer = [&](const message& got) {
    if (!got.text().starts_with('?') && ++consumed != s.messages) return;
    m.send_to("sender", "!", [](std::error_code, std::uint64_t) {});
  };
  report(port);
  context.run();
}

template <class Messenger>
asio::awaitable<void> send(Messenger& from, std::uint64_t count) {
  const ilm::bytes contents(std::string(100, 'x'));
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to("receiver", contents);
}

template <class Messenger>
asio::awaitable<void> measure(const settings& s, Messenger& m, ilm::inbox<std::string>& answers) {
  std::vector<double> rounds;
  for (std::uint64_t i = 0; i < s.rounds; ++i) {
    auto start = clock_type::now();
    co_await m.send_to("receiver", "?");
    co_await answers.receive();
    rounds.push_back(seconds_since(start));
  }
  std::cout << "a single message takes " << static_cast<int>(median(rounds) / 2 * 1e6)
            << " us: half of the median of " << s.rounds << " rounds there and back\n";
  auto start = clock_type::now();
  asio::any_io_executor executor = co_await asio::this_coro::executor;
  for (std::uint64_t i = 0; i < s.senders; ++i) {
    asio::co_spawn(executor, send(m, s.messages / s.senders), asio::detached);
  }
  co_await answers.receive();
  std::cout << s.messages << " messages of 100 bytes from " << s.senders << " coroutines: "
            << static_cast<std::uint64_t>(static_cast<double>(s.messages) / seconds_since(start))
            << " messages/s, in " << m.statistics().commits << " commits of the sender's\n";
}

template <class Backend>
void run(const settings& s) {
  child<std::uint16_t> receiver([&](auto report) { serve<Backend>(s, report); });
  std::string address = "127.0.0.1:" + std::to_string(receiver.ask());
  asio::io_context context(1);
  network n = make_network(s, context, "sender");
  n.add_peer("receiver", s.dial.empty() ? address : s.dial);
  ilm::inbox<std::string> answers;
  ilm::messenger m(context, Backend(s.directory / "sender.db"), std::move(n), answers);
  asio::co_spawn(context, measure(s, m, answers), [&](std::exception_ptr failed) {
    if (failed) std::rethrow_exception(failed);
    context.stop();
  });
  context.run();
}

}  // namespace

int main(int count, char** values) {
  settings s(arguments(count, values));
  std::cout << "level " << (s.media ? "media" : "os") << "; a sync of 4 KiB takes "
            << static_cast<int>(sync_time(s.directory) * 1e6) << " us here\n"
            << std::flush;
  if (s.media) {
    run<ilm::sqlite_backend<std::string, ilm::durability::media>>(s);
  } else {
    run<ilm::sqlite_backend<std::string, ilm::durability::os>>(s);
  }
}
