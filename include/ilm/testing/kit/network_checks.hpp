#pragma once

#include <ilm/options.hpp>
#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/peer_group.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

// Checks of a network: names, frames, and several peers.

namespace ilm::inline v0::testing::kit {

template <class Fixture>
class network_checks {
  using group = peer_group<Fixture>;
  using pointer = typename group::pointer;
  using peer_id = typename Fixture::peer_id;
  using found = violation<network_clause>;
  using clause = network_clause;

 public:
  explicit network_checks(Fixture& f) : fixture_(f) {}

  void run_frames() {
    fixture_.require(clause::local_id, [&] { local_id(); });
    fixture_.attempt(clause::maximum_frame_size, [&] { maximum_frame_size(); });
    fixture_.require(clause::up, [&] { up(); });
    fixture_.require(clause::frame_arrives, [&] { one_frame(); });
    fixture_.attempt(clause::from, [&] { three_peers(); });
    fixture_.attempt(clause::destination, [&] { three_peers(); });
    fixture_.attempt(clause::whole_frames, [&] { whole_frames(); });
    fixture_.attempt(clause::frame_sizes, [&] { frame_sizes(); });
    fixture_.attempt(clause::own_buffer, [&] { own_buffer(); });
    fixture_.attempt(clause::many_frames, [&] { many_frames(); });
    fixture_.attempt(clause::order, [&] { mixed_sizes(); });
  }

  void run_peers() {
    fixture_.attempt(clause::several_peers, [&] { several_peers(); });
    fixture_.attempt(clause::absent_peer, [&] { absent_peer(); });
    fixture_.attempt(clause::slow_peer, [&] { slow_peer(false); });
    fixture_.attempt(clause::send_cancelled, [&] { slow_peer(true); });
  }

 private:
  void local_id() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    if (a->id == b->id) throw found{clause::local_id, "two peers have the same local_id"};
    if (a->net->local_id() == a->id && b->net->local_id() == b->id) return;
    throw found{clause::local_id, "local_id is not what it was"};
  }

  void maximum_frame_size() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    std::size_t size = a->net->maximum_frame_size();
    if (size < minimum_frame_size) {
      throw found{clause::maximum_frame_size, "it is " + std::to_string(size)};
    }
    g.await_sessions();
    if (b->net->maximum_frame_size() == size && a->net->maximum_frame_size() == size) return;
    throw found{clause::maximum_frame_size, "it is not the same twice"};
  }

  void up() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    g.await_sessions();
    for (const pointer& m : {a, b}) {
      if (m->net->local_id() == m->id) continue;
      throw found{clause::local_id, "local_id is not what it was before a session began"};
    }
    fixture_.expect_quiet();
  }

  void one_frame() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    g.await_sessions();
    g.transfer(a, b);
    g.transfer(b, a);
    fixture_.expect_quiet();
  }

  void three_peers() {
    group g(fixture_);
    std::vector<pointer> all{g.join(), g.join(), g.join()};
    g.await_sessions();
    for (const pointer& from : all) {
      for (const pointer& to : all) {
        if (from != to) g.transfer(from, to, 2);
      }
    }
    fixture_.expect_quiet();
  }

  /// Sends to two peers at once, again and again: no two frames are equal.
  void own_buffer() {
    group g(fixture_);
    pointer a = g.join(), b = g.join(), c = g.join();
    g.await_sessions();
    std::size_t size = std::min<std::size_t>(a->net->maximum_frame_size(), 60'000);
    try {
      for (int round = 0; round < 3; ++round) {
        auto to_b = g.send(a, b, 5, size), to_c = g.send(a, c, 5, size);
        auto to_a = g.send(b, a, 5, size);
        for (const auto& s : {to_b, to_c, to_a}) g.complete("one of several sends at once", s);
        fixture_.expect_quiet();
      }
    } catch (found& f) {
      bool mixed = f.clause == clause::whole_frames || f.clause == clause::destination;
      if (mixed) f = found{clause::own_buffer, "of several sent at the same time, " + f.found};
      throw f;
    }
  }

  void whole_frames() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    g.await_sessions();
    for (std::size_t size : {24U, 100U, 1000U, 1024U}) g.transfer(a, b, 20, size);
    fixture_.expect_quiet();
  }

  void frame_sizes() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    g.await_sessions();
    std::size_t largest = a->net->maximum_frame_size();
    if (largest > limits::largest_frame) throw cannot_try{"frames of more than 64 MiB"};
    for (std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{16}}) {
      bool came = false;
      for (int attempt = 0; attempt < (Fixture::reliable ? 1 : limits::attempts) && !came;
           ++attempt) {
        g.complete("send", g.send(a, b, 1, size));
        came = fixture_.wait_until([&] { return b->small.contains(size); },
                                   Fixture::reliable ? fixture_.limit() / 4 : limits::attempt_time);
      }
      if (!came) {
        throw found{clause::frame_sizes,
                    "a frame of " + std::to_string(size) + " bytes does not arrive"};
      }
    }
    for (std::size_t size : {std::size_t{255}, std::size_t{256}, std::size_t{1024}, largest / 2,
                             std::size_t{65'535}, std::size_t{65'536}, largest - 1, largest}) {
      if (size <= largest) sized(g, a, b, size);
    }
    for (std::size_t size : more_sizes(largest)) sized(g, a, b, size);
  }

  /// Sizes on both sides of each power of two, in sixteenths of the largest, and anywhere; the
  /// large ones as far as `limits::tried_bytes` goes.
  static std::vector<std::size_t> more_sizes(std::size_t largest) {
    std::vector<std::size_t> all;
    std::size_t bytes = 0;
    auto add = [&](std::size_t size) {
      if (size < label_size || size > largest || bytes + size > limits::tried_bytes) return;
      bytes += size;
      all.push_back(size);
    };
    for (std::size_t i : {12U, 14U, 10U, 15U, 9U, 13U, 11U, 4U, 6U, 2U, 7U, 5U, 3U, 1U}) {
      add(largest / 16 * i);
    }
    for (std::size_t power = 32; power <= largest; power *= 2) {
      for (std::size_t size : {power - 1, power, power + 1}) add(size);
    }
    numbers random(largest);
    while (Fixture::reliable && all.size() < limits::tried_sizes) {
      std::size_t size = random.next() % largest + 1;
      if (bytes + size > limits::tried_bytes) break;
      add(size);
    }
    return all;
  }

  void sized(group& g, const pointer& a, const pointer& b, std::size_t size) {
    std::string which = "of " + std::to_string(size) + " bytes, where maximum_frame_size is " +
                        std::to_string(a->net->maximum_frame_size()) + ": ";
    try {
      g.transfer(a, b, 1, size);
    } catch (const found& f) {
      throw found{clause::frame_sizes, which + f.found};
    } catch (const std::runtime_error& e) {
      throw found{clause::frame_sizes, which + e.what()};
    }
  }

  /// From two peers to a third, so that a wrong name or destination shows.
  void many_frames() {
    group g(fixture_);
    pointer a = g.join(), b = g.join(), c = g.join();
    g.await_sessions();
    auto beside = g.send(c, b, 3000, 200);
    if (!Fixture::reliable) {
      g.transfer(a, b, 2000, 200);
      g.complete("send", beside);
      return fixture_.expect_quiet();
    }
    try {
      g.transfer(a, b, 10'000, 200);
      g.complete("send", beside);
      g.expect_all(*b, c->id, 3000);
      // Now with a receiver that pauses.
      b->paused = true;
      auto sending = g.send(a, b, 3000, std::min<std::size_t>(1000, a->net->maximum_frame_size()));
      fixture_.wait_until([] { return false; }, std::chrono::milliseconds(20));
      if (!b->receiver->done) b->paused = false;
      if (b->receiver->done) b->receive();
      g.expect_all(*b, a->id, 13'000);
      g.complete("send", sending);
    } catch (found& f) {
      // All frames from one on are missing: the number is too much, not a single frame lost.
      if (f.clause == clause::no_loss && !b->misses(*a) && !b->misses(*c)) {
        f.clause = clause::many_frames;
      }
      throw f;
    }
    fixture_.expect_quiet();
  }

  /// Large frames between small ones, both ways: none may overtake another.
  void mixed_sizes() {
    if (!Fixture::reliable) return;
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    g.await_sessions();
    std::size_t large = std::min(a->net->maximum_frame_size(), std::size_t{1} << 20);
    std::vector<std::size_t> sizes;
    for (int round = 0; round < 20; ++round) {
      for (std::size_t size : {large, label_size, std::size_t{100}, large / 2, label_size}) {
        sizes.push_back(size);
      }
    }
    auto there = g.send(a, b, sizes), back = g.send(b, a, sizes);
    g.complete("send", there);
    g.complete("send", back);
    g.expect_all(*b, a->id, sizes.size());
    g.expect_all(*a, b->id, sizes.size());
    fixture_.expect_quiet();
  }

  void several_peers() {
    group g(fixture_);
    std::vector<pointer> all;
    while (all.size() < limits::several_peers) all.push_back(g.join());
    g.await_sessions();
    std::vector<std::shared_ptr<call<nothing>>> sends;
    for (std::size_t i = 1; i < all.size(); ++i) sends.push_back(g.send(all[0], all[i], 100, 700));
    for (const auto& s : sends) g.complete("one of several sends at once", s);
    for (std::size_t i = 1; i < all.size() && Fixture::reliable; ++i) {
      g.expect_all(*all[i], all[0]->id, 100);
    }
    fixture_.expect_quiet();
  }

  void absent_peer() {
    group g(fixture_);
    pointer a = g.join(), b = g.join(), gone = g.join();
    g.await_sessions();
    if (!gone->leave()) throw cannot_try{"not tried: a receive cannot be cancelled"};
    for (int round = 0; round < 2; ++round) {
      auto lost = g.send(a, gone, 3, 1000);
      if (!fixture_.wait_until([&] { return lost->done; })) {
        fixture_.cancel(lost);
        throw typename examiner<clause>::stuck{"send to a peer that has gone"};
      }
      fixture_.expect_quiet();
    }
    if constexpr (std::same_as<peer_id, std::string>) {
      auto lost = g.send_to_unknown(a, "a peer that nobody has heard of");
      if (!fixture_.wait_until([&] { return lost->done; })) {
        fixture_.cancel(lost);
        throw typename examiner<clause>::stuck{"send to a peer that is not known"};
      }
    }
    try {
      g.transfer(a, b, 3);
    } catch (const found& f) {
      throw found{clause::absent_peer, "after sends to a peer that has gone, " + f.found};
    }
  }

  /// Sends to a peer that does not receive, until the send waits or limits::unreceived_bytes are
  /// under way.
  void slow_peer(bool cancels) {
    group g(fixture_);
    pointer a = g.join(), slow = g.join(), c = g.join();
    g.await_sessions();
    slow->paused = true;
    std::size_t size = std::min(a->net->maximum_frame_size(), limits::unreceived_frame);
    auto count = static_cast<std::uint32_t>(
        std::min(limits::unreceived_bytes / size, limits::unreceived_frames));
    auto sending = g.send(a, slow, count, size);
    if (cancels) return cancel_send(sending);
    fixture_.wait_until([&] { return sending->done; }, std::chrono::milliseconds(30));
    try {
      g.transfer(a, c, 5);
      g.transfer(c, a, 5);
    } catch (const found& f) {
      throw found{clause::slow_peer, "while another peer does not receive, " + f.found};
    } catch (const typename examiner<clause>::stuck&) {
      throw found{clause::slow_peer,
                  "while another peer does not receive, a send does not complete"};
    }
    slow->paused = false;
    if (slow->receiver->done) slow->receive();
    g.complete("send to a peer that receives again", sending);
  }

  void cancel_send(const std::shared_ptr<call<nothing>>& sending) {
    fixture_.wait_until([&] { return sending->done; }, std::chrono::milliseconds(150));
    if (sending->done) throw cannot_try{"not tried: no send could be made to wait"};
    fixture_.cancel(sending);
    if (fixture_.wait_until([&] { return sending->done; }, fixture_.limit() / 4)) return;
    throw found{clause::send_cancelled, "a send that waits goes on waiting"};
  }

  Fixture& fixture_;
};

}  // namespace ilm::inline v0::testing::kit
