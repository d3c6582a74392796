#pragma once

#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/peer_group.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

// Checks of a network: waiting, leaving, and sessions that end and begin again.

namespace ilm::inline v0::testing::kit {

template <class Fixture>
class network_sessions {
  using group = peer_group<Fixture>;
  using pointer = typename group::pointer;
  using network_type = typename Fixture::network_type;
  using factory = typename Fixture::factory_type;
  using found = violation<network_clause>;
  using clause = network_clause;

 public:
  explicit network_sessions(Fixture& f) : fixture_(f) {}

  void run() {
    // First: a receive that ignores cancellation disturbs all later checks.
    fixture_.attempt(clause::receive_cancelled, [&] { receive_cancelled(); });
    fixture_.attempt(clause::receive_waits, [&] { waits(); });
    fixture_.attempt(clause::moved_handle, [&] { moved(); });
    fixture_.attempt(clause::down, [&] { down(); });
    fixture_.attempt(clause::successor, [&] { successor(false); });
    fixture_.attempt(clause::no_old_frames, [&] { successor(true); });
    if constexpr (requires(factory & f, network_type & n) {
                    f.cut(n, n);
                    f.restore(n, n);
                  }) {
      fixture_.attempt(clause::next_session, [&] { next_session(); });
    } else {
      fixture_.results().skipped(
          clause::next_session,
          "not tried: the factory has no cut(network, network), restore(...)");
    }
    if constexpr (requires(factory & f, network_type & n) { f.end(n); }) {
      fixture_.attempt(clause::ended_network, [&] { ended(); });
    } else {
      fixture_.results().skipped(clause::ended_network,
                                 "not tried: the factory has no end(network)");
    }
  }

 private:
  /// Counts the handlers that run on the context while nothing happens.
  void waits() {
    group g(fixture_);
    g.join();
    g.join();
    g.await_sessions();
    fixture_.expect_quiet();
    std::size_t ran = fixture_.idle_handlers();
    if (ran <= limits::idle_handlers) return;
    throw found{clause::receive_waits, std::to_string(ran) + " handlers ran within " +
                                           std::to_string(limits::idle_time.count()) +
                                           " ms in which nothing happened"};
  }

  void receive_cancelled() {
    group g(fixture_);
    pointer a = g.join();
    g.join();
    g.await_sessions();
    fixture_.cancel(a->receiver);
    if (!fixture_.wait_until([&] { return a->receiver->done; }, fixture_.limit() / 4)) {
      throw found{clause::receive_cancelled, "a receive that waits goes on waiting"};
    }
    if (!a->receiver->failed) {
      throw found{clause::receive_cancelled, "a receive that waits ends without an error"};
    }
  }

  void moved() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    for (const pointer& m : {a, b}) m->net = std::make_unique<network_type>(std::move(*m->net));
    try {
      g.await_sessions();
      g.transfer(a, b);
      g.transfer(b, a);
    } catch (const found& f) {
      throw found{clause::moved_handle, "of networks that were moved: " + f.found};
    }
  }

  void leave(const pointer& m) {
    if (m->leave()) return;
    throw cannot_try{"not tried: a receive cannot be cancelled, so that no network can leave"};
  }

  void expect_down(const pointer& at, const pointer& of) {
    if (!Fixture::tells_presence) return;
    if (fixture_.wait_until([&] { return !at->sees(*of); }, fixture_.limit() / 2)) return;
    throw found{clause::down, "`down` does not come"};
  }

  void down() {
    if (!Fixture::tells_presence) {
      throw cannot_try{"not tried: the factory says that the network cannot tell (tells_presence)"};
    }
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    g.await_sessions();
    g.transfer(b, a, 3);
    auto sending = g.send(b, a, 50, 500);
    fixture_.wait_until([&] { return sending->done; }, fixture_.limit());
    leave(b);
    expect_down(a, b);
    fixture_.expect_quiet();
  }

  /// A peer that takes the name of one that has left, to which frames may be under way.
  void successor(bool frames_under_way) {
    if (frames_under_way && !Fixture::reliable) {
      throw cannot_try{"not tried: without reliability frames may be late"};
    }
    group g(fixture_);
    pointer a = g.join(), old = g.join();
    g.await_sessions();
    if (frames_under_way) {
      old->paused = true;
      auto sending = g.send(a, old, 200, 500);
      auto sent = [&] { return sending->done; };
      if (!fixture_.wait_until(sent, std::chrono::milliseconds(100))) fixture_.cancel(sending);
      // Frames sent from now on would not be old.
      if (!fixture_.wait_until(sent)) throw cannot_try{"not tried: a send cannot be cancelled"};
    } else {
      g.transfer(a, old, 3);
    }
    leave(old);
    expect_down(a, old);
    pointer next = g.join_at(old->place);
    if (next->id != old->id) {
      throw cannot_try{"not tried: the factory gives the successor another name"};
    }
    try {
      g.await_sessions();
      g.transfer(a, next, 3);
      g.transfer(next, a, 3);
      fixture_.expect_quiet();
    } catch (const found& f) {
      throw found{clause::successor, "of a successor of the same name: " + f.found};
    }
    for (const frame_label& l : next->frames[a->id]) {
      if (!Fixture::reliable || l.number >= (frames_under_way ? 200U : 3U)) continue;
      throw found{clause::no_old_frames, "the successor gets a frame that was sent before"};
    }
  }

  void next_session() {
    group g(fixture_);
    pointer a = g.join(), b = g.join();
    g.await_sessions();
    for (int round = 0; round < 3; ++round) {
      unsigned of_a = a->ups[b->id], of_b = b->ups[a->id];
      // The last frames of the session, of which some may be on their way when it ends.
      auto ending = g.send(a, b, 20, 300);
      fixture_.wait_until([&] { return ending->done; }, std::chrono::milliseconds(20));
      if constexpr (requires(factory & f, network_type & n) { f.cut(n, n); }) {
        fixture_.factory().cut(*a->net, *b->net);
      }
      expect_cut(a, b, of_a);
      expect_cut(b, a, of_b);
      fixture_.cancel(ending);
      if (!fixture_.wait_until([&] { return ending->done; })) {
        throw cannot_try{"not tried: a send cannot be cancelled"};
      }
      g.begin_anew(a, b);
      g.begin_anew(b, a);
      if constexpr (requires(factory & f, network_type & n) { f.restore(n, n); }) {
        fixture_.factory().restore(*a->net, *b->net);
      }
      try {
        g.await_sessions();
        g.transfer(a, b, 5);
        g.transfer(b, a, 5);
      } catch (const found& f) {
        if (f.clause == clause::no_old_frames) throw f;
        throw found{clause::next_session, "after a session was cut and restored: " + f.found};
      }
      fixture_.expect_quiet();
    }
  }

  void expect_cut(const pointer& at, const pointer& of, unsigned ups) {
    if (!Fixture::tells_presence) return;
    if (fixture_.wait_until([&] { return !at->sees(*of) || at->ups[of->id] > ups; })) return;
    throw found{clause::next_session, "`down` does not come when a session is cut"};
  }

  void ended() {
    group g(fixture_);
    pointer a = g.join();
    g.join();
    g.await_sessions();
    if constexpr (requires(factory & f, network_type & n) { f.end(n); }) {
      fixture_.factory().end(*a->net);
    }
    for (int times = 0; times < 2; ++times) {
      if (!fixture_.wait_until([&] { return a->receiver->done; }, fixture_.limit() / 2)) {
        throw found{clause::ended_network, "receive goes on waiting"};
      }
      if (!a->receiver->failed) throw found{clause::ended_network, "receive does not throw"};
      a->receive();
    }
  }

  Fixture& fixture_;
};

}  // namespace ilm::inline v0::testing::kit
