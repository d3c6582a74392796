#pragma once

#include <ilm/network.hpp>
#include <ilm/testing/kit/bench.hpp>
#include <ilm/testing/kit/frames.hpp>
#include <ilm/testing/kit/network_clause.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace ilm::testing::kit {

/// What the checks of a network share: the user's factory, and the first thing that was wrong with
/// any event.
template <class Clock, class Factory>
class network_bench : public bench<Clock>, public examiner<network_clause> {
 public:
  using factory_type = Factory;
  using network_type = std::decay_t<std::invoke_result_t<Factory&, unsigned>>;
  static_assert(network<network_type>, "the factory must give networks");
  using peer_id = peer_id_of<network_type>;
  using found = violation<network_clause>;
  static constexpr bool reliable = network_type::reliable;

  /// Whether the network can tell when a peer goes.
  static constexpr bool tells_presence = [] {
    if constexpr (requires { Factory::tells_presence; }) return bool(Factory::tells_presence);
    return true;
  }();
  /// Whether frames may be changed on their way, as by a radio.
  static constexpr bool may_corrupt = [] {
    if constexpr (requires { Factory::may_corrupt; }) return bool(Factory::may_corrupt);
    return false;
  }();

  network_bench(asio::io_context& context, Factory& f, const kit_options& o,
                ledger<network_clause>::report to)
      : bench<Clock>(context, o), examiner<network_clause>(std::move(to)), factory_(f) {}

  Factory& factory() noexcept { return factory_; }
  unsigned next_place() noexcept { return ++last_place_; }

  void accuse(network_clause c, std::string what) {
    if (!accused_) accused_ = found{c, std::move(what)};
  }
  void acquit() { accused_.reset(); }

  /// Something came or went.
  void progress() noexcept { ++progress_; }
  std::uint64_t progressed() const noexcept { return progress_; }

  /// Waits, and throws what is found wrong meanwhile.
  template <class Predicate>
  bool wait_until(Predicate done, std::chrono::nanoseconds limit) {
    bool held = this->until([&] { return accused_ || done(); }, limit);
    if (accused_) {
      found f = std::move(*accused_);
      accused_.reset();
      throw f;
    }
    return held;
  }
  template <class Predicate>
  bool wait_until(Predicate done) {
    return wait_until(std::move(done), this->limit());
  }
  /// A moment in which nothing wrong may happen.
  void settle() {
    wait_until([] { return false; }, std::chrono::milliseconds(15));
  }

 private:
  Factory& factory_;
  std::optional<found> accused_;
  std::uint64_t progress_ = 0;
  unsigned last_place_ = 0;
};

/// One peer: a network of the user's, and a coroutine that receives from it and judges each event.
template <class Bench>
class member : public std::enable_shared_from_this<member<Bench>> {
 public:
  using network_type = typename Bench::network_type;
  using peer_id = typename Bench::peer_id;
  using event = network_event<peer_id>;
  using clause = network_clause;

  member(Bench& b, unsigned number)
      : bench(b), place(number), net(new network_type(b.factory()(number))), id(net->local_id()) {}

  Bench& bench;
  const unsigned place;
  std::unique_ptr<network_type> net;
  const peer_id id;
  std::map<peer_id, unsigned> known;  ///< the others, and their places
  std::map<peer_id, unsigned> ups, downs;
  std::map<peer_id, std::vector<frame_label>> frames;
  std::set<std::size_t> small;  ///< sizes of frames that came and are too small for a label
  bool paused = false;
  std::shared_ptr<call<nothing>> receiver;
  std::vector<std::shared_ptr<call<nothing>>> sends;

  bool sees(const member& other) { return ups[other.id] > downs[other.id]; }

  /// Whether a frame of this session is missing while a later one is there.
  bool misses(const member& other) { return !runs_[other.id].missing.empty(); }

  void receive() {
    paused = false;
    receiver = bench.template start<nothing>(
        [self = this->shared_from_this()] { return receive_loop(self); });
  }

  /// As a messenger leaves: it cancels, waits until the coroutine has ended, and destroys.
  bool leave() {
    if (!net) return true;
    auto ended = [this] {
      for (const auto& s : sends) {
        if (!s->done) return false;
      }
      return !receiver || receiver->done;
    };
    for (const auto& s : sends) {
      if (!s->done) bench.cancel(s);
    }
    if (receiver && !receiver->done) bench.cancel(receiver);
    // A network of which a coroutine still runs cannot be destroyed.
    if (!bench.until(ended, std::chrono::milliseconds(500))) return false;
    net.reset();
    return true;
  }

 private:
  /// Numbers of frames within a session.
  struct run {
    std::optional<std::uint32_t> last;
    std::set<std::uint32_t> missing;
  };

  static asio::awaitable<void> receive_loop(std::shared_ptr<member> self) {
    auto home = co_await asio::this_coro::executor;
    while (!self->paused) {
      event e = co_await self->net->receive();
      if (!self->bench.at_home()) {
        self->bench.accuse(clause::executor,
                           "receive resumed its caller elsewhere than on the caller's strand");
        co_await asio::post(home, asio::use_awaitable);
      }
      self->judge(e);
    }
  }

  void judge(const event& e) {
    bench.progress();
    if (e.kind == event::type::problem) return;
    if (e.peer == id) {
      return bench.accuse(clause::nothing_of_oneself, "an event has the peer's own id");
    }
    if (e.kind == event::type::frame) return judge_frame(e);
    unsigned& up = ups[e.peer];
    unsigned& down = downs[e.peer];
    bool begins = e.kind == event::type::up;
    if (begins != (up == down)) {
      return bench.accuse(clause::up_and_down_alternate,
                          begins ? "`up` came for a session that had begun already"
                                 : "`down` came where there was no session");
    }
    ++(begins ? up : down);
    runs_[e.peer] = {};
  }

  void judge_frame(const event& e) {
    std::string sized = "a frame of " + std::to_string(e.bytes.size()) + " bytes ";
    auto label = read_frame(e.bytes);
    if (!label && e.bytes.size() >= label_size && !Bench::may_corrupt) {
      return bench.accuse(clause::whole_frames, sized + "is not as any that was sent");
    }
    if (label && label->to != place) {
      return bench.accuse(clause::destination, sized + "was sent to another peer");
    }
    auto from = known.find(e.peer);
    if (label && (from == known.end() || from->second != label->from)) {
      return bench.accuse(clause::from, sized + "is said to be from a peer that did not send it");
    }
    if (from == known.end()) {
      return bench.accuse(clause::no_strangers, sized + "came from nobody who sent one");
    }
    if (ups[e.peer] == downs[e.peer]) {
      return bench.accuse(
          ups[e.peer] == 0 ? clause::up_before_frames : clause::no_frames_after_down,
          sized + (ups[e.peer] == 0 ? "came before `up`" : "came after `down`"));
    }
    if (!label) return judge_small(e);
    if (Bench::reliable) judge_order(*label, runs_[e.peer]);
    frames[e.peer].push_back(*label);
  }

  /// Too small to say what it is: all its bytes are its size.
  void judge_small(const event& e) {
    for (std::byte b : e.bytes) {
      if (b == static_cast<std::byte>(e.bytes.size()) || Bench::may_corrupt) continue;
      bench.accuse(clause::whole_frames, "a frame of " + std::to_string(e.bytes.size()) +
                                             " bytes is not as any that was sent");
    }
    small.insert(e.bytes.size());
  }

  void judge_order(const frame_label& l, run& r) {
    std::string which = "frame " + std::to_string(l.number) + " came ";
    if (r.last && l.number <= *r.last) {
      if (r.missing.erase(l.number) == 0) {
        return bench.accuse(clause::no_repetition, which + "twice");
      }
      return bench.accuse(clause::order, which + "after " + std::to_string(*r.last));
    }
    for (std::uint32_t n = r.last ? *r.last + 1 : l.number; n < l.number; ++n) r.missing.insert(n);
    r.last = l.number;
  }

  std::map<peer_id, run> runs_;
};

/// The peers of one check; they leave with it.
template <class Bench>
class party {
 public:
  using member_type = member<Bench>;
  using pointer = std::shared_ptr<member_type>;
  using peer_id = typename Bench::peer_id;
  using clause = network_clause;
  using found = violation<network_clause>;

  explicit party(Bench& b) : bench_(b) { bench_.acquit(); }
  party(const party&) = delete;
  party& operator=(const party&) = delete;
  ~party() {
    for (const pointer& m : members_) m->leave();
    bench_.acquit();
  }

  pointer join() { return join_at(bench_.next_place()); }
  pointer join_at(unsigned place) {
    auto m = std::make_shared<member_type>(bench_, place);
    for (const pointer& other : members_) acquaint(*m, *other);
    members_.push_back(m);
    return m;
  }

  /// Has all receive, and waits until each has a session with each other that is there.
  void meet() {
    for (const pointer& m : members_) {
      if (m->net && !m->receiver) m->receive();
    }
    auto met = [&] {
      for (const pointer& a : members_) {
        for (const pointer& b : members_) {
          if (a != b && a->net && b->net && a->id != b->id && !a->sees(*b)) return false;
        }
      }
      return true;
    };
    if (!bench_.wait_until(met)) {
      throw found{
          clause::up,
          "`up` with the other's local_id does not come to both sides of a session" + failures()};
    }
  }

  /// Sends one after the other; the call is that of the whole series.
  std::shared_ptr<call<nothing>> send(const pointer& from, const pointer& to, std::uint32_t count,
                                      std::size_t size) {
    std::uint32_t first = sent_[{from->place, to->place}];
    sent_[{from->place, to->place}] += count;
    return keep(from, bench_.template start<nothing>([=, &b = bench_] {
      return send_series(b, from, to->id, to->place, first, count, size);
    }));
  }

  /// One frame to somebody who is none of the party.
  std::shared_ptr<call<nothing>> send_astray(const pointer& from, const peer_id& to) {
    return keep(from, bench_.template start<nothing>([=] { return send_to_nobody(from, to); }));
  }

  template <class T>
  void complete(const char* what, const std::shared_ptr<call<T>>& c) {
    // As long as something moves, it may yet complete.
    for (std::uint64_t seen = ~bench_.progressed(); seen != bench_.progressed() && !c->done;) {
      seen = bench_.progressed();
      bench_.wait_until([&] { return c->done; });
    }
    if (!c->done) {
      bench_.cancel(c);
      throw typename examiner<clause>::stuck{what};
    }
    if (c->failed && Bench::reliable) {
      throw std::runtime_error(std::string(what) + " threw " + describe(c->failed));
    }
  }

  /// Sends, and sees to it that all arrives, or, without reliability, something.
  void carry(const pointer& from, const pointer& to, std::uint32_t count = 1,
             std::size_t size = 100) {
    std::size_t before = to->frames[from->id].size();
    auto arrived = [&] { return to->frames[from->id].size() - before; };
    complete("send", send(from, to, count, size));
    if (Bench::reliable) return expect_all(*to, from->id, before + count);
    for (int attempt = 0; attempt < 300; ++attempt) {
      if (bench_.wait_until([&] { return arrived() > 0; }, std::chrono::milliseconds(20))) return;
      complete("send", send(from, to, 1, size));
    }
    throw found{clause::frame_arrives,
                "of 300 frames of " + std::to_string(size) + " bytes none arrives"};
  }

  void expect_all(member_type& to, const typename Bench::peer_id& from, std::size_t count) {
    auto& have = to.frames[from];
    std::size_t seen = have.size();
    // As long as frames come, there may be more.
    while (have.size() < count) {
      if (bench_.wait_until([&] { return have.size() > seen; }, bench_.limit() / 4)) {
        seen = have.size();
        continue;
      }
      throw found{
          have.empty() ? clause::frame_arrives : clause::no_loss,
          "of " + std::to_string(count) + " frames " + std::to_string(have.size()) + " arrive"};
    }
  }

  static void acquaint(member_type& a, member_type& b) {
    a.known[b.id] = b.place;
    b.known[a.id] = a.place;
    if constexpr (requires { a.bench.factory().introduce(*a.net, *b.net); }) {
      if (a.net && b.net) a.bench.factory().introduce(*a.net, *b.net);
    }
  }

 private:
  /// Who cannot see anybody come.
  std::string failures() const {
    for (const pointer& m : members_) {
      if (m->receiver && m->receiver->failed) {
        return ": receive threw " + describe(m->receiver->failed);
      }
    }
    return {};
  }

  /// The network must not go while the call runs.
  static std::shared_ptr<call<nothing>> keep(const pointer& of, std::shared_ptr<call<nothing>> c) {
    std::erase_if(of->sends, [](const auto& old) { return old->done; });
    of->sends.push_back(c);
    return c;
  }

  static asio::awaitable<void> send_to_nobody(pointer from, peer_id to) {
    co_await from->net->send(to, std::vector<std::byte>(100));
  }

  static asio::awaitable<void> send_series(Bench& b, pointer from, peer_id to, unsigned place,
                                           std::uint32_t first, std::uint32_t count,
                                           std::size_t size) {
    auto home = co_await asio::this_coro::executor;
    for (std::uint32_t n = first; n < first + count; ++n) {
      frame_label label;
      label.from = from->place;
      label.to = place;
      label.number = n;
      label.size = static_cast<std::uint32_t>(size);
      std::vector<std::byte> frame = make_frame(label);
      if (size < label_size) frame.assign(size, static_cast<std::byte>(size));
      try {
        co_await from->net->send(to, std::move(frame));
      } catch (...) {
        // A throw counts as a loss.
        if (Bench::reliable) throw;
      }
      b.progress();
      if (!b.at_home()) {
        b.accuse(clause::executor, "send resumed its caller elsewhere than on the caller's strand");
        co_await asio::post(home, asio::use_awaitable);
      }
    }
  }

  Bench& bench_;
  std::vector<pointer> members_;
  std::map<std::pair<unsigned, unsigned>, std::uint32_t> sent_;
};

}  // namespace ilm::testing::kit
