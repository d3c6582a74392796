#pragma once

// Two associations without Asio: each with a model of a store and an application, a way between
// them with faults, and time. One operation at a time, so that a crash can be put between any two.
// It knows no test framework: a violation is a std::logic_error.

#include "support/as_size.hpp"

#include <ilm/protocol/association.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/reconcile.hpp>
#include <ilm/protocol/stream_hash.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

using namespace std::chrono_literals;
using namespace ilm;
using namespace ilm::protocol;

inline void demand(bool held, const char* what) {
  if (!held) throw std::logic_error(what);
}

/// A backend in the fewest words.
struct model_store {
  cursors where;
  std::map<std::uint64_t, stored_message> outbox, inbox;

  void commit(const store_change& c) {
    demand(c.next.consistent(), "the cursors of a change contradict each other");
    demand(chained(c.outbox, where.outbox.last_hash, c.next.outbox.last_hash),
           "the hashes of the outbox do not follow each other");
    // Of a stream that begins, the hash before it is in nobody's hands here.
    const inbox_cursors &now = c.next.inbox, &before = where.inbox;
    bool same =
        now.stream == before.stream && now.start == before.start && now.offset == before.offset;
    demand(!same || chained(c.inbox, before.received_hash, now.received_hash),
           "the hashes of the inbox do not follow each other");
    for (const stored_message& m : c.outbox) {
      demand(outbox.emplace(m.index, m).second, "a number in the outbox is given twice");
    }
    for (const stored_message& m : c.inbox) {
      demand(inbox.emplace(m.index, m).second, "a number in the inbox is given twice");
    }
    where = c.next;
    outbox.erase(outbox.begin(), outbox.lower_bound(where.outbox.first));
    inbox.erase(inbox.begin(), inbox.lower_bound(where.inbox.first));
  }

  /// Whether the messages lead from one hash of the stream to the other.
  static bool chained(const std::vector<stored_message>& messages, stream_hash from,
                      const stream_hash& to) {
    for (const stored_message& m : messages) {
      from = extend(from, m);
      if (from != m.hash) return false;
    }
    return from == to;
  }

  static std::vector<stored_message> read(const std::map<std::uint64_t, stored_message>& queue,
                                          const page_request& wanted) {
    std::vector<stored_message> page;
    std::size_t size = 0;
    std::uint64_t index = wanted.from;
    for (auto at = queue.find(index); at != queue.end() && at->first == index; ++at, ++index) {
      size += at->second.size();
      if (page.size() == wanted.messages || (size > wanted.bytes && !page.empty())) break;
      page.push_back(at->second);
    }
    return page;
  }
};

struct consumed_message {
  std::uint64_t index;
  std::string text;
};

/// What is around an association on its side, and can be copied: the store, the application, and
/// what is under way between them and the association.
struct side_state {
  std::size_t frame_limit = 4096;
  model_store disk;
  std::vector<consumed_message> consumed;
  std::vector<std::string> sent;  ///< stored in the outbox, in order
  std::vector<event_record> events;
  timestamp commit_time{};
  int failing_commits = 0;
  bool application_up = true;
  int frames = 0;

  bool in_commit() const { return change_.has_value(); }

 protected:
  std::optional<store_change> change_;
  std::optional<page_request> page_;  ///< asked for
  std::optional<std::vector<stored_message>> page_read_;
  std::uint64_t sends_ = 0, ended_sends_ = 0;
  bool applied_ = false;
  timestamp done_at_{}, last_{};
};

/// One side: an association, and what it needs around it. The store and the application survive
/// `crash`; what the application took and the store does not know is undone with it, as with a
/// backend that lends its transaction to the handler.
template <class core_type>
class basic_core_side : public side_state {
 public:
  static constexpr int operations = 8;

  basic_core_side(std::string name, std::string peer, options settings, bool reliable,
                  std::uint64_t seed)
      : name_(std::move(name)),
        peer_(std::move(peer)),
        o_(settings),
        reliable_(reliable),
        chance_(seed),
        entropy_(chance_.next()) {
    lose_store();
  }

  void start() {
    association_setup s;
    s.local_id = bytes(name_);
    s.peer_id = bytes(peer_);
    s.entropy = &entropy_;
    s.seed = chance_.next();
    s.frame_limit = frame_limit;
    s.maximum_message = o_.maximum_message_size;
    s.reliable = reliable_;
    s.support = support;
    core_ = std::make_unique<core_type>(o_, std::move(s), disk.where);
  }
  /// What the build of the next life speaks.
  protocol_support support;

  void crash() {
    core_.reset();
    change_.reset();
    applied_ = false;
    page_.reset();
    page_read_.reset();
    ended_sends_ = sends_;
    std::erase_if(consumed,
                  [&](const consumed_message& t) { return t.index >= disk.where.inbox.first; });
  }
  void lose_store() {
    disk = model_store();
    incarnation store{chance_.next_nonzero(), chance_.next()};
    disk.where = begin_history(store, bytes(peer_).view());
  }

  core_type& operator*() { return *core_; }
  core_type* operator->() { return core_.get(); }

  void send(const std::string& text) { demand(!try_send(text), "a send is refused"); }
  std::error_code try_send(const std::string& text) {
    std::error_code refused = core_->handle_send(send_id{sends_ + 1}, bytes(text));
    if (!refused) ++sends_;
    return refused;
  }

  /// Does the operation if there is something to do.
  bool operate(int which, timestamp now, const std::function<void(std::vector<std::byte>)>& out) {
    switch (which) {
      case 0:
        if (auto e = core_->poll_event()) return events.push_back(*e), true;
        if (auto r = core_->poll_send_result()) {
          demand(r->id == send_id{++ended_sends_}, "a send ends out of order, twice or never");
          demand((r->sequence == 0) == bool(r->error), "a send has a sequence and an error");
          return true;
        }
        return false;
      case 1:
        if (change_ || !core_->has_due_change(now)) return false;
        change_ = core_->poll_change(now);
        done_at_ = now + commit_time;
        return change_.has_value();
      case 2:
        if (!change_ || applied_ || done_at_ > now || fails_now()) return false;
        disk.commit(*change_);
        for (const stored_message& m : change_->outbox) sent.emplace_back(m.contents.text());
        return applied_ = true;
      case 3:
        return end_commit(now);
      case 4:
        if (!page_) page_ = core_->poll_page(now);
        return page_.has_value() && !page_read_ && read_page();
      case 5:
        if (!page_read_) return false;
        core_->handle_page(*std::exchange(page_, {}), *std::exchange(page_read_, {}), now);
        return true;
      case 6:
        if (const stored_message* m = application_up ? core_->poll_delivery(now) : nullptr) {
          demand(disk.inbox.contains(m->index), "a message is delivered before it is stored");
          consumed.push_back({m->index, std::string(m->contents.text())});
          core_->handle_consumed(now);
          return true;
        }
        return false;
      default: {
        std::vector<std::byte> frame;
        if (!core_->poll_frame(frame, now)) return false;
        demand(frame.size() <= frame_limit, "a frame exceeds the limit");
        ++frames;
        out(std::move(frame));
        return true;
      }
    }
  }

  timestamp deadline() const {
    timestamp at = core_->deadline();
    return change_ && done_at_ > last_ ? std::min(at, done_at_) : at;
  }
  void pass(timestamp now) {
    last_ = now;
    core_->handle_timeout(now);
  }

  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const consumed_message& t : consumed) all.push_back(t.text);
    return all;
  }
  std::size_t count(event_kind kind) const {
    return static_cast<std::size_t>(std::count_if(
        events.begin(), events.end(), [=](const event_record& n) { return n.kind == kind; }));
  }
  const event_record& find(event_kind kind) const {
    auto at = std::find_if(events.begin(), events.end(),
                           [=](const event_record& n) { return n.kind == kind; });
    demand(at != events.end(), "an event is missing");
    return *at;
  }

  /// This side as it is now, memory and store; only of a core that is recorded.
  auto freeze() const { return std::pair(static_cast<const side_state&>(*this), core_->record()); }
  /// The side is as it was, whatever came since.
  template <class frozen>
  void thaw(const frozen& image) {
    core_.reset();
    static_cast<side_state&>(*this) = image.first;
    core_ = std::make_unique<core_type>(o_, image.second);
  }
  /// What the system draws from.
  seeded_entropy& system_entropy() { return entropy_; }

 private:
  bool read_page() {
    page_read_ =
        model_store::read(page_->source() == queue::outbox ? disk.outbox : disk.inbox, *page_);
    return true;
  }

  bool fails_now() const { return failing_commits > 0; }

  bool end_commit(timestamp now) {
    if (!change_ || done_at_ > now) return false;
    if (applied_) {
      change_.reset();
      applied_ = false;
      core_->handle_committed(now);
      return true;
    }
    if (!fails_now()) return false;
    --failing_commits;
    change_.reset();
    core_->handle_commit_failed(std::make_error_code(std::errc::no_space_on_device), now);
    return true;
  }

  std::string name_, peer_;
  options o_;
  bool reliable_;
  random_source chance_;
  seeded_entropy entropy_;
  std::unique_ptr<core_type> core_;
};

using core_side = basic_core_side<association>;

/// The faults of the way between them, in percent.
struct way_faults {
  std::uint64_t loss = 0, repetition = 0, corruption = 0;
  timestamp delay = 1ms, spread{};
};

template <class core_type>
class basic_core_pair {
 public:
  using side = basic_core_side<core_type>;

  explicit basic_core_pair(options settings = {}, std::uint64_t seed = 1, bool reliable = false)
      : a("a", "b", settings, reliable, seed * 2 + 1),
        b("b", "a", settings, reliable, seed * 2 + 2),
        reliable_(reliable),
        chance_(seed) {
    a.start();
    b.start();
  }

  side& other(const side& of) { return &of == &a ? b : a; }

  void connect() {
    up_ = true;
    a->handle_session_up(now);
    b->handle_session_up(now);
  }
  void disconnect(bool lose_frames = true) {
    up_ = false;
    a->handle_session_down();
    b->handle_session_down();
    if (lose_frames) flight.clear();
  }
  void reconnect(bool lose_frames = true) {
    disconnect(lose_frames);
    connect();
  }

  /// Drops an association and builds it again from its store. The other side learns of it only if
  /// `seen`.
  void crash(side& s, bool seen = true) {
    bool was_up = up_;
    s.crash();
    s.start();
    if (!was_up) return;
    s->handle_session_up(now);
    if (!seen && !reliable_) return;
    if (reliable_) flight.clear();
    other(s)->handle_session_down();
    other(s)->handle_session_up(now);
  }

  /// Does one operation that is possible now; false if there is none.
  bool operate() {
    std::uint64_t first = shuffled ? chance_.below(choices) : 0;
    for (std::uint64_t i = 0; i < choices; ++i) {
      int which = static_cast<int>((first + i) % choices);
      if (which == 0) {
        if (!flight.empty() && flight.begin()->first.first <= now) return arrive(), ++steps, true;
        continue;
      }
      side& s = which % 2 == 0 ? a : b;
      bool to_a = &s == &b;
      if (s.operate((which - 1) / 2, now,
                    [&](std::vector<std::byte> frame) { carry(to_a, std::move(frame)); })) {
        ++steps;
        return true;
      }
    }
    return false;
  }

  /// Moves to the next moment at which something happens; false if there is none.
  bool wait() {
    timestamp at = std::min(a.deadline(), b.deadline());
    if (!flight.empty()) at = std::min(at, flight.begin()->first.first);
    if (at == never) return false;
    now = std::max(now, at);
    a.pass(now);
    b.pass(now);
    return true;
  }

  bool step() { return operate() || wait(); }

  /// Runs until `done()`; false if that is not so by `limit`, or after far too many operations.
  bool until(const std::function<bool()>& done, timestamp limit = 60s) {
    timestamp end = now + limit;
    for (std::uint64_t most = steps + 2'000'000; steps < most;) {
      if (done()) return true;
      if (operate()) continue;
      if (!wait() || now > end) return done();
    }
    throw std::logic_error("no end of operations");
  }
  void run_for(timestamp span) {
    timestamp end = now + span;
    // Deadlines beyond the span are left alone.
    until([&] {
      timestamp next = std::min(a.deadline(), b.deadline());
      if (!flight.empty()) next = std::min(next, flight.begin()->first.first);
      if (next <= end) return false;
      while (operate()) {
      }
      next = std::min(a.deadline(), b.deadline());
      if (!flight.empty()) next = std::min(next, flight.begin()->first.first);
      return next > end;
    });
    now = std::max(now, end);
  }

  bool established() {
    return a->state() == phase::established && b->state() == phase::established;
  }
  /// Whether all that was sent is delivered and both sides know it, and store it.
  bool settled() {
    return a->outbox_depth() == 0 && b->outbox_depth() == 0 && a->inbox_depth() == 0 &&
           b->inbox_depth() == 0 && a.disk.outbox.empty() && b.disk.outbox.empty();
  }
  bool settle(timestamp limit = 60s) {
    return until([&] { return settled(); }, limit);
  }

  timestamp now = 1s;
  way_faults faults;
  std::uint64_t steps = 0;
  bool shuffled = false;
  /// Frames under way: by arrival, then by number.
  std::map<std::pair<timestamp, std::uint64_t>, std::pair<bool, std::vector<std::byte>>> flight;
  /// Sees each frame that is sent; false loses it.
  std::function<bool(bool to_a, const std::vector<std::byte>&)> filter;
  /// Changes each frame that is sent.
  std::function<void(bool to_a, std::vector<std::byte>&)> alter;
  side a, b;

 private:
  static constexpr std::uint64_t choices = 1 + 2 * side::operations;

  void carry(bool to_a, std::vector<std::byte> frame) {
    if (!up_ || (filter && !filter(to_a, frame))) return;
    if (alter) alter(to_a, frame);
    if (chance_.below(100) < faults.loss) return;
    if (chance_.below(100) < faults.corruption) {
      frame[as_size(chance_.below(frame.size()))] ^=
          std::byte{static_cast<unsigned char>(1U << chance_.below(8))};
    }
    do {
      timestamp at = now + faults.delay;
      if (!reliable_ && faults.spread > 0ns) {
        at += timestamp(chance_.below(static_cast<std::uint64_t>(faults.spread.count())));
      }
      flight.emplace(std::pair(at, ++numbers_), std::pair(to_a, frame));
    } while (chance_.below(100) < faults.repetition);
  }

  void arrive() {
    auto first = flight.extract(flight.begin());
    auto& [to_a, frame] = first.mapped();
    if (!up_) return;
    (to_a ? a : b)->handle_frame(frame, now);
  }

  bool reliable_;
  bool up_ = false;
  random_source chance_;
  std::uint64_t numbers_ = 0;
};

using core_pair = basic_core_pair<association>;

/// "p1", "p2", ... "pn".
inline std::vector<std::string> numbered(const std::string& prefix, std::size_t n) {
  std::vector<std::string> all;
  for (std::size_t i = 1; i <= n; ++i) all.push_back(prefix + std::to_string(i));
  return all;
}

inline bool is_prefix(const std::vector<std::string>& part, const std::vector<std::string>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

}  // namespace test
