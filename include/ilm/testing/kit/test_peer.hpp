#pragma once

#include <ilm/network.hpp>
#include <ilm/testing/kit/fixture.hpp>
#include <ilm/testing/kit/frames.hpp>
#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/network_clause.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing::kit {

/// One peer: a network of the user's, and a coroutine that receives from it and checks each event.
template <class Fixture>
class test_peer : public std::enable_shared_from_this<test_peer<Fixture>> {
 public:
  using network_type = typename Fixture::network_type;
  using peer_id = typename Fixture::peer_id;
  using event = network_event<peer_id>;
  using clause = network_clause;

  test_peer(Fixture& f, unsigned number)
      : fixture(f),
        place(number),
        net(new network_type(f.factory()(number))),
        id(net->local_id()) {}

  Fixture& fixture;
  const unsigned place;
  std::unique_ptr<network_type> net;
  const peer_id id;
  std::map<peer_id, unsigned> known;  ///< the other peers' numbers
  std::map<peer_id, unsigned> ups, downs;
  std::map<peer_id, std::vector<frame_label>> frames;
  std::set<std::size_t> small;  ///< sizes of received frames that are too small for a label
  bool paused = false;
  std::shared_ptr<call<nothing>> receiver;
  std::vector<std::shared_ptr<call<nothing>>> sends;

  bool sees(const test_peer& other) { return ups[other.id] > downs[other.id]; }

  /// Whether a frame of this session is missing while a later one is there.
  bool misses(const test_peer& other) { return !runs_[other.id].missing.empty(); }

  /// In the sessions that begin from now on, `other`'s frames of lower numbers are old ones.
  void expect_none_before(const test_peer& other, std::uint32_t number) {
    news_[other.id] = {ups[other.id], number};
  }

  void receive() {
    paused = false;
    receiver = fixture.template start<nothing>(
        [self = this->shared_from_this()] { return receive_loop(self); });
  }

  /// Leaves as a messenger does: cancels, waits until the coroutine has ended, and destroys the
  /// network.
  bool leave() {
    if (!net) return true;
    auto ended = [this] {
      for (const auto& s : sends) {
        if (!s->done) return false;
      }
      return !receiver || receiver->done;
    };
    for (const auto& s : sends) {
      if (!s->done) fixture.cancel(s);
    }
    if (receiver && !receiver->done) fixture.cancel(receiver);
    // A network cannot be destroyed while one of its coroutines runs.
    if (!fixture.until(ended, limits::leave_time)) return false;
    net.reset();
    return true;
  }

 private:
  /// Numbers of frames within a session.
  struct run {
    std::optional<std::uint32_t> first, last;
    std::set<std::uint32_t> missing;
  };

  /// The first number that may come in the sessions after this many.
  struct news {
    unsigned sessions = 0;
    std::uint32_t first = 0;
  };

  static asio::awaitable<void> receive_loop(std::shared_ptr<test_peer> self) {
    auto caller_strand = co_await asio::this_coro::executor;
    while (!self->paused) {
      event e = co_await self->net->receive();
      if (!self->fixture.on_strand()) {
        self->fixture.report_violation(
            clause::executor, "receive resumed its caller elsewhere than on the caller's strand");
        co_await asio::post(caller_strand, asio::use_awaitable);
      }
      self->check_event(e);
    }
  }

  void check_event(const event& e) {
    fixture.progress();
    if (e.kind == event::type::problem) return;
    if (e.peer == id) {
      return fixture.report_violation(clause::nothing_of_oneself, "an event has the peer's own id");
    }
    if (e.kind == event::type::frame) return check_frame(e);
    unsigned& up = ups[e.peer];
    unsigned& down = downs[e.peer];
    bool begins = e.kind == event::type::up;
    if (begins != (up == down)) {
      return fixture.report_violation(clause::up_and_down_alternate,
                                      begins ? "`up` came for a session that had begun already"
                                             : "`down` came where there was no session");
    }
    ++(begins ? up : down);
    runs_[e.peer] = {};
  }

  void check_frame(const event& e) {
    std::string sized = "a frame of " + std::to_string(e.bytes.size()) + " bytes ";
    auto label = read_frame(e.bytes);
    if (!label && e.bytes.size() >= label_size && !Fixture::may_corrupt) {
      return fixture.report_violation(clause::whole_frames, sized + "is not as any that was sent");
    }
    if (label && label->to != place) {
      return fixture.report_violation(clause::destination, sized + "was sent to another peer");
    }
    auto from = known.find(e.peer);
    if (label && (from == known.end() || from->second != label->from)) {
      return fixture.report_violation(clause::from,
                                      sized + "is said to be from a peer that did not send it");
    }
    if (from == known.end()) {
      return fixture.report_violation(clause::no_strangers,
                                      sized + "came from nobody who sent one");
    }
    if (ups[e.peer] == downs[e.peer]) {
      return fixture.report_violation(
          ups[e.peer] == 0 ? clause::up_before_frames : clause::no_frames_after_down,
          sized + (ups[e.peer] == 0 ? "came before `up`" : "came after `down`"));
    }
    if (!label) return check_small_frame(e);
    if (Fixture::reliable && is_old(*label, e.peer)) {
      return fixture.report_violation(
          clause::no_old_frames, sized + "that was sent in one session came in the next, no. " +
                                     std::to_string(label->number));
    }
    if (Fixture::reliable) check_order(*label, runs_[e.peer]);
    frames[e.peer].push_back(*label);
  }

  /// A frame too small for a label: each byte is the frame's size.
  void check_small_frame(const event& e) {
    for (std::byte b : e.bytes) {
      if (b == static_cast<std::byte>(e.bytes.size()) || Fixture::may_corrupt) continue;
      fixture.report_violation(
          clause::whole_frames,
          "a frame of " + std::to_string(e.bytes.size()) + " bytes is not as any that was sent");
    }
    small.insert(e.bytes.size());
  }

  bool is_old(const frame_label& l, const peer_id& from) {
    auto at = news_.find(from);
    return at != news_.end() && ups[from] > at->second.sessions && l.number < at->second.first;
  }

  void check_order(const frame_label& l, run& r) {
    std::string which = "frame " + std::to_string(l.number) + " came ";
    if (r.last && l.number <= *r.last) {
      if (r.missing.erase(l.number) == 0 && l.number >= *r.first) {
        return fixture.report_violation(clause::no_repetition, which + "twice");
      }
      return fixture.report_violation(clause::order, which + "after " + std::to_string(*r.last));
    }
    for (std::uint32_t n = r.last ? *r.last + 1 : l.number; n < l.number; ++n) r.missing.insert(n);
    if (!r.first) r.first = l.number;
    r.last = l.number;
  }

  std::map<peer_id, run> runs_;
  std::map<peer_id, news> news_;
};

}  // namespace ilm::inline v0::testing::kit
