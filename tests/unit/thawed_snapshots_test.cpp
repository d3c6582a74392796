// A machine is copied while it runs, memory and store, goes on, and the copy is thawed later: that
// side goes on from where it was, while the other knows more. Judged from outside.

#include "support/as_size.hpp"
#include "support/catch.hpp"
#include "support/recorded_core.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace test;

namespace {

using texts = std::vector<std::string>;

/// Who notices a thaw.
enum class noticed { by_nobody, here, there, by_both };

struct plan {
  std::uint64_t seed = 1;
  bool reliable = false;
  noticed by = noticed::by_nobody;
  int sides = 1;              ///< bits: a, b
  int times = 1;              ///< how often the snapshot of each is thawed
  std::uint64_t before = 60;  ///< operations until the snapshot, then until the thaw, and after it
  std::uint64_t between = 60, after = 40;
  bool later_traffic = true;     ///< sends between the thaw and the calm
  bool repeats_entropy = false;  ///< the snapshot holds the generator as well
};

options settings_of(const plan& w) {
  options o;
  // Without keepalives it is for the network to say that a session is no more.
  bool said = w.by != noticed::by_nobody || w.reliable;
  if (said && w.seed % 2 == 0) o.keepalive_interval = 0s;
  if (w.seed % 3 == 0) {
    o.window_messages = 4;
    o.credit_messages = 5;
    o.page_messages = 3;
  }
  return o;
}

/// What went with a thaw.
struct thaw_record {
  std::uint64_t known = 0;  ///< messages that the snapshot knows
  texts sent;               ///< with those that it does not know
  texts consumed;
  std::vector<event_record> events;  ///< that the side read before the thaw
  std::size_t events_here = 0, events_there = 0;
  bool met = false;   ///< the snapshot knows the other side
  bool told = false;  ///< the other side's store showed more than the snapshot had
};

struct figures {
  std::uint64_t histories = 0, thaws = 0, told = 0, own_events = 0, peer_events = 0;
  std::uint64_t named_lost = 0, named_twice = 0, gone_unseen = 0, told_twice = 0;
  std::uint64_t messages = 0;

  void add(const figures& f) {
    histories += f.histories, thaws += f.thaws, told += f.told, own_events += f.own_events;
    peer_events += f.peer_events, named_lost += f.named_lost, named_twice += f.named_twice;
    gone_unseen += f.gone_unseen, told_twice += f.told_twice, messages += f.messages;
  }
};

bool is_own(event_kind k) { return k == event_kind::rolled_back || k == event_kind::store_lost; }
bool is_peers(event_kind k) {
  return k == event_kind::peer_rolled_back || k == event_kind::peer_reset;
}

template <class predicate>
std::size_t count_from(const recorded_side& s, std::size_t from, predicate p) {
  std::size_t n = 0;
  for (std::size_t i = from; i < s.events.size(); ++i) n += p(s.events[i].kind) ? 1U : 0U;
  return n;
}

bool names(const std::vector<event_record>& events, bool outbound, std::uint64_t sequence) {
  return std::any_of(events.begin(), events.end(), [&](const event_record& e) {
    bool history = is_own(e.kind) || is_peers(e.kind) || e.kind == event_kind::gap;
    return history && (outbound ? e.outbound : e.inbound).contains(sequence);
  });
}

/// Whether the store of a side shows something that a snapshot of the other lacks.
/// What it was told of may reach the snapshot once more, if frames are under way.
bool knows_more(const cursors& intact, const cursors& back, bool under_way) {
  bool follows = intact.inbox.stream == back.outbox.stream;
  bool followed = intact.outbox.stream == back.inbox.stream;
  bool made = intact.history.seen.count > back.history.mark.count ||
              (follows && intact.inbox.received() >= back.outbox.next);
  bool told = intact.history.confirmed.count > back.history.seen.count ||
              (followed && intact.outbox.acknowledged > back.inbox.received());
  return made || (told && !under_way);
}

std::uint64_t times_in(const texts& all, const std::string& text) {
  return static_cast<std::uint64_t>(std::count(all.begin(), all.end(), text));
}

class history {
 public:
  explicit history(const plan& w)
      : plan_(w),
        settings_(settings_of(w)),
        chance_(w.seed * 7919 + w.before * 31 + w.between),
        pair_(settings_, w.seed, w.reliable) {
    pair_.shuffled = chance_.below(4) != 0;
    if (!w.reliable && chance_.below(2) == 0) {
      pair_.faults.loss = chance_.below(30);
      pair_.faults.repetition = chance_.below(20);
      pair_.faults.spread = std::chrono::milliseconds(chance_.below(20));
    }
    for (recorded_side* s : {&pair_.a, &pair_.b}) {
      s->commit_time = std::chrono::milliseconds(chance_.below(3) * 2);
    }
  }

  figures play() {
    pair_.connect();
    advance(plan_.before, true);
    auto image_a = pair_.a.freeze();
    generators drawn_from = generators_now();
    // The other side's is taken at another moment.
    if (plan_.sides == 3) advance(1 + chance_.below(plan_.between), true);
    auto image_b = pair_.b.freeze();
    for (int time = 0; time < plan_.times; ++time) {
      advance(plan_.between, true);
      if ((plan_.sides & 1) != 0) thaw(pair_.a, image_a);
      if (plan_.repeats_entropy) restore(drawn_from);
      if (plan_.sides == 3) advance(chance_.below(plan_.between), true);
      if ((plan_.sides & 2) != 0) thaw(pair_.b, image_b);
      if (plan_.repeats_entropy && plan_.sides != 1) restore(drawn_from);
    }
    advance(plan_.after, plan_.later_traffic);
    calm();
    judge();
    return figures_;
  }

 private:
  using generators = std::pair<seeded_entropy, seeded_entropy>;
  generators generators_now() { return {pair_.a.system_entropy(), pair_.b.system_entropy()}; }
  void restore(const generators& g) {
    if ((plan_.sides & 1) != 0) pair_.a.system_entropy() = g.first;
    if ((plan_.sides & 2) != 0) pair_.b.system_entropy() = g.second;
  }

  std::vector<thaw_record>& thaws_of(const recorded_side& s) { return thaws_[&s == &pair_.b]; }

  void send(recorded_side& s) { s.send("m" + std::to_string(++number_)); }

  void advance(std::uint64_t steps, bool traffic) {
    for (std::uint64_t end = pair_.steps + steps; pair_.steps < end;) {
      if (traffic && chance_.below(9) == 0) send(chance_.below(2) == 0 ? pair_.a : pair_.b);
      if (traffic && chance_.below(150) == 0) pair_.reconnect(plan_.reliable);
      if (chance_.below(40) == 0) {
        recorded_side& s = chance_.below(2) == 0 ? pair_.a : pair_.b;
        s.application_up = !s.application_up;
      }
      if (!pair_.step()) {
        if (!traffic) return;
        send(pair_.a);
      }
    }
  }

  template <class frozen>
  void thaw(recorded_side& s, const frozen& image) {
    recorded_side& peer = pair_.other(s);
    thaw_record r;
    r.known = image.first.disk.where.outbox.next - 1;
    r.sent = s.sent;
    r.consumed = s.texts();
    r.events = s.events;
    r.events_here = image.first.events.size();
    r.events_there = peer.events.size();
    const cursors back = newest(s, image);
    // A hello under verification is in memory, too.
    bool sure = back.met() && image.second.at_the_end->state != phase::verifying;
    bool under_way = !plan_.reliable &&
                     std::any_of(pair_.flight.begin(), pair_.flight.end(),
                                 [&](const auto& f) { return f.second.first == (&s == &pair_.a); });
    r.met = back.met();
    r.told = sure && knows_more(peer.disk.where, back, under_way);
    s.thaw(image);
    thaws_of(s).push_back(std::move(r));
    // Whatever is named to the peer is forgotten with it, if that goes back.
    for (thaw_record& t : thaws_of(peer)) {
      t.told = false;
      t.events_there = std::min(t.events_there, s.events.size());
    }
    ++figures_.thaws;
    noticed by = plan_.reliable ? noticed::by_both : plan_.by;
    if (plan_.reliable) pair_.flight.clear();
    if (by == noticed::here || by == noticed::by_both) renew_session(s);
    if (by == noticed::there || by == noticed::by_both) renew_session(peer);
  }
  /// What a snapshot knows, with the change in commit and what memory has of the peer.
  template <class frozen>
  cursors newest(recorded_side& s, const frozen& image) {
    seeded_entropy untouched = s.system_entropy();
    recorded_core copy(settings_, image.second);
    if (image.first.in_commit()) copy.handle_committed(pair_.now);
    cursors known = copy.stored();
    if (std::optional<store_change> c = copy.poll_change(pair_.now)) {
      known.inbox = c->next.inbox;
      known.history.seen = c->next.history.seen;
    }
    s.system_entropy() = untouched;
    return known;
  }
  void renew_session(recorded_side& s) {
    s->handle_session_down();
    s->handle_session_up(pair_.now);
  }

  void calm() {
    pair_.faults = {};
    for (recorded_side* s : {&pair_.a, &pair_.b}) {
      s->application_up = true;
      s->commit_time = {};
    }
    rest("it does not come to rest");
    send(pair_.a);
    send(pair_.b);
    rest("it does not go on to carry messages");
    // What was lost is told by now, whoever was to tell it.
    demand(pair_.a.texts().back() == "m" + std::to_string(number_), "the last to a did not come");
    demand(pair_.b.texts().back() == "m" + std::to_string(number_ - 1),
           "the last to b did not come");
  }
  void rest(const char* otherwise) {
    auto at_rest = [&] { return pair_.established() && pair_.settled(); };
    bool done = pair_.until(at_rest, 300s);
    pair_.run_for(1s);
    demand(done && pair_.until(at_rest, 300s), otherwise);
    while (pair_.a.operate(0, pair_.now, {}) || pair_.b.operate(0, pair_.now, {})) {
    }
  }

  void judge() {
    judge_stream(pair_.a, pair_.b);
    judge_stream(pair_.b, pair_.a);
    judge_events(pair_.a);
    judge_events(pair_.b);
    ++figures_.histories;
    figures_.messages += number_;
  }

  void judge_stream(const recorded_side& from, const recorded_side& to) {
    const texts consumed = to.texts();
    demand(from.sent.size() + 1 == from.disk.where.outbox.next, "the record of sends is wrong");
    for (std::size_t i = 0; i < from.sent.size(); ++i) {
      std::uint64_t times = times_in(consumed, from.sent[i]);
      if (times == 1) continue;
      bool told = named(to, false, i + 1) &&
                  (named(from, true, i + 1) || (times == 0 && was_delivered(to, from.sent[i])));
      if (times == 0) {
        ++figures_.named_lost;
        demand(told, "a message never came, and not both sides were told");
      } else {
        ++figures_.named_twice;
        demand(told, "a message came twice, and not both sides were told");
      }
    }
    judge_order(from.sent, consumed);
    for (const thaw_record& t : thaws_of(from)) {
      judge_order_of_gone(t, from.sent, consumed);
      judge_gone(t, from, to, consumed);
    }
    judge_known(from, consumed);
  }

  /// Whether a side was told. If both went back, that may have been before it did.
  bool named(const recorded_side& s, bool outbound, std::uint64_t sequence) {
    if (names(s.events, outbound, sequence)) return true;
    if (thaws_[0].empty() || thaws_[1].empty()) return false;
    return std::any_of(thaws_of(s).begin(), thaws_of(s).end(),
                       [&](const thaw_record& t) { return names(t.events, outbound, sequence); });
  }

  /// Whether the application of a side without any store of the peer's, before it went back, had
  /// the message: the event that the peer lost its store leaves out what was confirmed as
  /// delivered.
  bool was_delivered(const recorded_side& to, const std::string& text) {
    if (count_from(to, 0, [](event_kind k) { return k == event_kind::store_lost; }) == 0) {
      return false;
    }
    return std::any_of(thaws_of(to).begin(), thaws_of(to).end(),
                       [&](const thaw_record& t) { return times_in(t.consumed, text) > 0; });
  }

  /// The last of each message in order; and those that its sender knows no more, in theirs.
  static void judge_order(const texts& sent, const texts& consumed) {
    std::map<std::string, std::size_t> came;
    for (std::size_t i = 0; i < consumed.size(); ++i) came[consumed[i]] = i + 1;
    std::size_t last = 0;
    for (const std::string& text : sent) {
      auto at = came.find(text);
      if (at == came.end()) continue;
      demand(at->second > last, "messages came out of order");
      last = at->second;
    }
  }
  static void judge_order_of_gone(const thaw_record& t, const texts& kept, const texts& consumed) {
    texts gone;
    for (std::size_t i = as_size(t.known); i < t.sent.size(); ++i) {
      if (times_in(kept, t.sent[i]) == 0) gone.push_back(t.sent[i]);
    }
    judge_order(gone, consumed);
  }
  void judge_known(const recorded_side& from, const texts& consumed) {
    for (const std::string& text : consumed) {
      bool known = times_in(from.sent, text) > 0;
      for (const thaw_record& t : thaws_of(from)) known = known || times_in(t.sent, text) > 0;
      demand(known, "a message came that no store accepted");
    }
  }

  bool went_to_before_all(const recorded_side& s) {
    return std::any_of(thaws_of(s).begin(), thaws_of(s).end(),
                       [](const thaw_record& t) { return !t.met; }) &&
           count_from(s, 0, is_own) + count_from(s, 0, is_peers) == 0;
  }

  /// The messages that a side accepted and then knew no more.
  void judge_gone(const thaw_record& t, const recorded_side& from, const recorded_side& to,
                  const texts& consumed) {
    bool told = count_from(from, t.events_here, is_own) > 0;
    for (std::size_t i = as_size(t.known); i < t.sent.size(); ++i) {
      bool here = times_in(from.sent, t.sent[i]) > 0, there = times_in(consumed, t.sent[i]) > 0;
      if (here) continue;
      // The other side has another message under the number, and never had this one.
      bool replaced = i < from.sent.size() && times_in(consumed, from.sent[i]) > 0;
      // What a store of the other side has was found to be missing here.
      if (there) demand(told, "a side has a message that the other forgot and was not told of");
      if (there) continue;
      // Or it went back to before the two had met, and is told of nothing.
      if (!told || replaced || (went_to_before_all(to) && !named(to, false, i + 1))) {
        ++figures_.gone_unseen;
        bool alone = thaws_of(to).empty();
        demand(!told || !alone || named(from, true, i + 1), "a side is told of less than it lost");
        continue;
      }
      ++figures_.named_lost;
      demand(named(from, true, i + 1) && named(to, false, i + 1),
             "a message went with its store, and not both sides were told");
    }
  }

  void judge_events(const recorded_side& s) {
    const recorded_side& peer = pair_.other(const_cast<recorded_side&>(s));
    const std::vector<thaw_record>& thaws = thaws_of(s);
    for (const thaw_record& t : thaws) {
      if (!t.told) continue;
      ++figures_.told;
      demand(count_from(s, t.events_here, is_own) > 0, "a side that went back is not told");
      demand(count_from(peer, t.events_there, is_peers) > 0, "the other side is not told");
    }
    std::size_t own = count_from(s, 0, is_own), theirs = count_from(peer, 0, is_peers);
    figures_.own_events += own;
    figures_.peer_events += theirs;
    if (thaws.empty()) demand(own == 0 && theirs == 0, "a side that did not go back is said to");
    if (!thaws_of(peer).empty()) return;
    // What was under way from the life that went may be stored between the two times.
    if (own > 1 || theirs > thaws.size()) ++figures_.told_twice;
    demand(own <= 2 && theirs <= thaws.size() + 1, "one loss is told again and again");
  }

  plan plan_;
  options settings_;
  random_source chance_;
  recorded_pair pair_;
  std::array<std::vector<thaw_record>, 2> thaws_;
  std::uint64_t number_ = 0;
  figures figures_;
};

std::string described(const plan& w) {
  return "seed " + std::to_string(w.seed) + " reliable " + std::to_string(w.reliable) + " by " +
         std::to_string(static_cast<int>(w.by)) + " sides " + std::to_string(w.sides) + " times " +
         std::to_string(w.times) + " before " + std::to_string(w.before) + " between " +
         std::to_string(w.between) + " after " + std::to_string(w.after) + " later " +
         std::to_string(w.later_traffic);
}

plan drawn(std::uint64_t seed) {
  random_source r(seed);
  plan w;
  w.seed = seed;
  w.reliable = r.below(4) == 0;
  w.by = static_cast<noticed>(r.below(4));
  w.sides = static_cast<int>(1 + r.below(3));
  w.times = r.below(3) == 0 ? static_cast<int>(2 + r.below(2)) : 1;
  w.before = r.below(200);
  w.between = 1 + r.below(r.below(2) == 0 ? 20 : 150);
  w.after = r.below(100);
  w.later_traffic = r.below(2) == 0;
  return w;
}

/// How many histories a test plays; more by hand: ILM_THAWS=FIRST:LAST.
std::pair<std::uint64_t, std::uint64_t> seeds(std::uint64_t last) {
  const char* given = std::getenv("ILM_THAWS");
  if (given == nullptr) return {1, last};
  std::string s = given;
  return {std::stoull(s), std::stoull(s.substr(s.find(':') + 1))};
}

struct result {
  figures all;
  std::map<std::string, std::uint64_t> failed;  ///< by what is wrong
  std::string first;
};

constexpr const char* untold = "a side that went back is not told";

result play(std::uint64_t last, bool repeats) {
  result v;
  const auto [first, end] = seeds(last);
  for (std::uint64_t seed = first; seed <= end; ++seed) {
    if (repeats && v.failed.contains(untold)) break;
    plan w = drawn(seed);
    w.repeats_entropy = repeats;
    try {
      v.all.add(history(w).play());
    } catch (const std::logic_error& e) {
      if (v.failed[e.what()]++ == 0) v.first += std::string(e.what()) + ": " + described(w) + '\n';
    }
  }
  return v;
}

std::string described(const result& v) {
  const figures& f = v.all;
  std::string text = v.first;
  for (const auto& [what, n] : v.failed) text += std::to_string(n) + " x " + what + '\n';
  auto add = [&](std::uint64_t n, const char* of) { text += std::to_string(n) + of; };
  add(f.histories, " histories, "), add(f.thaws, " thaws, "), add(f.told, " sure to be told, ");
  add(f.own_events, " told here, "), add(f.peer_events, " there, "), add(f.told_twice, " twice; ");
  add(f.messages, " messages, "), add(f.named_lost, " named as lost, ");
  add(f.named_twice, " as come twice, "), add(f.gone_unseen, " gone that nobody had seen");
  return text;
}

}  // namespace

TEST_CASE("a snapshot thawed while the other side knows more: all lost or doubled is named") {
  result v = play(420, false);
  INFO(described(v));
  CHECK(v.failed.empty());
  CHECK(v.all.told > 100);
  CHECK(v.all.named_lost > 500);
  CHECK(v.all.named_twice > 500);
  if (std::getenv("ILM_THAWS") != nullptr) WARN(described(v));
}

TEST_CASE("random numbers that a snapshot holds as well leave some thaws untold") {
  // Two lives that draw the same stamps look like one. Messages are told apart by their hashes
  // even so.
  result v = play(2000, true);
  INFO(described(v));
  CHECK(v.failed[untold] > 0);
  for (const auto& [what, n] : v.failed) CHECK(what.find("message") == std::string::npos);
}

TEST_CASE("a thaw that nobody notices is told soon, however far back it went") {
  for (bool here : {true, false}) {
    recorded_pair p;
    p.connect();
    p.a.send("a1");
    p.b.send("b1");
    REQUIRE(p.settle());
    auto image = p.b.freeze();
    // Then the frames that b sent have numbers far above those that it knows of.
    for (int i = 0; i < 100; ++i) {
      (here ? p.b : p.a).send("gone");
      REQUIRE(p.settle());
    }
    p.b.thaw(image);
    INFO(here);
    CHECK(p.until([&] { return p.b.count(event_kind::rolled_back) == 1; }, 20s));
    CHECK(p.until([&] { return p.a.count(event_kind::peer_rolled_back) == 1; }, 1s));
    p.a.send("more");
    p.b.send("more");
    CHECK(p.settle());
  }
}
