// The messenger of the interop tests: a store in SQLite, TCP or WebSocket, and one peer. It obeys
// the lines that it reads, and says in lines what happens. Its input's end is its own.
//
//   fill N       sends messages until N have been accepted, by earlier processes too
//   delivered N  waits until the peer's application has message N, and says so
//   shutdown     ends, and says what is left

#include <ilm/backends/sqlite.hpp>
#include <ilm/messenger.hpp>
#include <ilm/networks/tcp.hpp>
#ifdef WITH_OPENSSL
#include <ilm/networks/tcp_psk.hpp>
#endif
#ifdef WITH_WEBSOCKET
#include <ilm/networks/websocket.hpp>
#endif

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr std::string_view usage =
    "usage: ilm_interop_messenger STORE NAME PEER [--dial PORT] [--key KEY] [--credit MESSAGES]\n"
    "                             [--websocket] [--keepalive MILLISECONDS] [--hold | --return]\n"
    "  --keepalive  the interval of empty frames; 0 for none\n"
    "  --hold       the application consumes nothing\n"
    "  --return     it sends each message back with its attributes\n";

struct arguments {
  explicit arguments(const std::vector<std::string>& words) {
    if (words.size() < 3) throw std::invalid_argument(std::string(usage));
    store = words[0];
    name = words[1];
    peer = words[2];
    for (std::size_t i = 3; i < words.size(); ++i) {
      if (words[i] == "--hold") {
        holds = true;
      } else if (words[i] == "--return") {
        returns = true;
      } else if (words[i] == "--websocket") {
        websocket = true;
      } else if (i + 1 == words.size()) {
        throw std::invalid_argument(std::string(usage));
      } else if (words[i] == "--dial") {
        address = "127.0.0.1:" + words[++i];
      } else if (words[i] == "--key") {
        key = words[++i];
      } else if (words[i] == "--credit") {
        credit = std::stoul(words[++i]);
      } else if (words[i] == "--keepalive") {
        keepalive = std::chrono::milliseconds(std::stoul(words[++i]));
      } else {
        throw std::invalid_argument(std::string(usage));
      }
    }
  }

  std::string store, name, peer, address, key;
  std::size_t credit = 0;
  std::chrono::milliseconds keepalive{5000};
  bool websocket = false;
  bool holds = false;
  bool returns = false;
};

/// One line, so that whoever is killed has said it whole.
template <class... Words>
void say(const Words&... words) {
  std::ostringstream line;
  ((line << words << ' '), ...);
  std::cout << line.str() + '\n' << std::flush;
}

std::string digits_of(std::span<const std::byte> bytes) {
  std::string digits;
  for (std::byte b : bytes) {
    digits += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
    digits += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
  }
  return digits.empty() ? "-" : digits;
}

/// Of different sizes, and told apart by the number.
std::string contents_of(std::uint64_t number) {
  return std::to_string(number) + ' ' + std::string(number % 97, 'c');
}

class application {
  using message = ilm::message<std::string>;

  struct delivery {
    explicit delivery(application* to) : app(to) {}
    asio::awaitable<void> operator()(message m) const { return app->consume(std::move(m)); }
    application* app;
  };
  using store = ilm::sqlite_backend<std::string, ilm::durability::os>;
  using network = ilm::detail::tcp::peer_network<std::string>;  // over either transport

 public:
  application(asio::io_context& context, const arguments& a)
      : context_(context),
        arguments_(a),
        commands_(context, ::dup(STDIN_FILENO)),
        messenger_(context, store(a.store), make_network(), delivery(this), options_of(a)) {
    asio::co_spawn(context, obey(), rethrow);
    asio::co_spawn(context, tell_events(), rethrow);
  }

 private:
  static void rethrow(std::exception_ptr failed) {
    if (failed) std::rethrow_exception(failed);
  }

  static ilm::options options_of(const arguments& a) {
    ilm::options o;
    if (a.credit != 0) o.credit_messages = a.credit;
    return o;
  }

  network make_network() {
    ilm::tcp_options o;
    o.maximum_reconnect_delay = 100ms;
    // For a machine that does too much at once.
    o.handshake_timeout = 60s;
    o.keepalive_interval = arguments_.keepalive;
    o.keepalive_timeout = 60s;
    if (!arguments_.key.empty()) o.prove = proof_of(arguments_.key);
    network n =
        arguments_.websocket ? make_websocket(o) : ilm::tcp_network<>(context_, arguments_.name, o);
    n.listen("127.0.0.1:0");
    if (!arguments_.address.empty()) n.add_peer(arguments_.peer, arguments_.address);
    say("listening", n.port());
    return n;
  }

#ifdef WITH_WEBSOCKET
  network make_websocket(const ilm::tcp_options& shared) {
    ilm::websocket_options o;
    static_cast<ilm::tcp_options&>(o) = shared;
    return ilm::websocket_network<>(context_, arguments_.name, o);
  }
#else
  static network make_websocket(const ilm::tcp_options&) {
    throw std::invalid_argument("there is no WebSocket without wslay");
  }
#endif

#ifdef WITH_OPENSSL
  static decltype(ilm::tcp_options::prove) proof_of(const std::string& key) {
    return ilm::pre_shared_key(key);
  }
#else
  static decltype(ilm::tcp_options::prove) proof_of(const std::string&) {
    throw std::invalid_argument("there are no keys without OpenSSL");
  }
#endif

  asio::awaitable<void> consume(message m) {
    if (arguments_.holds) {
      asio::steady_timer never(context_, asio::steady_timer::time_point::max());
      co_await never.async_wait(asio::use_awaitable);
    }
    say("message", m.index, m.sequence, digits_of(m.contents.view()),
        digits_of(m.attributes.encoded().view()));
    if (arguments_.returns) {
      ilm::send_options onwards;
      onwards.forwarded = m.attributes;
      co_await messenger_.send_to(m.from, m.contents, onwards);
    }
  }

  asio::awaitable<void> tell_events() {
    std::error_code ended;
    for (;;) {
      auto e = co_await messenger_.next_event(asio::redirect_error(asio::use_awaitable, ended));
      if (ended) co_return;
      say("event", ilm::name_of(e.kind), ilm::describe(static_cast<const ilm::event_record&>(e)));
    }
  }

  asio::awaitable<void> obey() {
    std::string input;
    std::error_code ended;
    for (;;) {
      std::size_t size =
          co_await asio::async_read_until(commands_, asio::dynamic_buffer(input), '\n',
                                          asio::redirect_error(asio::use_awaitable, ended));
      if (ended) std::_Exit(EXIT_SUCCESS);
      std::istringstream line(input.substr(0, size));
      input.erase(0, size);
      std::string command;
      std::uint64_t number = 0;
      line >> command >> number;
      if (command == "fill") co_await fill(number);
      if (command == "delivered") {
        co_await messenger_.wait_delivered(arguments_.peer, number);
        say("delivered", number);
      }
      if (command == "shutdown") {
        auto report = co_await messenger_.shutdown(60s);
        say("shutdown", report.delivered, report.undelivered);
      }
    }
  }

  asio::awaitable<void> fill(std::uint64_t last) {
    ilm::sequence_range accepted = co_await messenger_.undelivered(arguments_.peer);
    for (std::uint64_t number = accepted.last + 1; number <= last; ++number) {
      messenger_.send_to(arguments_.peer, contents_of(number),
                         [](std::error_code failed, std::uint64_t sequence) {
                           if (failed) say("failed", failed.message());
                           if (!failed) say("sent", sequence);
                         });
    }
  }

  asio::io_context& context_;
  const arguments& arguments_;
  asio::posix::stream_descriptor commands_;
  ilm::messenger<store, network, delivery> messenger_;
};

}  // namespace

int main(int count, char** words) {
  try {
    arguments a(std::vector<std::string>(words + 1, words + count));
    asio::io_context context(1);
    application app(context, a);
    context.run();
  } catch (const std::exception& e) {
    std::cerr << "ilm_interop_messenger: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
