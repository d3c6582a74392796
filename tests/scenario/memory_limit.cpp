#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <ilm/protocol/memory_use.hpp>

#include <asio/redirect_error.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace test;

// options::memory_limit, over all peers: a hub, and any number of peers that know the hub alone.

namespace {

using network_event = ilm::network_event<std::string>;

/// The places of all, and the faults of the frames between them.
struct star {
  struct place {
    explicit place(asio::any_io_executor e) : arrived(std::move(e), 10'000h) {}
    std::deque<network_event> waiting;
    ilm::testing::simulated_timer arrived;
  };

  void put(const std::string& to, network_event e) {
    auto at = places.find(to);
    if (at == places.end()) return;
    std::deque<network_event>& queue = at->second->waiting;
    bool overtakes = e.kind == network_event::type::frame && !queue.empty() &&
                     queue.back().kind == network_event::type::frame && draw(reordering);
    queue.insert(overtakes ? queue.end() - 1 : queue.end(), std::move(e));
    at->second->arrived.cancel();
  }
  bool draw(double chance) { return std::uniform_real_distribution<double>(0, 1)(random) < chance; }

  std::map<std::string, std::shared_ptr<place>> places;
  std::set<std::string> mute;  ///< their frames are lost
  double loss = 0;
  double reordering = 0;
  std::mt19937 random{1};
};

template <bool Reliable>
class star_network {
 public:
  static constexpr bool reliable = Reliable;
  using clock_type = test::clock;

  star_network(std::shared_ptr<star> s, asio::any_io_executor e, std::string id)
      : star_(std::move(s)),
        place_(std::make_shared<star::place>(std::move(e))),
        id_(std::move(id)) {
    star_->places[id_] = place_;
    if (id_ == "hub") return;
    star_->put("hub", network_event::up(id_));
    star_->put(id_, network_event::up("hub"));
  }

  std::string local_id() const { return id_; }
  std::size_t maximum_frame_size() const { return 1 << 16; }

  asio::awaitable<void> send(std::string to, std::vector<std::byte> frame) {
    if (star_->mute.count(id_) == 0 && !star_->draw(star_->loss)) {
      star_->put(to, network_event::frame(id_, std::move(frame)));
    }
    co_return;
  }
  asio::awaitable<network_event> receive() {
    std::shared_ptr<star::place> p = place_;
    while (p->waiting.empty()) {
      std::error_code woken;
      co_await p->arrived.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) {
        throw std::system_error(asio::error::operation_aborted);
      }
    }
    network_event e = std::move(p->waiting.front());
    p->waiting.pop_front();
    co_return e;
  }

 private:
  std::shared_ptr<star> star_;
  std::shared_ptr<star::place> place_;
  std::string id_;
};

/// An application that takes no message as long as it is held.
struct consumer {
  bool held = false;
  std::map<std::string, std::uint64_t> next;  ///< the text of the next message of each
  std::uint64_t consumed = 0;
  std::uint64_t wrong = 0;

  void take(const std::string& own, const message& m) {
    std::uint64_t number = std::stoull(std::string(m.text()));
    if (number != next[own + " from " + m.from]++) ++wrong;
    ++consumed;
  }
};

class held_handler {
 public:
  held_handler(std::shared_ptr<consumer> c, std::string own)
      : consumer_(std::move(c)), own_(std::move(own)) {}
  asio::awaitable<void> operator()(message m) {
    std::shared_ptr<consumer> c = consumer_;
    std::string own = own_;
    while (c->held) co_await test::sleep_for(1s);
    c->take(own, m);
  }

 private:
  std::shared_ptr<consumer> consumer_;
  std::string own_;
};

template <bool Reliable>
class crowd {
 public:
  using messenger_type = ilm::messenger<backend, star_network<Reliable>, held_handler>;

  crowd(std::size_t count, const ilm::options& of_hub, const ilm::options& of_others) {
    hub = make("hub", hub_app, faults, of_hub);
    for (std::size_t i = 0; i < count; ++i) {
      names.push_back("peer" + std::to_string(i));
      others.push_back(make(names.back(), app, nullptr, of_others));
    }
    w.run_for(100ms);
    REQUIRE(connected() == count);
  }

  std::size_t connected() const {
    std::size_t count = 0;
    for (const auto& p : hub->statistics().peers) count += p.connected ? 1 : 0;
    return count;
  }

  /// Messages "0", "1", ... filled up with blanks.
  void send(messenger_type& from, const std::string& to, std::size_t count, std::size_t size) {
    for (std::size_t i = 0; i < count; ++i) {
      std::string text = std::to_string(i);
      text.resize(size, ' ');
      from.send_to(to, text, [this](std::error_code e, std::uint64_t) { e ? ++failed : ++sent; });
    }
  }

  /// Runs, and gives the most that the hub held at any time.
  template <class Predicate>
  std::uint64_t most_held_until(Predicate done, std::chrono::nanoseconds limit) {
    std::uint64_t most = 0;
    for (std::chrono::nanoseconds t{}; t < limit && !done(); t += 10ms) {
      w.run_for(10ms);
      most = std::max(most, hub->statistics().held_bytes);
    }
    CHECK(done());
    return most;
  }

  world w;
  std::shared_ptr<star> net = std::make_shared<star>();
  std::shared_ptr<ilm::testing::store_faults> faults =
      std::make_shared<ilm::testing::store_faults>();
  std::shared_ptr<consumer> hub_app = std::make_shared<consumer>();
  std::shared_ptr<consumer> app = std::make_shared<consumer>();
  std::vector<std::string> names;
  std::unique_ptr<messenger_type> hub;
  std::vector<std::unique_ptr<messenger_type>> others;
  std::uint64_t sent = 0;
  std::uint64_t failed = 0;

 private:
  std::unique_ptr<messenger_type> make(const std::string& name, std::shared_ptr<consumer> c,
                                       std::shared_ptr<ilm::testing::store_faults> f,
                                       const ilm::options& o) {
    if (!f) f = std::make_shared<ilm::testing::store_faults>();
    return std::make_unique<messenger_type>(
        w.context, backend(store(), f), star_network<Reliable>(net, w.context.get_executor(), name),
        held_handler(std::move(c), name), o);
  }
};

constexpr std::size_t limit = 4 << 20;
constexpr std::size_t size = 1000;

ilm::options limited() {
  ilm::options o;
  o.maximum_message_size = 32 << 10;
  o.credit_bytes = 40'000;
  o.memory_limit = limit;
  o.keepalive_interval = 1min;
  o.keepalive_timeout = 1h;
  return o;
}
ilm::options usual() {
  ilm::options o;
  o.keepalive_interval = 1min;
  o.keepalive_timeout = 1h;
  return o;
}

/// The bytes of messages that must stay in memory: one of each peer, and pages under way.
std::size_t slack(std::size_t peers) { return 2 * peers * ilm::protocol::held_size(size); }

}  // namespace

TEST_CASE("1,000 peers fill their credit within the limit, and all comes in order, once",
          "[volume]") {
  constexpr std::size_t peers = 1000, count = 40;
  crowd<true> c(peers, limited(), usual());
  c.hub_app->held = true;
  for (std::size_t i = 0; i < peers; ++i) c.send(*c.others[i], "hub", 2 * count, size);
  auto full = [&] {
    std::uint64_t depth = 0;
    for (const auto& p : c.hub->statistics().peers) depth += p.inbox_depth;
    return depth == peers * count;
  };
  std::uint64_t most = c.most_held_until(full, 1min);
  // Their messages take 46 MB.
  CHECK(most <= limit + slack(peers));
  CHECK(c.hub->statistics().held_bytes > limit / 2);
  c.hub_app->held = false;
  auto done = [&] { return c.hub_app->consumed == peers * 2 * count; };
  CHECK(c.most_held_until(done, 10min) <= limit + slack(peers));
  CHECK(c.hub_app->wrong == 0);
  for (const auto& p : c.hub->statistics().peers) {
    if (p.frames_rejected != 0) FAIL("a frame was rejected");
  }
  CHECK(c.failed == 0);
}

TEST_CASE("windows of 1,000 peers that do not answer stay within the limit, and all arrives once",
          "[volume]") {
  constexpr std::size_t peers = 1000, count = 60;
  ilm::options o = limited();
  o.uncommitted_messages = 100'000;
  o.uncommitted_bytes = 100 << 20;
  crowd<false> c(peers, o, usual());
  c.net->mute.insert(c.names.begin(), c.names.end());
  for (const std::string& name : c.names) c.send(*c.hub, name, count, size);
  auto full = [&] {
    std::uint64_t flight = 0;
    for (const auto& p : c.hub->statistics().peers) flight += p.in_flight;
    return flight == peers * count;
  };
  std::uint64_t most = c.most_held_until(full, 1min);
  // The contents take 60 MB; a record of each message in flight stays.
  std::size_t records = peers * count * ilm::protocol::message_overhead;
  CHECK(most <= limit + records + slack(peers));
  c.net->mute.clear();
  auto done = [&] { return c.app->consumed == peers * count; };
  CHECK(c.most_held_until(done, 10min) <= limit + records + slack(peers));
  CHECK(c.app->wrong == 0);
  c.w.run_for(1min);
  CHECK(c.app->consumed == peers * count);
  std::uint64_t left = 0;
  for (const auto& p : c.hub->statistics().peers) left += p.outbox_depth;
  CHECK(left == 0);
  CHECK(c.hub->statistics().held_bytes == 0);
}

TEST_CASE("with frames lost and overtaken, a tiny limit changes nothing but the memory") {
  constexpr std::size_t peers = 30, count = 200;
  ilm::options tiny = limited();
  tiny.maximum_message_size = 2000;
  tiny.memory_limit = 20'000;
  tiny.page_messages = 4;
  crowd<false> c(peers, tiny, usual());
  c.net->loss = 0.05;
  c.net->reordering = 0.2;
  c.hub_app->held = c.app->held = true;
  for (std::size_t i = 0; i < peers; ++i) {
    c.send(*c.others[i], "hub", count, size);
    c.send(*c.hub, c.names[i], count, size);
  }
  std::size_t records = peers * count * ilm::protocol::message_overhead;
  c.w.run_for(10s);
  c.hub_app->held = c.app->held = false;
  auto done = [&] {
    return c.hub_app->consumed == peers * count && c.app->consumed == peers * count;
  };
  CHECK(c.most_held_until(done, 1h) <= 20'000 + records + 2 * slack(peers));
  CHECK(c.hub_app->wrong == 0);
  CHECK(c.app->wrong == 0);
  CHECK(c.faults->messages_read > 0);
}

TEST_CASE("messages that a limit has leave memory are read again from the store") {
  constexpr std::size_t peers = 4, count = 40;
  ilm::options tiny = limited();
  tiny.maximum_message_size = 2000;
  tiny.memory_limit = 20'000;
  crowd<true> c(peers, tiny, usual());
  c.hub_app->held = true;
  for (std::size_t i = 0; i < peers; ++i) c.send(*c.others[i], "hub", count, size);
  c.w.run_for(10s);
  c.hub_app->held = false;
  c.most_held_until([&] { return c.hub_app->consumed == peers * count; }, 1h);
  CHECK(c.faults->messages_read >= peers * (count - 1) - tiny.memory_limit / size);
}

TEST_CASE("while a commit takes its time, no more is read than a quarter of the limit") {
  constexpr std::size_t peers = 100, count = 40;
  crowd<true> c(peers, limited(), usual());
  std::size_t share = limit / 4 + (1 << 16) + count * ilm::protocol::message_overhead;
  for (std::size_t round = 0; round < 3; ++round) {
    c.faults->commit_time = 900ms;
    for (std::size_t i = 0; i < peers; ++i) c.send(*c.others[i], "hub", count, size);
    c.hub_app->next.clear();
    std::uint64_t before = c.hub_app->consumed;
    auto done = [&] { return c.hub_app->consumed == before + peers * count; };
    c.hub_app->held = true;
    c.w.run_for(850ms);
    // Of 4.6 MB.
    CHECK(c.hub->statistics().held_bytes <= share);
    CHECK(c.hub->statistics().held_bytes >= limit / 4);
    c.hub_app->held = false;
    c.most_held_until(done, 1h);
  }
  CHECK(c.hub_app->wrong == 0);
  CHECK(c.connected() == peers);
  for (const auto& p : c.hub->statistics().peers) CHECK(p.duplicates_dropped == 0);
}

TEST_CASE("the network is read again as soon as a commit has made room, and not before") {
  constexpr std::size_t peers = 100, count = 40;
  crowd<true> c(peers, limited(), usual());
  // A message that is read without room ends the session.
  std::size_t ended = 0;
  c.hub->on_event([&](const ilm::event<std::string>& e) {
    if (e.kind == ilm::event_kind::peer_disconnected) ++ended;
  });
  c.faults->commit_time = 50ms;
  for (std::size_t i = 0; i < peers; ++i) c.send(*c.others[i], "hub", count, size);
  // It takes five commits, and as many pauses.
  c.most_held_until([&] { return c.hub_app->consumed == peers * count; }, 1s);
  CHECK(c.hub_app->wrong == 0);
  CHECK(ended == 0);
}

TEST_CASE("a store that fails for long takes little memory, and hides no end of a session") {
  constexpr std::size_t peers = 100, count = 40;
  crowd<true> c(peers, limited(), usual());
  std::vector<std::string> gone;
  c.hub->on_event([&](const ilm::event<std::string>& e) {
    if (e.kind == ilm::event_kind::peer_disconnected) gone.push_back(*e.peer);
  });
  c.w.run_for(10ms);
  c.faults->commit_error = std::make_error_code(std::errc::no_space_on_device);
  for (std::size_t i = 0; i < peers; ++i) c.send(*c.others[i], "hub", count, size);
  c.w.run_for(5s);
  std::size_t share = limit / 4 + (1 << 16) + count * ilm::protocol::message_overhead;
  CHECK(c.hub->statistics().held_bytes <= share);
  CHECK(c.hub->statistics().held_bytes >= limit / 4);
  // A peer whose messages were all taken is still in its session, which ends now.
  std::set<std::string> before(gone.begin(), gone.end());
  CHECK(before.size() < peers);
  std::string last;
  for (const std::string& name : c.names) {
    if (before.count(name) == 0) last = name;
  }
  REQUIRE_FALSE(last.empty());
  c.net->put("hub", network_event::down(last));
  c.w.run_for(10ms);
  CHECK(gone.back() == last);
  c.net->put("hub", network_event::up(last));
  c.faults->commit_error = {};
  auto done = [&] { return c.hub_app->consumed == peers * count; };
  c.most_held_until(done, 1h);
  CHECK(c.hub_app->wrong == 0);
  c.w.run_for(1min);
  CHECK(c.connected() == peers);
}

TEST_CASE("peers whose messages the store refuses fill a part of the memory that is their own",
          "[volume]") {
  constexpr std::size_t peers = 100, refused = 60, count = 40;
  crowd<true> c(peers, limited(), usual());
  std::set<std::string> bad(c.names.begin(), c.names.begin() + refused);
  c.faults->refuse = [&](const ilm::testing::store_faults::change& change) {
    bool taken = change.inbox.empty() || bad.count(change.peer) == 0;
    return taken ? std::error_code() : std::make_error_code(std::errc::file_too_large);
  };
  for (std::size_t i = 0; i < refused; ++i) c.send(*c.others[i], "hub", count, size);
  c.w.run_for(10s);
  std::size_t share = limit / 2 + (1 << 17) + 2 * count * ilm::protocol::message_overhead;
  CHECK(c.hub->statistics().held_bytes <= share);
  for (std::size_t i = refused; i < peers; ++i) c.send(*c.others[i], "hub", count, size);
  auto others_done = [&] { return c.hub_app->consumed == (peers - refused) * count; };
  // Those that filled the other part by then are found now: it is the others' again.
  CHECK(c.most_held_until(others_done, 1s) <= limit);
  c.faults->refuse = {};
  c.most_held_until([&] { return c.hub_app->consumed == peers * count; }, 1h);
  CHECK(c.hub_app->wrong == 0);
}

TEST_CASE("on a network that loses frames, a store that fails for long ends no session") {
  constexpr std::size_t peers = 100, count = 40;
  crowd<false> c(peers, limited(), usual());
  c.faults->commit_error = std::make_error_code(std::errc::no_space_on_device);
  for (std::size_t i = 0; i < peers; ++i) c.send(*c.others[i], "hub", count, size);
  c.w.run_for(30s);
  std::size_t share = limit / 4 + (1 << 16) + count * ilm::protocol::message_overhead;
  CHECK(c.hub->statistics().held_bytes <= share);
  CHECK(c.connected() == peers);
  c.faults->commit_error = {};
  auto done = [&] { return c.hub_app->consumed == peers * count; };
  c.most_held_until(done, 1h);
  CHECK(c.hub_app->wrong == 0);
}

TEST_CASE("a peer with a message after another is never kept from it by a limit that others fill") {
  constexpr std::size_t peers = 200, count = 40;
  ilm::options o = limited();
  o.memory_limit = 4 * o.maximum_message_size;
  crowd<true> c(peers, o, usual());
  c.hub_app->held = true;
  for (std::size_t i = 1; i < peers; ++i) c.send(*c.others[i], "hub", count, size);
  c.w.run_for(1s);
  // Both ways with one peer, while all others hold all that they can.
  c.send(*c.hub, c.names[0], 100, size);
  c.most_held_until([&] { return c.app->consumed == 100; }, 10s);
  CHECK(c.app->wrong == 0);
  c.hub_app->held = false;
  c.most_held_until([&] { return c.hub_app->consumed == (peers - 1) * count; }, 1h);
  CHECK(c.hub_app->wrong == 0);
}
