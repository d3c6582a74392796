#include "support/catch.hpp"

#include <ilm/networks/websocket/url.hpp>

#include <string>
#include <system_error>

using namespace ilm::detail::websocket;

namespace {

std::string read(const char* text) { return parse_url(text, "/ilm").text(); }
std::string mistake_in(const char* text) {
  try {
    read(text);
  } catch (const std::system_error& e) {
    if (e.code() == ilm::tcp_error::bad_address) return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("the URL of a WebSocket has a host, a port and a path, or takes the usual ones",
          "[websocket]") {
  url whole = parse_url("ws://chat.example:4711/a/b?c=d", "/ilm");
  CHECK(whole.at.host == "chat.example");
  CHECK(whole.at.port == 4711);
  CHECK(whole.path == "/a/b?c=d");
  CHECK_FALSE(whole.secure);
  CHECK(whole.authority() == "chat.example:4711");
  CHECK(read("ws://chat.example") == "ws://chat.example/ilm");
  CHECK(read("ws://chat.example/") == "ws://chat.example/");
  CHECK(read("WSS://chat.example:443/x") == "wss://chat.example/x");
  CHECK(read("wss://chat.example:80/x") == "wss://chat.example:80/x");
  CHECK(parse_url("wss://chat.example", "/").at.port == 443);
  CHECK(parse_url("ws://[2001:db8::1]", "/").at.host == "2001:db8::1");
  CHECK(read("ws://[2001:db8::1]:99/x") == "ws://[2001:db8::1]:99/x");
}

TEST_CASE("a host and a port without a scheme are the URL of a network there", "[websocket]") {
  CHECK(read("127.0.0.1:4711") == "ws://127.0.0.1:4711/ilm");
  CHECK(read("chat.example:80") == "ws://chat.example/ilm");
  CHECK(read("chat.example:4711/own") == "ws://chat.example:4711/own");
}

TEST_CASE("a text that is no URL of a WebSocket is refused with the mistake", "[websocket]") {
  using test::ContainsSubstring;
  CHECK_THAT(mistake_in("http://chat.example"), ContainsSubstring("ws or wss"));
  CHECK_THAT(mistake_in("chat.example"), ContainsSubstring("port is missing"));
  CHECK_THAT(mistake_in("ws://"), ContainsSubstring("host is missing"));
  CHECK_THAT(mistake_in("ws://chat.example:0/"), ContainsSubstring("port 0"));
  CHECK_THAT(mistake_in("ws://chat.example:99999/"), ContainsSubstring("65535"));
  CHECK_THAT(mistake_in("ws://me:secret@chat.example/"), ContainsSubstring("user"));
  CHECK_THAT(mistake_in("ws://chat.example/#part"), ContainsSubstring("path"));
  CHECK_THAT(mistake_in("ws://chat.example/a b"), ContainsSubstring("path"));
  CHECK_THAT(mistake_in("ws://chat.example/a\r\nHost: other"), ContainsSubstring("path"));
  CHECK_THAT(mistake_in("ws://a\r\nb:1/"), ContainsSubstring("host"));
}
