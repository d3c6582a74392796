#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <functional>
#include <limits>
#include <optional>

using namespace test;

// A backend of a user's own may return anything. It is an error of the store, never more.

namespace {

using state = ilm::store_state<std::string>;
using page = std::vector<ilm::stored_message>;

/// How the results of a backend are changed; none while empty.
struct changes {
  std::function<void(state&)> opened;
  std::function<void(ilm::queue, page&)> read;
  std::error_code close_error;
  bool unlimited = false;  ///< pages are as long as the queue
  int closed = 0;
};

class changed_backend {
 public:
  static constexpr ilm::durability durable_to = store::durable_to;

  changed_backend(store inner, std::shared_ptr<changes> c)
      : inner_(std::move(inner)), changes_(std::move(c)) {}

  asio::awaitable<state> open() {
    state s = co_await inner_.open();
    if (changes_->opened) changes_->opened(s);
    co_return s;
  }
  asio::awaitable<void> commit(const ilm::batch<std::string>& b) { return inner_.commit(b); }
  asio::awaitable<page> read(ilm::queue which, const std::string& peer, std::uint64_t from,
                             ilm::page_limit limit) {
    std::size_t all = std::numeric_limits<std::size_t>::max();
    ilm::page_limit wide(all, all);
    page p = co_await inner_.read(which, peer, from, changes_->unlimited ? wide : limit);
    if (changes_->read) changes_->read(which, p);
    co_return p;
  }
  asio::awaitable<void> close() {
    std::shared_ptr<changes> c = changes_;
    ++c->closed;
    co_await inner_.close();
    if (c->close_error) throw std::system_error(c->close_error);
  }

 private:
  store inner_;
  std::shared_ptr<changes> changes_;
};

static_assert(ilm::backend<changed_backend, std::string>);

using slow_backend = ilm::testing::faulty_backend<std::string, changed_backend, test::clock>;
using messenger_of_ours = ilm::messenger<slow_backend, network, test::handler>;

/// The messenger "a" on such a backend, and its peer "b", an honest one.
struct backend_scene {
  backend_scene() : b(w.make("b")) { b.start(); }

  void start() {
    a.reset();
    w.run_for(0s);
    slow_backend parts(changed_backend(disk, how), faults);
    a = std::make_unique<messenger_of_ours>(w.context, std::move(parts), w.net.join("a"),
                                            test::handler(app));
    events.clear();
    watch();
  }
  void watch() {
    a->next_event([this](std::error_code failed, event e) {
      if (failed) return;
      events.push_back(std::move(e));
      if (a) watch();
    });
  }
  std::shared_ptr<sent> send(const std::string& text) {
    auto s = std::make_shared<sent>();
    a->send_to("b", text, [s](std::error_code failed, std::uint64_t sequence) {
      s->done = true;
      s->error = failed;
      s->sequence = sequence;
    });
    w.until([&] { return s->done; });
    return s;
  }
  const event* find(ilm::event_kind kind) const {
    for (const event& e : events) {
      if (e.kind == kind) return &e;
    }
    return nullptr;
  }

  /// A store with ten messages to b and three from b, which the application refuses.
  void fill() {
    app->check = [](const message&) { throw std::runtime_error("not now"); };
    start();
    w.run(a->connected("b"));
    b.send("a", "0");
    b.send("a", "1");
    b.send("a", "2");
    REQUIRE(w.until([&] { return disk.size(ilm::queue::inbox) == 3; }));
    w.net.disconnect("a", "b");
    for (const std::string& text : numbered(10)) REQUIRE_FALSE(send(text)->error);
  }

  /// Opening fails, and says so once, until the backend is honest.
  void refuses_to_open(std::function<void(state&)> change, std::optional<std::string> named) {
    how->opened = std::move(change);
    how->closed = 0;
    start();
    w.run_for(10s);
    const event* e = find(ilm::event_kind::store_failed);
    REQUIRE(e != nullptr);
    CHECK(e->error == ilm::error::store_corrupt);
    CHECK(e->peer == named);
    CHECK(events.size() == 1);
    CHECK(how->closed > 1);
    CHECK(send("no")->error == ilm::error::store_corrupt);
    CHECK(disk.size(ilm::queue::outbox) == 10);
    how->opened = {};
    w.run_for(3s);
    CHECK(find(ilm::event_kind::store_recovered) != nullptr);
  }

  world w;
  store disk;
  std::shared_ptr<changes> how = std::make_shared<changes>();
  std::shared_ptr<ilm::testing::store_faults> faults =
      std::make_shared<ilm::testing::store_faults>();
  std::shared_ptr<application> app = std::make_shared<application>();
  peer b;
  std::unique_ptr<messenger_of_ours> a;
  std::vector<event> events;
};

}  // namespace

TEST_CASE("a store whose cursors contradict each other is corrupt, and the event names the peer") {
  backend_scene s;
  s.fill();
  auto spoil = [&s](auto change) {
    s.refuses_to_open([change](state& found) { change(found.peers.at(0).second); }, "b");
  };
  spoil([](ilm::cursors& c) { c.history.mark = {}; });
  spoil([](ilm::cursors& c) { c.outbox.first = 0; });
  spoil([](ilm::cursors& c) { c.outbox.first = c.outbox.next + 1; });
  spoil([](ilm::cursors& c) { c.outbox.acknowledged = c.outbox.next; });
  spoil([](ilm::cursors& c) { c.inbox.first = c.inbox.next + 1; });
  spoil([](ilm::cursors& c) { c.inbox.start = c.inbox.next + 1; });
  spoil([](ilm::cursors& c) { c.inbox.offset = 0 - c.inbox.start; });

  s.app->check = {};
  s.w.net.connect("a", "b");
  REQUIRE(s.w.until([&] { return empty(s.b) && s.disk.size(ilm::queue::outbox) == 0; }));
  CHECK(s.b.app().texts() == numbered(10));
  CHECK(s.app->texts() == numbered(3));
}

TEST_CASE("a store that names a peer twice is corrupt") {
  backend_scene s;
  s.fill();
  s.refuses_to_open([](state& found) { found.peers.push_back(found.peers.front()); }, "b");
}

TEST_CASE("a store that is new and has peers is corrupt") {
  backend_scene s;
  s.fill();
  s.refuses_to_open([](state& found) { found.local = {}; }, std::nullopt);
}

TEST_CASE("a shutdown while a store is corrupt ends with that error") {
  backend_scene s;
  s.fill();
  s.how->opened = [](state& found) { found.peers.push_back(found.peers.front()); };
  s.start();
  s.w.run_for(1s);
  std::optional<std::error_code> ended;
  s.a->shutdown(10s, [&](std::error_code failed, const report&) { ended = failed; });
  REQUIRE(s.w.until([&] { return ended.has_value(); }));
  CHECK(*ended == ilm::error::store_corrupt);
}

TEST_CASE("a page whose messages have wrong numbers is neither sent nor delivered") {
  backend_scene s;
  s.fill();
  s.app->check = {};
  SECTION("from its first message on") {
    s.how->read = [](ilm::queue, page& p) {
      for (ilm::stored_message& m : p) m.sequence += 5;
    };
  }
  SECTION("from another message on than the one asked for") {
    s.how->read = [](ilm::queue, page& p) {
      if (!p.empty()) p.erase(p.begin());
    };
  }
  s.start();
  s.w.net.connect("a", "b");
  s.w.run_for(10s);
  CHECK(s.b.app().consumed.empty());
  CHECK(s.app->consumed.empty());
  bool out = false, in = false;
  for (const event& e : s.events) {
    if (e.kind != ilm::event_kind::store_failed) continue;
    CHECK(e.error == ilm::error::store_corrupt);
    out = out || e.outbound == ilm::sequence_range{1, 1};
    in = in || e.inbound == ilm::sequence_range{1, 1};
  }
  CHECK(out);
  CHECK(in);
  s.how->read = {};
  REQUIRE(s.w.until([&] { return empty(s.b) && s.disk.size(ilm::queue::outbox) == 0; }));
  CHECK(s.b.app().texts() == numbered(10));
  CHECK(s.app->texts() == numbered(3));
  CHECK(s.app->consumed.front().sequence == 1);
}

TEST_CASE("a page with more messages than were asked for is cut, and none comes twice") {
  backend_scene s;
  s.fill();
  s.app->check = {};
  s.how->unlimited = true;
  s.faults->read_time = 1s;
  s.start();
  s.w.net.connect("a", "b");
  // These are in memory when the page comes, and in the page.
  REQUIRE(s.w.until([&] { return s.a->connected_peers().size() == 1; }));
  REQUIRE(all_stored(store_all(s.w, s.b, "a", {"3", "4", "5"})));
  REQUIRE(s.w.until([&] { return empty(s.b) && s.app->consumed.size() == 6; }));
  CHECK(s.app->texts() == numbered(6));
  CHECK(s.b.app().texts() == numbered(10));
}

TEST_CASE("a shutdown whose store fails to close says so, with its counts") {
  backend_scene s;
  s.fill();
  s.how->close_error = std::make_error_code(std::errc::no_space_on_device);
  std::optional<std::error_code> first, again;
  std::optional<report> counts;
  s.a->shutdown(0s, [&](std::error_code failed, report r) {
    first = failed;
    counts = std::move(r);
  });
  REQUIRE(s.w.until([&] { return first.has_value(); }));
  CHECK(*first == s.how->close_error);
  CHECK(counts->undelivered == 10);
  CHECK(counts->unread == 3);
  s.a->shutdown(0s, [&](std::error_code failed, const report&) { again = failed; });
  s.w.run_for(0s);
  CHECK(again == first);
  REQUIRE(s.find(ilm::event_kind::store_failed) != nullptr);
  CHECK(s.find(ilm::event_kind::store_failed)->error == s.how->close_error);
}
