#include "support/catch.hpp"

#include <ilm/options.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace ilm;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t frame_size = 1 << 20;

std::string after_change(const std::function<void(options&)>& change) {
  options o;
  change(o);
  return validation_error(o, frame_size);
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the default options do not contradict one another") {
  CHECK(validation_error({}, frame_size).empty());
  CHECK(validation_error({}, minimum_frame_size).empty());
}

TEST_CASE("designated initialisers set some options and leave the others at their defaults") {
  // Warnings are errors here, -Wmissing-field-initializers among them: every member has a default.
  constexpr options few{.window_messages = 7, .checksum = false};
  CHECK(few.window_messages == 7);
  CHECK(few.credit_messages == options().credit_messages);
  CHECK_FALSE(few.seed);
  options last{.seed = 1};
  CHECK(last.maximum_message_size == options().maximum_message_size);
}

TEST_CASE("an error's text gives times in the largest unit that gives a whole number") {
  using detail::readable_time;
  CHECK(readable_time(0ns) == "0 s");
  CHECK(readable_time(1ns) == "1 ns");
  CHECK(readable_time(1500us) == "1500 us");
  CHECK(readable_time(-250ms) == "-250 ms");
  CHECK(readable_time(5s) == "5 s");
  CHECK(readable_time(90s) == "90 s");
  CHECK(readable_time(120s) == "2 min");
  CHECK(readable_time(48h) == "48 h");
}

TEST_CASE("an error's text gives sizes in the largest unit that gives a whole number") {
  using detail::readable_size;
  CHECK(readable_size(0) == "0 bytes");
  CHECK(readable_size(1) == "1 byte");
  CHECK(readable_size(1023) == "1023 bytes");
  CHECK(readable_size(1024) == "1 KiB");
  CHECK(readable_size(std::uint64_t{4} << 20) == "4 MiB");
  CHECK(readable_size(std::uint64_t{1} << 50) == "1024 TiB");
}

TEST_CASE("a bound of 0 is named") {
  std::vector<std::pair<const char*, std::size_t options::*>> bounds = {
      {"window_messages", &options::window_messages},
      {"credit_messages", &options::credit_messages},
      {"uncommitted_messages", &options::uncommitted_messages},
      {"page_messages", &options::page_messages},
      {"page_bytes", &options::page_bytes},
      {"frame_fill", &options::frame_fill},
      {"event_limit", &options::event_limit}};
  for (auto [name, field] : bounds) {
    std::string text = after_change([&, f = field](options& o) { o.*f = 0; });
    INFO(name);
    CHECK(says(text, name));
    CHECK(after_change([&, f = field](options& o) { o.*f = 1; }).empty());
  }
}

TEST_CASE("a byte bound that one message exceeds is named with both figures") {
  std::vector<std::pair<const char*, std::size_t options::*>> bounds = {
      {"window_bytes", &options::window_bytes},
      {"credit_bytes", &options::credit_bytes},
      {"uncommitted_bytes", &options::uncommitted_bytes}};
  for (auto [name, field] : bounds) {
    auto set = [&, f = field](std::size_t bytes) {
      return after_change([=](options& o) {
        o.maximum_message_size = 1000;
        o.*f = bytes;
      });
    };
    INFO(name);
    CHECK(says(set(999), name));
    CHECK(says(set(999), "999"));
    CHECK(says(set(999), "1000"));
    CHECK(set(1000).empty());
  }
}

TEST_CASE("a limit of memory that has no room for messages is refused, and none at all is not") {
  auto set = [](std::size_t bytes) {
    return after_change([=](options& o) {
      o.maximum_message_size = 1024;
      o.memory_limit = bytes;
    });
  };
  CHECK(set(4095) ==
        "memory_limit (4095 bytes) is less than four times maximum_message_size "
        "(1 KiB); raise it, or set it to 0 for no limit");
  CHECK(set(4096).empty());
  CHECK(set(0).empty());
}

TEST_CASE("a network with tiny frames is refused") {
  std::string text = validation_error({}, minimum_frame_size - 1);
  CHECK(says(text, "maximum_frame_size (1023 bytes)"));
  CHECK(says(text, "1 KiB"));
}

TEST_CASE("credit beyond the most that a peer accepts is refused") {
  CHECK(says(after_change([](options& o) { o.credit_messages = (1U << 30) + 1; }), "2^30"));
  CHECK(after_change([](options& o) { o.credit_messages = 1U << 30; }).empty());
}

#if SIZE_MAX > 0xffffffff
TEST_CASE("credit for more bytes than a peer accepts is refused") {
  CHECK(
      says(after_change([](options& o) { o.credit_bytes = (std::size_t{1} << 46) + 1; }), "2^46"));
  CHECK(after_change([](options& o) { o.credit_bytes = std::size_t{1} << 46; }).empty());
}
#endif

TEST_CASE("times in the wrong order are named") {
  CHECK(after_change([](options& o) { o.initial_timeout = 1ms; }) ==
        "initial_timeout (1 ms) is less than minimum_timeout (20 ms)");
  CHECK(says(after_change([](options& o) { o.initial_timeout = 1ms; }), "initial_timeout"));
  CHECK(says(after_change([](options& o) { o.maximum_timeout = 100ms; }), "maximum_timeout"));
  CHECK(says(after_change([](options& o) { o.maximum_redelivery_delay = 1ms; }), "redelivery"));
  CHECK(says(after_change([](options& o) { o.maximum_store_retry = 1ms; }), "store_retry"));
  CHECK(says(after_change([](options& o) { o.minimum_timeout = 0ms; }), "not above 0"));
  CHECK(says(after_change([](options& o) { o.minimum_redelivery_delay = -1ms; }), "not above 0"));
  CHECK(says(after_change([](options& o) { o.minimum_store_retry = 0ms; }), "not above 0"));
  CHECK(
      says(after_change([](options& o) { o.cursor_commit_delay = -1ns; }), "cursor_commit_delay"));
  CHECK(after_change([](options& o) { o.cursor_commit_delay = 0ns; }).empty());
}

TEST_CASE("a keepalive that gives live peers up is refused, and none at all is not") {
  CHECK(after_change([](options& o) { o.keepalive_timeout = 1s; }) ==
        "keepalive_timeout (1 s) is not above keepalive_interval (5 s); a live peer would be "
        "given up");
  CHECK(says(after_change([](options& o) { o.keepalive_timeout = o.keepalive_interval; }),
             "keepalive_timeout"));
  CHECK(says(after_change([](options& o) { o.keepalive_interval = -1s; }), "keepalive_interval"));
  CHECK(after_change([](options& o) {
          o.keepalive_interval = 0s;
          o.keepalive_timeout = 0s;
        }).empty());
}
