#include "support/catch.hpp"

#include <ilm/error.hpp>

#include <set>
#include <string>

using ilm::error;

namespace {

// The last value, plus one: a new one shows as a message that begins with "unknown".
constexpr int end_of_errors = static_cast<int>(error::delivery_postponed) + 1;

}  // namespace

TEST_CASE("every error has a message of its own") {
  std::set<std::string> messages;
  for (int value = 1; value < end_of_errors; ++value) {
    std::string text = ilm::error_category().message(value);
    CHECK(text.find("unknown") == std::string::npos);
    CHECK(messages.insert(text).second);
  }
  CHECK(ilm::error_category().message(end_of_errors).find("unknown") == 0);
  CHECK(ilm::error_category().message(0).find("unknown") == 0);
}

TEST_CASE("every error says what is the case and, after it, more") {
  for (int value = 1; value < end_of_errors; ++value) {
    std::string text = ilm::error_category().message(value);
    CHECK(text.find_first_of(";,") != std::string::npos);
  }
}

TEST_CASE("an error is an error code of its category") {
  std::error_code code = error::shut_down;
  CHECK(code);
  CHECK(code == error::shut_down);
  CHECK(code != error::would_block);
  CHECK(&code.category() == &ilm::error_category());
  CHECK(std::string(code.category().name()) == "ilm");
}

TEST_CASE("errors that the standard knows compare equal to its conditions") {
  CHECK(std::error_code(error::would_block) == std::errc::resource_unavailable_try_again);
  CHECK(std::error_code(error::outbox_full) == std::errc::no_buffer_space);
  CHECK(std::error_code(error::message_too_large) == std::errc::message_size);
  CHECK(std::error_code(error::invalid_options) == std::errc::invalid_argument);
  CHECK(std::error_code(error::invalid_peer_id) == std::errc::invalid_argument);
  CHECK(std::error_code(error::send_to_self) == std::errc::invalid_argument);
  CHECK(std::error_code(error::store_in_use) == std::errc::device_or_resource_busy);
  CHECK(std::error_code(error::store_corrupt) != std::errc::invalid_argument);
}
