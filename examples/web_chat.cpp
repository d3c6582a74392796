// A chat between people, each in a page: this program is the peer that their pages dial over
// WebSocket. It passes on what they write, once and in order, and serves the page as well.
//
//   cmake -P cmake/browser.cmake       builds the package that the page loads
//   build/test/examples/web_chat       then open http://localhost:8080/?me=alice&to=bob
//                                      and, elsewhere, http://localhost:8080/?me=bob&to=alice
//
//   --port N         the port to listen on, on this machine (default 8080)
//   --store FILE     the SQLite store (default web_chat.db)
//   --package DIR    the folder of the package (default build/browser/package)
//
// A line is a JSON object: {"to": "bob", ...} from alice arrives as {"from": "alice", ...} at bob.
// The page has names without proof: for a chat of strangers, see tcp_options::prove.

#include "support/program.hpp"
#include "support/tasks.hpp"
#include "web_chat/files.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/codecs/json.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/websocket.hpp>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using peer_id = std::string;

namespace {

constexpr std::string_view usage = "usage: web_chat [--port N] [--store FILE] [--package DIR]\n";
constexpr const char* server_name = "chat";

struct arguments {
  std::uint16_t port = 8080;
  std::string store = "web_chat.db";
  std::filesystem::path package = "build/browser/package";
};

arguments parse(const std::vector<std::string>& words) {
  arguments parsed;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (i + 1 == words.size()) throw example::misuse(words[i] + " needs a value");
    const std::string& value = words[i + 1];
    if (words[i] == "--port") {
      const char* end = value.data() + value.size();
      auto [stopped, failed] = std::from_chars(value.data(), end, parsed.port);
      if (failed != std::errc() || stopped != end) {
        throw example::misuse("\"" + value + "\" is not a port");
      }
    } else if (words[i] == "--store") {
      parsed.store = value;
    } else if (words[i] == "--package") {
      parsed.package = value;
    } else {
      throw example::misuse("what is \"" + words[i] + "\"?");
    }
  }
  return parsed;
}

/// People are called by small letters and digits.
bool is_name(const peer_id& name) {
  return !name.empty() && name.size() <= 32 && name != server_name &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

/// A line of a page; null if it is none. nlohmann/json writes by recursion: how deep a stranger's
/// line goes must not be up to the stranger.
nlohmann::json to_line(std::string_view text) {
  bool shallow = true;
  auto look = [&shallow](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    shallow = shallow && depth <= 4;
    return shallow;
  };
  nlohmann::json line = nlohmann::json::parse(text, look, false);
  return shallow && line.is_object() ? line : nlohmann::json();
}

/// Passes each line on with the commit that consumes it: a crash neither loses nor repeats it.
asio::awaitable<void> pass_on(ilm::message<peer_id> m, ilm::delivery_context<peer_id>& context) {
  nlohmann::json line = to_line(m.text());
  if (!line.is_object() || !line["to"].is_string()) co_return;  // not of our page
  peer_id to = line["to"];
  if (!is_name(to)) co_return;
  line.erase("to");
  line["from"] = m.from;
  ilm::send_options with;
  with.headers = {{"content-type", "application/json"}};
  try {
    context.send_to(to, line.dump(), with);
  } catch (const std::system_error& e) {
    // With the sender's name it can be longer than it came. Tried again, it would not be shorter.
    if (e.code() != ilm::error::message_too_large) throw;
    std::cout << "a line from " << m.from << " is too long to be passed on\n" << std::flush;
  }
}

ilm::websocket_network<peer_id> make_network(asio::io_context& context, const arguments& a) {
  web_chat::files page;
  page.add("/", WEB_CHAT_PAGE);
  page.add("/package/", a.package);
  if (!page.has("/package/ilm.mjs")) {
    std::cout << a.package.string() << " has no package: run cmake -P cmake/browser.cmake\n";
  }
  ilm::websocket_options o;
  o.accept = ilm::accept_peers<peer_id>(is_name);
  auto at_once = std::make_shared<int>(0);
  o.on_http_request = [page, at_once](asio::ip::tcp::socket browser, const std::string& request) {
    if (*at_once == web_chat::most_at_once) return;
    asio::any_io_executor strand = browser.get_executor();
    asio::co_spawn(strand, web_chat::serve(std::move(browser), page.answer(request), at_once),
                   asio::detached);
  };
  ilm::websocket_network<peer_id> network(context, server_name, std::move(o));
  network.listen("127.0.0.1:" + std::to_string(a.port));
  return network;
}

template <class Messenger>
asio::awaitable<void> tell_events(Messenger& messenger, std::uint16_t port, std::string store) {
  bool store_is_open = false;
  std::cout << "open http://localhost:" << port << "/?me=alice&to=bob\n" << std::flush;
  for (;;) {
    auto e = co_await messenger.next_event();
    example::require_useful(e, store_is_open, store);
    store_is_open = true;
    std::cout << ilm::describe(e) << '\n' << std::flush;
  }
}

template <class Messenger>
asio::awaitable<void> await_signal(Messenger& messenger) {
  asio::signal_set signals(co_await asio::this_coro::executor, SIGINT, SIGTERM);
  co_await signals.async_wait(asio::use_awaitable);
  co_await messenger.shutdown(2s);
}

void run(const arguments& a) {
  asio::io_context context;
  auto network = make_network(context, a);
  std::uint16_t port = network.port();
  ilm::messenger messenger(context, ilm::sqlite_backend<peer_id>(a.store), std::move(network),
                           pass_on);
  example::tasks tasks(context);
  tasks.spawn(tell_events(messenger, port, a.store));
  tasks.spawn(await_signal(messenger));
  tasks.run();
}

}  // namespace

int main(int count, char** words) {
  auto work = [](const std::vector<std::string>& given) {
    run(parse(given));
    return 0;
  };
  return example::run_program("web_chat", usage, count, words, work);
}
