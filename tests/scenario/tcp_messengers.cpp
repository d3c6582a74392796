#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <ilm/backends/memory.hpp>
#include <ilm/deliveries/inbox.hpp>
#include <ilm/messenger.hpp>

using namespace test::tcp;

// Whole messengers over TCP.

namespace {

using store = ilm::memory_backend<std::string>;
using inbox = ilm::inbox<std::string>;
using messenger = ilm::messenger<store, network, inbox>;

asio::awaitable<void> send_numbers(messenger& from, std::string to, int count) {
  for (int i = 0; i < count; ++i) co_await from.send_to(to, std::to_string(i));
}

asio::awaitable<void> consume_numbers(inbox from, int count, int& consumed, bool& ordered) {
  while (consumed < count) {
    ilm::message<std::string> m = co_await from.receive();
    if (m.text() != std::to_string(consumed)) ordered = false;
    ++consumed;
  }
  co_await from.consume();
}

}  // namespace

TEST_CASE("messengers over TCP deliver once and in order whatever happens to connections",
          "[tcp]") {
  constexpr int count = 3000;
  loop l;
  network net_a(l.context, "a", quick()), net_b(l.context, "b", quick());
  net_a.listen("127.0.0.1:0");
  net_b.listen("127.0.0.1:0");
  proxy to_a(l, "127.0.0.1:" + std::to_string(net_a.port()));
  proxy to_b(l, "127.0.0.1:" + std::to_string(net_b.port()));
  net_a.add_peer("b", to_b.address());
  net_b.add_peer("a", to_a.address());
  inbox box_a, box_b;
  messenger a(l.context, store(), std::move(net_a), box_a);
  messenger b(l.context, store(), std::move(net_b), box_b);
  int taken_a = 0, taken_b = 0;
  bool ordered = true;
  asio::co_spawn(l.context, send_numbers(a, "b", count), asio::detached);
  asio::co_spawn(l.context, send_numbers(b, "a", count), asio::detached);
  asio::co_spawn(l.context, consume_numbers(box_a, count, taken_a, ordered), asio::detached);
  asio::co_spawn(l.context, consume_numbers(box_b, count, taken_b, ordered), asio::detached);
  int cuts = 0;
  CHECK(l.until([&] {
    if (taken_a + taken_b > cuts * 200) {
      ++cuts;
      cuts % 3 == 0 ? to_a.cut() : to_b.cut();
      if (cuts % 5 == 0) to_a.cut();
    }
    return taken_a == count && taken_b == count;
  }));
  CHECK(ordered);
  CHECK(taken_a == count);
  CHECK(taken_b == count);
}

TEST_CASE("a slow application stops the messenger at the other end of TCP, and nothing is lost",
          "[tcp]") {
  loop l;
  ilm::options small;
  small.maximum_message_size = 64 << 10;
  small.credit_bytes = small.window_bytes = 256 << 10;
  network net_a(l.context, "a", quick()), net_b(l.context, "b", quick());
  net_b.listen("127.0.0.1:0");
  net_a.add_peer("b", "127.0.0.1:" + std::to_string(net_b.port()));
  inbox box_a, box_b;
  messenger a(l.context, store(), std::move(net_a), box_a, small);
  messenger b(l.context, store(), std::move(net_b), box_b, small);
  constexpr int count = 500;
  asio::co_spawn(l.context, send_numbers(a, "b", count), asio::detached);
  l.run_for(100ms);
  int consumed = 0;
  bool ordered = true;
  asio::co_spawn(l.context, consume_numbers(box_b, count, consumed, ordered), asio::detached);
  CHECK(l.until([&] { return consumed == count; }));
  CHECK(ordered);
}

TEST_CASE("a refusal over TCP is an event of the messenger on both sides", "[tcp]") {
  loop l;
  options larger = quick();
  larger.maximum_frame_size = 2 << 20;
  network net_a(l.context, "a", quick()), net_b(l.context, "b", larger);
  net_a.listen("127.0.0.1:0");
  net_b.add_peer("a", "127.0.0.1:" + std::to_string(net_a.port()));
  messenger a(l.context, store(), std::move(net_a), inbox());
  messenger b(l.context, store(), std::move(net_b), inbox());
  std::error_code seen_by_a, seen_by_b;
  a.next_event([&](std::error_code, ilm::event<std::string> e) { seen_by_a = e.error; });
  b.next_event([&](std::error_code, ilm::event<std::string> e) { seen_by_b = e.error; });
  CHECK(l.until([&] { return seen_by_a && seen_by_b; }));
  CHECK(seen_by_a == ilm::tcp_error::frame_size_mismatch);
  CHECK(seen_by_b == ilm::tcp_error::frame_size_mismatch);
}

TEST_CASE("messengers over TCP are destroyed and made anew on one port", "[tcp]") {
  loop l;
  store disk_a, disk_b;
  network net_b(l.context, "b", quick());
  net_b.listen("127.0.0.1:0");
  auto control = net_b.control();
  inbox box_b;
  messenger b(l.context, disk_b, std::move(net_b), box_b);
  std::string address = "127.0.0.1:0";
  int consumed = 0;
  bool ordered = true;
  asio::co_spawn(l.context, consume_numbers(box_b, 100, consumed, ordered), asio::detached);
  int sent = 0;
  for (int round = 0; round < 10; ++round) {
    network net_a(l.context, "a", quick());
    REQUIRE(l.until([&] {
      // The predecessor leaves the port as soon as the context has run.
      try {
        net_a.listen(address);
      } catch (const std::system_error&) {
        return false;
      }
      return true;
    }));
    address = "127.0.0.1:" + std::to_string(net_a.port());
    control.add_peer("a", address);
    messenger a(l.context, disk_a, std::move(net_a), inbox());
    int stored = 0;
    for (int i = 0; i < 10; ++i) {
      std::string text = std::to_string(sent + i);
      a.send_to("b", text, [&](std::error_code e, std::uint64_t) { stored += e ? 0 : 1; });
    }
    REQUIRE(l.until([&] { return stored == 10 && consumed > sent; }));
    sent += 10;
  }
  network net_a(l.context, "a", quick());
  net_a.add_peer("b", "127.0.0.1:" + std::to_string(control.port()));
  messenger a(l.context, disk_a, std::move(net_a), inbox());
  CHECK(l.until([&] { return consumed == 100; }));
  CHECK(ordered);
}
