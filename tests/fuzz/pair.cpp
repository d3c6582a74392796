// Two associations and a way between them. The input says what is sent and what goes wrong: frames
// that are lost, repeated, late, out of order or damaged, sessions that end, commits that fail,
// applications that stall, crashes, stores that are lost or put back. Then comes calm, in which
// everything must arrive: exactly once and in order, unless an event named it.

#include "fuzz/input.hpp"
#include "support/core_pair.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;
using fuzz::require;
using test::core_side;

options draw_options(fuzz::input& in) {
  options o;
  std::uint8_t which = in.byte();
  o.maximum_message_size = 300;
  o.window_messages = 1 + which % 8;
  o.credit_messages = 1 + which / 8 % 8;
  o.window_bytes = o.credit_bytes = 600;
  o.page_messages = 1 + which / 64;
  o.frame_fill = 400;
  if ((which & 1) != 0) o.keepalive_interval = duration::zero();
  return o;
}

/// All that went from one side to the other, as it looks from outside.
struct stream {
  std::size_t looked_at = 0;  ///< how many of the sender's stored texts were looked at
  struct record {
    std::uint64_t sequence;
    bool forgotten;  ///< the store that accepted it was lost, or went back to before it
  };
  std::map<std::uint64_t, record> accepted;  ///< by number
  /// The messages that the application consumed, for each store that it had.
  std::vector<std::vector<std::uint64_t>> consumed{1};
};

class run {
 public:
  explicit run(std::span<const std::byte> data)
      : in_(data),
        settings_(draw_options(in_)),
        reliable_(in_.below(4) == 0),
        pair_(settings_, in_.byte(), reliable_) {
    pair_.shuffled = in_.coin();
  }

  void play() {
    pair_.connect();
    up_ = true;
    for (int steps = 0; !in_.empty() && steps < 200; ++steps) {
      step();
      look();
    }
    calm();
    check(pair_.a, pair_.b, streams_[0]);
    check(pair_.b, pair_.a, streams_[1]);
  }

 private:
  std::size_t number_of(const core_side& s) const { return &s == &pair_.a ? 0 : 1; }
  stream& outgoing(const core_side& s) { return streams_[number_of(s)]; }
  stream& incoming(const core_side& s) { return streams_[1 - number_of(s)]; }
  core_side& any() { return in_.coin() ? pair_.a : pair_.b; }

  void step() {
    switch (in_.below(20)) {
      case 0:
      case 1:
        return send(pair_.a);
      case 2:
        return send(pair_.b);
      case 3:
      case 4:
        return operate(in_.byte());
      case 5:
        pair_.run_for(std::chrono::milliseconds(in_.byte()));
        return;
      case 6:
        return pair_.run_for(std::chrono::milliseconds(in_.byte() * 40));
      case 7: {
        core_side& s = any();
        return pair_.crash(s, in_.coin());
      }
      case 8:
        pair_.disconnect(in_.coin());
        up_ = false;
        return;
      case 9:
        pair_.connect();
        up_ = true;
        return;
      case 10:
        return change_faults();
      case 11:
        any().application_up = in_.coin();
        return;
      case 12:
        any().failing_commits = static_cast<int>(in_.below(4));
        return;
      case 13:
        any().commit_time = std::chrono::milliseconds(in_.below(100));
        return;
      case 14:
      case 15:
        return meddle();
      case 16:
        return lose(any());
      case 17:
        return copy(any());
      case 18:
        return put_back(any());
      default:
        pair_.wait();
    }
  }

  void send(core_side& s) {
    for (std::size_t count = 1 + in_.below(6); count > 0; --count) {
      std::string text = std::to_string(++number_) + ' ';
      text.resize(text.size() + in_.below(4) * 60, '.');
      s.send(text);
    }
  }

  void operate(std::size_t count) {
    for (; count > 0; --count) {
      if (!pair_.operate()) return;
    }
  }

  void change_faults() {
    test::way_faults f;
    if (!reliable_) {
      f.loss = in_.below(60);
      f.repetition = in_.below(50);
      f.corruption = in_.below(30);
      f.spread = std::chrono::milliseconds(in_.byte());
    }
    f.delay = std::chrono::milliseconds(in_.below(50));
    pair_.faults = f;
  }

  /// Does something to one frame that is under way.
  void meddle() {
    if (pair_.flight.empty() || reliable_) return;
    auto at = pair_.flight.begin();
    std::advance(at, in_.below(pair_.flight.size()));
    switch (in_.below(4)) {
      case 0:
        pair_.flight.erase(at);
        return;
      case 1: {
        std::vector<std::byte>& frame = at->second.second;
        frame[in_.byte() % frame.size()] ^= static_cast<std::byte>(1U << in_.below(8));
        return;
      }
      default: {
        // Again, and later: it may meet a later process of its receiver.
        timestamp late = pair_.now + std::chrono::milliseconds(in_.byte() * 20);
        pair_.flight.emplace(std::pair(late, --late_numbers_), at->second);
      }
    }
  }

  // Events of one side.

  /// As a crash, with another store than before.
  void replace(core_side& s, const std::function<void()>& exchange) {
    // What was consumed and is not recorded is undone; the rest stays consumed, whatever the store
    // says.
    s.crash();
    look();
    exchange();
    s.consumed.clear();
    incoming(s).consumed.emplace_back();
    s.start();
    if (!up_) return;
    if (reliable_) pair_.flight.clear();
    s->handle_session_up(pair_.now);
    core_side& other = pair_.other(s);
    if (!reliable_) return;
    other->handle_session_down();
    other->handle_session_up(pair_.now);
  }

  void lose(core_side& s) {
    ++losses_;
    bool met = pair_.other(s).disk.where.met();
    replace(s, [&] { s.lose_store(); });
    lost_after_meeting_ = met;
    for (auto& [number, r] : outgoing(s).accepted) r.forgotten = true;
  }

  void copy(core_side& s) {
    look();
    copies_[number_of(s)] = s.disk;
  }

  void put_back(core_side& s) {
    std::optional<test::model_store>& old = copies_[number_of(s)];
    if (!old) return;
    ++returns_;
    replace(s, [&] { s.disk = *old; });
    for (auto& [number, r] : outgoing(s).accepted) {
      auto known =
          std::find_if(s.disk.outbox.begin(), s.disk.outbox.end(), [&, n = number](auto& m) {
            return read_number(std::string(m.second.contents.text())) == n;
          });
      r.forgotten = r.forgotten || known == s.disk.outbox.end();
    }
  }

  // The outside.

  static std::uint64_t read_number(const std::string& text) { return std::stoull(text); }

  void look() {
    for (core_side* s : {&pair_.a, &pair_.b}) {
      stream& out = outgoing(*s);
      for (; out.looked_at < s->sent.size(); ++out.looked_at) {
        std::uint64_t number = read_number(s->sent[out.looked_at]);
        out.accepted[number] = stream::record{sequence_of(*s, s->sent[out.looked_at]), false};
      }
      std::vector<std::uint64_t> consumed;
      for (const test::consumed_message& t : s->consumed) consumed.push_back(read_number(t.text));
      incoming(*s).consumed.back() = std::move(consumed);
    }
  }

  static std::uint64_t sequence_of(const core_side& s, const std::string& text) {
    for (const auto& [sequence, m] : s.disk.outbox) {
      if (m.contents.text() == text) return sequence;
    }
    return 0;  // confirmed already, and erased
  }

  void calm() {
    pair_.faults = {};
    for (core_side* s : {&pair_.a, &pair_.b}) {
      s->application_up = true;
      s->failing_commits = 0;
      s->commit_time = {};
    }
    // A network that cannot tell who is there says nothing now: the sides find each other again.
    if (!up_ || reliable_ || in_.coin()) pair_.reconnect(false);
    bool settled = pair_.until([&] { return pair_.established() && pair_.settled(); }, 300s);
    // The one side may be in a session that the other has left already; and what was told at the
    // very end is not read yet.
    pair_.run_for(1s);
    settled = settled && pair_.until([&] { return pair_.established() && pair_.settled(); }, 300s);
    for (core_side* side : {&pair_.a, &pair_.b}) {
      while (std::optional<event_record> e = (*side)->poll_event()) side->events.push_back(*e);
    }
    look();
    require(settled, "it does not come to rest when nothing goes wrong any more");
  }

  void check(core_side& sender, core_side& receiver, const stream& s) {
    bool went_back = returns_ > 0;
    check_known(s);
    if (losses_ == 0 && !went_back) return check_exact(s);
    if (!went_back) {
      check_named(sender, s);
      check_lost(receiver, s);
      return;
    }
    check_reported(sender, receiver, s);
  }

  void check_known(const stream& s) {
    for (const auto& process : s.consumed) {
      for (std::uint64_t n : process) {
        require(s.accepted.contains(n), "a message is consumed that no store accepted");
      }
    }
  }

  static void check_exact(const stream& s) {
    std::vector<std::uint64_t> all;
    for (const auto& [number, r] : s.accepted) all.push_back(number);
    require(s.consumed.back() == all, "not exactly once and in order");
  }

  /// Whether an event names the message as one that the peer's lost store may have had. A late
  /// frame of the lost life that is taken by the next one makes that look as if it had gone back.
  static bool named(const core_side& s, bool outbound, std::uint64_t sequence) {
    return std::any_of(s.events.begin(), s.events.end(), [&](const event_record& n) {
      return (n.kind == event_kind::peer_reset || n.kind == event_kind::peer_rolled_back) &&
             (outbound ? n.outbound : n.inbound).contains(sequence);
    });
  }

  /// With stores that were lost: all arrives, in order in each process, twice only what was named.
  void check_named(core_side& sender, const stream& s) {
    std::set<std::uint64_t> seen;
    for (const auto& process : s.consumed) {
      require(std::adjacent_find(process.begin(), process.end(), std::greater_equal<>()) ==
                  process.end(),
              "out of order, or twice in one process");
      for (std::uint64_t n : process) {
        if (seen.insert(n).second) continue;
        require(named(sender, true, s.accepted.at(n).sequence),
                "a message came twice, and no event says so");
      }
    }
    for (const auto& [number, r] : s.accepted) {
      require(r.forgotten || seen.contains(number), "a message never came");
    }
  }

  /// If one store was lost, and the two had met, an event of the other side names the messages
  /// lost.
  void check_lost(core_side& receiver, const stream& s) {
    if (losses_ != 1 || !lost_after_meeting_) return;
    std::set<std::uint64_t> seen;
    for (const auto& process : s.consumed) seen.insert(process.begin(), process.end());
    for (const auto& [number, r] : s.accepted) {
      if (!r.forgotten || seen.contains(number) || r.sequence == 0) continue;
      require(named(receiver, false, r.sequence),
              "a message was lost with its store, and no event says so");
    }
  }

  static bool reported(const core_side& s) {
    return s.count(event_kind::peer_reset) + s.count(event_kind::store_lost) +
               s.count(event_kind::rolled_back) + s.count(event_kind::peer_rolled_back) >
           0;
  }

  /// With stores that went back: whatever came twice or never, an event says so.
  void check_reported(core_side& sender, core_side& receiver, const stream& s) {
    if (reported(sender) || reported(receiver)) return;
    // Nobody noticed: then what both remember is whole.
    std::set<std::uint64_t> seen;
    for (const auto& process : s.consumed) {
      for (std::uint64_t n : process) {
        bool again = !seen.insert(n).second;
        require(!again || s.consumed.size() > 1, "a message came twice, and no event says so");
      }
    }
    for (const auto& [number, r] : s.accepted) {
      require(r.forgotten || seen.contains(number), "a message never came, and no event says so");
    }
  }

  fuzz::input in_;
  options settings_;
  bool reliable_;
  test::core_pair pair_;
  bool up_ = false;
  std::array<stream, 2> streams_;  ///< to b, and to a
  std::array<std::optional<test::model_store>, 2> copies_;
  std::uint64_t number_ = 0;
  std::uint64_t late_numbers_ = ~std::uint64_t{0};
  int losses_ = 0;
  int returns_ = 0;
  bool lost_after_meeting_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    run(std::as_bytes(std::span(data, size))).play();
  } catch (const std::logic_error& e) {
    fuzz::fail(e.what());
  }
  return 0;
}
