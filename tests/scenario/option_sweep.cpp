#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <ilm/protocol/bounds.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if defined(__linux__) && __SIZEOF_SIZE_T__ == 8
#include <sys/mman.h>
#endif

using namespace test;

// Each option at the ends of its type: the messenger says what is wrong with it, or works.

namespace {

struct setting {
  std::string name;
  std::string value;
  std::function<void(ilm::options&)> apply;
};

template <class T>
void add(std::vector<setting>& all, const char* name, T ilm::options::*field,
         const std::vector<T>& values) {
  for (T value : values) {
    std::string text;
    if constexpr (std::integral<T>) {
      text = std::to_string(value);
    } else {
      text = std::to_string(value.count());
    }
    all.push_back({name, text, [=](ilm::options& o) { o.*field = value; }});
  }
}

std::vector<setting> ends_of_all_options() {
  using o = ilm::options;
  std::vector<setting> all;
  constexpr auto largest = std::numeric_limits<std::size_t>::max();
  const std::vector<std::size_t> sizes = {0, 1, largest - 1, largest};
  add(all, "maximum_message_size", &o::maximum_message_size, sizes);
  add(all, "window_messages", &o::window_messages, sizes);
  add(all, "window_bytes", &o::window_bytes, sizes);
  add(all, "credit_messages", &o::credit_messages, sizes);
  add(all, "credit_bytes", &o::credit_bytes, sizes);
  add(all, "uncommitted_messages", &o::uncommitted_messages, sizes);
  add(all, "uncommitted_bytes", &o::uncommitted_bytes, sizes);
  add(all, "memory_limit", &o::memory_limit, sizes);
  add(all, "frame_fill", &o::frame_fill, sizes);
  add(all, "page_messages", &o::page_messages, sizes);
  add(all, "page_bytes", &o::page_bytes, sizes);
  add(all, "event_limit", &o::event_limit, sizes);
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  add<std::uint64_t>(all, "outbox_limit", &o::outbox_limit, {0, 1, most - 1, most});
  constexpr auto longest = std::chrono::nanoseconds::max();
  const std::vector<std::chrono::nanoseconds> times = {0ns, 1ns, longest - 1ns, longest};
  add(all, "initial_timeout", &o::initial_timeout, times);
  add(all, "minimum_timeout", &o::minimum_timeout, times);
  add(all, "maximum_timeout", &o::maximum_timeout, times);
  add(all, "keepalive_interval", &o::keepalive_interval, times);
  add(all, "keepalive_timeout", &o::keepalive_timeout, times);
  add(all, "cursor_commit_delay", &o::cursor_commit_delay, times);
  add(all, "minimum_redelivery_delay", &o::minimum_redelivery_delay, times);
  add(all, "maximum_redelivery_delay", &o::maximum_redelivery_delay, times);
  add(all, "minimum_store_retry", &o::minimum_store_retry, times);
  add(all, "maximum_store_retry", &o::maximum_store_retry, times);
  return all;
}

/// The text with which a messenger refuses the options; empty if a pair with them delivers, with
/// some frames lost, and shuts down.
std::string try_out(const ilm::options& o) {
  world w;
  ilm::faults lossy;
  lossy.loss = 0.05;
  w.net.set_faults(lossy);
  peer a = w.make("a"), b = w.make("b");
  try {
    a.start(o);
    b.start(o);
  } catch (const std::system_error& e) {
    CHECK(e.code() == ilm::error::invalid_options);
    return e.what();
  }
  std::size_t wanted = 0;
  for (int i = 0; i < 20; ++i) {
    std::shared_ptr<sent> s = a.send("b", "x");
    REQUIRE(w.until([&] { return s->done; }));
    if (s->error) {
      CHECK(s->error == ilm::error::outbox_full);
      w.run_for(1min);
    } else {
      ++wanted;
    }
  }
  CHECK(wanted > 0);
  CHECK(w.until([&] { return b.app().consumed.size() == wanted; }, 1h));
  w.run(a.shutdown(std::chrono::nanoseconds::max()), 24h);
  return {};
}

void check(const std::string& name, const std::string& value, const ilm::options& o) {
  INFO(name << " = " << value);
  std::string refused = try_out(o);
  if (!refused.empty()) CHECK_THAT(refused, ContainsSubstring(name));
}

}  // namespace

TEST_CASE("each option at the ends of its type is refused by name, or a pair delivers with it") {
  for (const setting& s : ends_of_all_options()) {
    ilm::options o;
    s.apply(o);
    check(s.name, s.value, o);
  }
}

TEST_CASE("pairs of times at the end of their type are right to the last") {
  constexpr auto longest = std::chrono::nanoseconds::max();
  for (std::chrono::nanoseconds time : {longest - 1ns, longest, longest / 2, longest / 2 + 1ns}) {
    ilm::options o;
    o.maximum_timeout = time;
    check("maximum_timeout", std::to_string(time.count()), o);
    o = {};
    o.minimum_redelivery_delay = o.maximum_redelivery_delay = time;
    check("redelivery", std::to_string(time.count()), o);
    o = {};
    o.minimum_store_retry = o.maximum_store_retry = time;
    check("store_retry", std::to_string(time.count()), o);
    o = {};
    o.keepalive_timeout = time;
    check("keepalive_timeout", std::to_string(time.count()), o);
    o = {};
    o.keepalive_timeout = longest;
    o.keepalive_interval = time;
    check("keepalive", std::to_string(time.count()), o);
  }
}

TEST_CASE("messages beyond what a frame carries are refused where the options are") {
  ilm::options o;
  o.window_bytes = o.credit_bytes = o.uncommitted_bytes = std::size_t{1} << 31;
  o.memory_limit = 0;
  o.maximum_message_size = ilm::protocol::largest_frame;
  CHECK(try_out(o).empty());
  o.maximum_message_size = ilm::protocol::largest_frame + 1;
  CHECK_THAT(try_out(o), ContainsSubstring("maximum_message_size (1073741825 bytes)") &&
                             ContainsSubstring("1 GiB"));
}

#if defined(__linux__) && __SIZEOF_SIZE_T__ == 8
TEST_CASE("contents that no frame carries are refused before a byte of them is read") {
  world w;
  peer a = w.make("a");
  a.start();
  for (std::size_t size :
       {(std::size_t{1} << 32) - 1, std::size_t{1} << 32, std::size_t{5} << 30}) {
    // It cannot be read.
    void* pages =
        mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(pages != MAP_FAILED);
    std::error_code failed;
    bool done = false;
    (*a).send_to("b", std::string_view(static_cast<const char*>(pages), size),
                 [&](std::error_code e, std::uint64_t) {
                   failed = e;
                   done = true;
                 });
    REQUIRE(w.until([&] { return done; }));
    CHECK(failed == ilm::error::message_too_large);
    munmap(pages, size);
  }
}
#endif
