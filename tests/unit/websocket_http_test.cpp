#include "support/catch.hpp"

#include <ilm/networks/websocket/close_code.hpp>
#include <ilm/networks/websocket/http.hpp>

#include <optional>
#include <string>
#include <system_error>

using namespace ilm::detail::websocket;

namespace {

std::optional<http_head> read(const std::string& fields) {
  return http_head::parse("GET /x HTTP/1.1\r\n" + fields + "\r\n");
}

}  // namespace

TEST_CASE("the head of a request has three words and its fields, in any case of letters",
          "[websocket]") {
  auto head =
      read("Host: a.example\r\nUPGRADE:\tWebSocket \r\nConnection: keep-alive, Upgrade\r\n");
  REQUIRE(head);
  CHECK(head->first_line() == std::array<std::string, 3>{"GET", "/x", "HTTP/1.1"});
  CHECK(head->find("host") == "a.example");
  CHECK(head->lists("upgrade", "websocket"));
  CHECK(head->lists("connection", "upgrade"));
  CHECK(head->lists("connection", "keep-alive"));
  CHECK_FALSE(head->lists("connection", "keep"));
  CHECK_FALSE(head->find("origin"));
}

TEST_CASE("a list may stand in several fields, and a value that must be one only in one",
          "[websocket]") {
  auto head = read("Connection: a\r\nConnection: upgrade\r\nHost: a\r\nHost: b\r\n");
  REQUIRE(head);
  CHECK(head->lists("connection", "upgrade"));
  CHECK(head->has("host"));
  CHECK_FALSE(head->find("host"));
}

TEST_CASE("an answer's reason may have several words or none", "[websocket]") {
  auto head = http_head::parse("HTTP/1.1 404 Not Found\r\n\r\n");
  REQUIRE(head);
  CHECK(head->first_line()[1] == "404");
  CHECK(head->first_line()[2] == "Not Found");
  head = http_head::parse("HTTP/1.1 101\r\n\r\n");
  REQUIRE(head);
  CHECK(head->first_line()[1] == "101");
  CHECK(head->first_line()[2].empty());
}

TEST_CASE("a malformed head is none", "[websocket]") {
  CHECK_FALSE(http_head::parse("GET\r\n\r\n"));
  CHECK_FALSE(http_head::parse("G\x01T / HTTP/1.1\r\n\r\n"));
  CHECK_FALSE(read("no colon\r\n"));
  CHECK_FALSE(read(": no name\r\n"));
  CHECK_FALSE(read("space before : colon\r\n"));
  CHECK_FALSE(read("Folded: a\r\n line: x\r\n"));
  CHECK_FALSE(read(std::string("A: \0\r\n", 6)));
  std::string many;
  for (std::size_t i = 0; i < maximum_http_fields; ++i) many += "A: b\r\n";
  CHECK(read(many));
  CHECK_FALSE(read(many + "A: b\r\n"));
}

TEST_CASE("a head ends with an empty line", "[websocket]") {
  CHECK_FALSE(end_of_head("GET / HTTP/1.1\r\nA: b\r\n"));
  CHECK(end_of_head("GET / HTTP/1.1\r\n\r\nmore") == 18U);
}

TEST_CASE("a close code tells the reason", "[websocket]") {
  using ilm::tcp_error;
  using ilm::websocket_error;
  CHECK(close_code_of({}) == close_code::normal);
  CHECK(close_code_of(tcp_error::refused) == static_cast<close_code>(4001));
  CHECK(close_code_of(tcp_error::name_in_use) == static_cast<close_code>(4015));
  CHECK(close_code_of(tcp_error::frame_altered) == static_cast<close_code>(4024));
  CHECK(close_code_of(tcp_error::frame_too_large) == close_code::message_too_large);
  CHECK(close_code_of(websocket_error::text_message) == close_code::unsupported_data);
  CHECK(close_code_of(websocket_error::message_too_large) == close_code::message_too_large);
  CHECK(close_code_of(websocket_error::protocol_violation) == close_code::protocol_error);
  CHECK(close_code_of(std::make_error_code(std::errc::not_enough_memory)) ==
        close_code::internal_error);
}

TEST_CASE("a close code of an error is told from that of a side that only leaves", "[websocket]") {
  for (int code : {1000, 1001, 1005, 4000, 4015, 4024, 4999}) {
    CHECK_FALSE(is_error(static_cast<close_code>(code)));
  }
  for (int code : {1002, 1003, 1007, 1009, 1011, 3000}) {
    CHECK(is_error(static_cast<close_code>(code)));
  }
}

TEST_CASE("codes that no close frame may have are invalid", "[websocket]") {
  for (int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535}) {
    CHECK_FALSE(is_valid(static_cast<close_code>(code)));
  }
  for (int code : {1000, 1003, 1007, 1014, 3000, 4999}) {
    CHECK(is_valid(static_cast<close_code>(code)));
  }
}

TEST_CASE("every error of WebSocket has a text that says what to do", "[websocket]") {
  for (int value = 1; value <= 11; ++value) {
    std::string text = ilm::websocket_category().message(value);
    CHECK(text.find("; ") != std::string::npos);
    CHECK(text.find("unknown") == std::string::npos);
  }
  CHECK(ilm::websocket_category().message(0).starts_with("unknown"));
  CHECK(ilm::websocket_category().message(12).starts_with("unknown"));
  CHECK(make_error_code(ilm::websocket_error::origin_not_allowed) == std::errc::permission_denied);
}
