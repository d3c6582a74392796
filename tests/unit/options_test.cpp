#include "support/catch.hpp"

#include <ilm/options.hpp>

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
  return contradiction(o, frame_size);
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the default options do not contradict one another") {
  CHECK(contradiction({}, frame_size).empty());
  CHECK(contradiction({}, minimum_frame_size).empty());
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

TEST_CASE("a network with tiny frames is refused") {
  std::string text = contradiction({}, minimum_frame_size - 1);
  CHECK(says(text, "maximum_frame_size (1023)"));
  CHECK(says(text, "1024"));
}

TEST_CASE("credit beyond what a peer believes is refused") {
  CHECK(says(after_change([](options& o) { o.credit_messages = (1U << 30) + 1; }), "2^30"));
  CHECK(
      says(after_change([](options& o) { o.credit_bytes = (std::size_t{1} << 46) + 1; }), "2^46"));
  CHECK(after_change([](options& o) { o.credit_messages = 1U << 30; }).empty());
  CHECK(after_change([](options& o) { o.credit_bytes = std::size_t{1} << 46; }).empty());
}

TEST_CASE("times in the wrong order are named") {
  CHECK(says(after_change([](options& o) { o.initial_timeout = 1ms; }), "initial timeout"));
  CHECK(says(after_change([](options& o) { o.maximum_timeout = 100ms; }), "maximum timeout"));
  CHECK(says(after_change([](options& o) { o.maximum_redelivery_delay = 1ms; }), "redelivery"));
  CHECK(says(after_change([](options& o) { o.maximum_store_retry = 1ms; }), "store retry"));
  CHECK(says(after_change([](options& o) { o.minimum_timeout = 0ms; }), "not above 0"));
  CHECK(says(after_change([](options& o) { o.minimum_redelivery_delay = -1ms; }), "not above 0"));
  CHECK(says(after_change([](options& o) { o.minimum_store_retry = 0ms; }), "not above 0"));
  CHECK(says(after_change([](options& o) { o.settle_delay = -1ns; }), "settle_delay"));
}

TEST_CASE("a keepalive that gives live peers up is refused, and none at all is not") {
  CHECK(says(after_change([](options& o) { o.keepalive_timeout = o.keepalive_interval; }),
             "keepalive_timeout"));
  CHECK(says(after_change([](options& o) { o.keepalive_interval = -1s; }), "keepalive_interval"));
  CHECK(after_change([](options& o) {
          o.keepalive_interval = 0s;
          o.keepalive_timeout = 0s;
        }).empty());
}
