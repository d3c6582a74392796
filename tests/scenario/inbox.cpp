#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/deliveries/inbox.hpp>

#include <algorithm>
#include <functional>
#include <vector>

using namespace test;

// A reader that co_awaits an inbox instead of a handler that is called.

namespace {

using inbox = ilm::inbox<std::string>;
using reading_messenger = ilm::messenger<backend, network, inbox>;

struct reader {
  reader(world& w, const std::string& name, const store& disk)
      : node(std::make_unique<reading_messenger>(w.context, backend(disk), w.net.join(name),
                                                 incoming)) {}

  inbox incoming;
  std::unique_ptr<reading_messenger> node;
};

asio::awaitable<void> read(inbox from, std::size_t count, std::vector<std::string>& into) {
  while (count-- > 0) {
    message m = co_await from.receive();
    into.emplace_back(m.text());
  }
}

}  // namespace

TEST_CASE("a message counts as consumed when a reader of the inbox has it") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", numbered(10));
  w.run_for(10s);
  CHECK(a.disk().size(ilm::queue::outbox) == 10);
  std::vector<std::string> texts;
  w.run(read(b.incoming, 4, texts));
  w.run_for(1s);
  CHECK(a.disk().size(ilm::queue::outbox) == 6);
  w.run(read(b.incoming, 6, texts));
  CHECK(texts == numbered(10));
  w.run_for(1s);
  CHECK(empty(a));
}

TEST_CASE("an inbox that is closed loses nothing: the next messenger delivers it",
          "[predecessor]") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  std::vector<std::string> texts;
  {
    reader b(w, "b", disk);
    store_all(w, a, "b", numbered(10));
    w.run(read(b.incoming, 3, texts));
    w.run_for(100ms);
    b.incoming.close();
    w.run_for(10s);
    CHECK(disk.size(ilm::queue::inbox) == 7);
    CHECK_THROWS_AS(w.run(read(b.incoming, 1, texts)), std::system_error);
  }
  w.run_for(10ms);
  reader again(w, "b", disk);
  w.run(read(again.incoming, 7, texts));
  CHECK(texts == numbered(10));
}

TEST_CASE("a shutdown does not wait for a reader") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", numbered(5));
  w.run_for(1s);
  auto before = clock::now();
  std::optional<report> left;
  b.node->shutdown(1h, [&](std::error_code, report r) { left = std::move(r); });
  REQUIRE(w.until([&] { return left.has_value(); }, 2h));
  CHECK(clock::now() - before < 1s);
  CHECK(left->unread == 5);
  CHECK(disk.size(ilm::queue::inbox) == 5);
}

TEST_CASE("a delivery that a shutdown cancels is not reported as failed") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return disk.size(ilm::queue::inbox) == 1; }));
  w.run_for(1s);
  std::vector<ilm::event_kind> kinds;
  bool ended = false;
  std::function<void()> read_events = [&] {
    b.node->next_event([&](std::error_code failed, const event& e) {
      if (failed) {
        ended = true;
        return;
      }
      kinds.push_back(e.kind);
      read_events();
    });
  };
  read_events();
  b.node->shutdown(1s, [](std::error_code, const report&) {});
  REQUIRE(w.until([&] { return ended; }));
  CHECK_FALSE(kinds.empty());
  CHECK(std::count(kinds.begin(), kinds.end(), ilm::event_kind::delivery_failed) == 0);
}

TEST_CASE("several readers share an inbox, each message to one of them") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  std::vector<std::string> texts;
  int ended = 0;
  for (int i = 0; i < 5; ++i) {
    asio::co_spawn(w.context, read(b.incoming, 20, texts), [&](std::exception_ptr) { ++ended; });
  }
  store_all(w, a, "b", numbered(100));
  REQUIRE(w.until([&] { return ended == 5; }));
  CHECK(texts.size() == 100);
  std::sort(texts.begin(), texts.end());
  CHECK(std::adjacent_find(texts.begin(), texts.end()) == texts.end());
  w.run_for(1s);
  CHECK(empty(a));
}
