#pragma once

#include <ilm/testing/kit/fixture.hpp>
#include <ilm/testing/kit/frames.hpp>
#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/network_clause.hpp>
#include <ilm/testing/kit/test_peer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing::kit {

/// The peers of one check; the destructor makes them leave.
template <class Fixture>
class peer_group {
 public:
  using peer_type = test_peer<Fixture>;
  using pointer = std::shared_ptr<peer_type>;
  using peer_id = typename Fixture::peer_id;
  using clause = network_clause;
  using found = violation<network_clause>;

  explicit peer_group(Fixture& f) : fixture_(f) { fixture_.clear_violation(); }
  peer_group(const peer_group&) = delete;
  peer_group& operator=(const peer_group&) = delete;
  ~peer_group() {
    for (const pointer& m : peers_) m->leave();
    fixture_.clear_violation();
  }

  pointer join() { return join_at(fixture_.next_place()); }
  pointer join_at(unsigned place) {
    auto m = std::make_shared<peer_type>(fixture_, place);
    for (const pointer& other : peers_) connect(*m, *other);
    peers_.push_back(m);
    return m;
  }

  /// Lets all peers receive, and waits until each pair of present peers has a session.
  void await_sessions() {
    for (const pointer& m : peers_) {
      if (m->net && !m->receiver) m->receive();
    }
    auto met = [&] {
      for (const pointer& a : peers_) {
        for (const pointer& b : peers_) {
          if (a != b && a->net && b->net && a->id != b->id && !a->sees(*b)) return false;
        }
      }
      return true;
    };
    if (!fixture_.wait_until(met)) {
      throw found{
          clause::up,
          "`up` with the other's local_id does not come to both sides of a session" + failures()};
    }
  }

  /// Sends one frame after the other; the call covers the whole series.
  std::shared_ptr<call<nothing>> send(const pointer& from, const pointer& to, std::uint32_t count,
                                      std::size_t size) {
    return send(from, to, std::vector<std::size_t>(count, size));
  }
  std::shared_ptr<call<nothing>> send(const pointer& from, const pointer& to,
                                      std::vector<std::size_t> sizes) {
    auto count = static_cast<std::uint32_t>(sizes.size());
    std::uint32_t first = sent_[{from->place, to->place}];
    sent_[{from->place, to->place}] += count;
    return keep(from, fixture_.template start<nothing>([=, &b = fixture_] {
      return send_series(b, from, to->id, to->place, first, sizes);
    }));
  }

  /// Frames that are still to come to `to` were sent in a session that has ended.
  void begin_anew(const pointer& from, const pointer& to) {
    to->expect_none_before(*from, sent_[{from->place, to->place}]);
  }

  /// Sends one frame to a peer that is not in the group.
  std::shared_ptr<call<nothing>> send_to_unknown(const pointer& from, const peer_id& to) {
    return keep(from, fixture_.template start<nothing>([=] { return send_to_nobody(from, to); }));
  }

  template <class T>
  void complete(const char* what, const std::shared_ptr<call<T>>& c) {
    // While frames or events still move, the call may yet complete.
    for (std::uint64_t seen = ~fixture_.progressed(); seen != fixture_.progressed() && !c->done;) {
      seen = fixture_.progressed();
      fixture_.wait_until([&] { return c->done; });
    }
    if (!c->done) {
      fixture_.cancel(c);
      throw typename examiner<clause>::stuck{what};
    }
    if (c->failed && Fixture::reliable) {
      throw std::runtime_error(std::string(what) + " threw " + describe(c->failed));
    }
  }

  /// Sends, and requires all frames to arrive, or, on an unreliable network, one of many.
  void transfer(const pointer& from, const pointer& to, std::uint32_t count = 1,
                std::size_t size = 100) {
    std::size_t before = to->frames[from->id].size();
    auto arrived = [&] { return to->frames[from->id].size() - before; };
    complete("send", send(from, to, count, size));
    if (Fixture::reliable) return expect_all(*to, from->id, before + count);
    for (int attempt = 0; attempt < limits::attempts; ++attempt) {
      if (fixture_.wait_until([&] { return arrived() > 0; }, limits::attempt_time)) return;
      complete("send", send(from, to, 1, size));
    }
    throw found{clause::frame_arrives, "of " + std::to_string(limits::attempts) + " frames of " +
                                           std::to_string(size) + " bytes none arrives"};
  }

  void expect_all(peer_type& to, const typename Fixture::peer_id& from, std::size_t count) {
    auto& have = to.frames[from];
    std::size_t seen = have.size();
    // While frames arrive, more may follow.
    while (have.size() < count) {
      if (fixture_.wait_until([&] { return have.size() > seen; }, fixture_.limit() / 4)) {
        seen = have.size();
        continue;
      }
      throw found{
          have.empty() ? clause::frame_arrives : clause::no_loss,
          "of " + std::to_string(count) + " frames " + std::to_string(have.size()) + " arrive"};
    }
  }

  static void connect(peer_type& a, peer_type& b) {
    a.known[b.id] = b.place;
    b.known[a.id] = a.place;
    if constexpr (requires { a.fixture.factory().introduce(*a.net, *b.net); }) {
      if (a.net && b.net) a.fixture.factory().introduce(*a.net, *b.net);
    }
  }

 private:
  /// The error of the first peer that cannot receive.
  std::string failures() const {
    for (const pointer& m : peers_) {
      if (m->receiver && m->receiver->failed) {
        return ": receive threw " + describe(m->receiver->failed);
      }
    }
    return {};
  }

  /// Keeps the call: the network must not be destroyed while it runs.
  static std::shared_ptr<call<nothing>> keep(const pointer& of, std::shared_ptr<call<nothing>> c) {
    std::erase_if(of->sends, [](const auto& old) { return old->done; });
    of->sends.push_back(c);
    return c;
  }

  static asio::awaitable<void> send_to_nobody(pointer from, peer_id to) {
    co_await from->net->send(to, std::vector<std::byte>(100));
  }

  /// On an unreliable network an exception counts as a loss. Apart from the loop, as
  /// `runtime::store_driver::open` is.
  static asio::awaitable<void> send_or_lose(pointer from, const peer_id& to,
                                            std::vector<std::byte> frame) {
    try {
      co_await from->net->send(to, std::move(frame));
    } catch (...) {
      if (Fixture::reliable) throw;
    }
  }

  static asio::awaitable<void> send_series(Fixture& f, pointer from, peer_id to, unsigned place,
                                           std::uint32_t first, std::vector<std::size_t> sizes) {
    auto caller_strand = co_await asio::this_coro::executor;
    for (std::size_t size : sizes) {
      frame_label label;
      label.from = from->place;
      label.to = place;
      label.number = first++;
      label.size = static_cast<std::uint32_t>(size);
      std::vector<std::byte> frame = make_frame(label);
      if (size < label_size) frame.assign(size, static_cast<std::byte>(size));
      co_await send_or_lose(from, to, std::move(frame));
      f.progress();
      if (!f.on_strand()) {
        f.report_violation(clause::executor,
                           "send resumed its caller elsewhere than on the caller's strand");
        co_await asio::post(caller_strand, asio::use_awaitable);
      }
    }
  }

  Fixture& fixture_;
  std::vector<pointer> peers_;
  std::map<std::pair<unsigned, unsigned>, std::uint32_t> sent_;
};

}  // namespace ilm::inline v0::testing::kit
