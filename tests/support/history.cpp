#include "support/history.hpp"

#include "support/world.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace test {
namespace {

/// One message as the outside saw it go.
struct record {
  std::shared_ptr<sent> result;
  int sender_store = 0;    ///< which store of the sender it went into
  bool forgotten = false;  ///< the sender's store went back to before it
};

/// One message as an application took it.
struct taking {
  std::size_t number;
  int receiver_store;
  int receiver_life;
};

/// All that went from one peer to another.
struct stream {
  std::vector<record> records;
  std::vector<taking> taken;
  std::set<std::size_t> may_repeat;  ///< taken, and not recorded as such when the receiver crashed
};

struct actor {
  explicit actor(peer p) : body(std::move(p)) {}

  peer body;
  int store_number = 0;
  int life = 0;
  std::size_t seen = 0;  ///< how many of the application's messages were looked at
  std::size_t events_seen = 0;
  bool failing = false;
  bool went_back = false;

  /// An older state of the store, and which messages to each peer went into it for certain.
  struct backup {
    store content;
    std::map<std::string, std::vector<bool>> accepted;
  };
  std::vector<backup> copies;
};

class play_of {
 public:
  play_of(std::uint64_t seed, const history_profile& profile)
      : random_(seed), profile_(profile), world_(seed, 1024 + draw(4) * 3000) {
    std::size_t count = 2 + (draw(3) == 0 ? draw(3) : 0);
    options_.seed = seed;
    options_.keepalive_interval = 500ms;
    options_.keepalive_timeout = 2s;
    options_.maximum_message_size = 900;
    options_.window_messages = 1 + draw(100);
    options_.credit_messages = 1 + draw(100);
    options_.window_bytes = 900 + draw(20'000);
    options_.credit_bytes = 900 + draw(20'000);
    options_.page_messages = 1 + draw(20);
    options_.uncommitted_messages = 1 + draw(50);
    options_.event_limit = 100'000;
    for (std::size_t i = 0; i < count; ++i) {
      actors_.emplace_back(world_.make(std::string(1, static_cast<char>('a' + i))));
      actor& a = actors_.back();
      bool* failing = &a.failing;
      a.body.app().check = [failing](const message&) {
        if (*failing) throw std::runtime_error("not now");
      };
      start(a);
    }
  }

  history_result run() {
    std::size_t steps = 20 + draw(60);
    for (std::size_t i = 0; i < steps && result_.failure.empty(); ++i) step();
    calm();
    if (result_.failure.empty()) check();
    result_.frames = world_.net.counts().sent;
    result_.log = log_.str();
    return std::move(result_);
  }

 private:
  using pair_name = std::pair<std::string, std::string>;

  std::uint64_t draw(std::uint64_t bound) { return random_() % bound; }
  actor& any() { return actors_[draw(actors_.size())]; }

  std::ostream& note() { return log_ << clock::now().time_since_epoch() / 1us << " us: "; }
  void fail(const std::string& why) {
    if (result_.failure.empty()) result_.failure = why;
  }

  void start(actor& a) {
    ++a.life;
    ilm::options o = options_;
    o.seed = *options_.seed * 1000 + static_cast<std::uint64_t>(a.life) * 10 +
             static_cast<std::uint64_t>(&a - &actors_.front());
    a.body.start(o);
    a.body.watch();
    note() << a.body.name() << " starts\n";
  }

  void step() {
    switch (draw(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        send_some();
        break;
      case 5:
        change_faults();
        break;
      case 6:
        crash(any());
        break;
      case 7: {
        actor& a = any();
        if (!a.body.running()) start(a);
        break;
      }
      case 8:
        cut();
        break;
      case 9:
        mend();
        break;
      case 10:
        block();
        break;
      case 11:
        trouble_store(any());
        break;
      case 12:
        trouble_application(any());
        break;
      case 13:
        lose(any());
        break;
      default:
        break;
    }
    world_.run_for(std::chrono::microseconds(draw(4) == 0 ? draw(400'000) : draw(20'000)));
    collect();
    for (actor& a : actors_) {
      for (; a.events_seen < a.body.events().size(); ++a.events_seen) {
        const event& e = a.body.events()[a.events_seen];
        note() << a.body.name() << ": " << (e.peer ? *e.peer : "") << ' ' << ilm::describe(e)
               << '\n';
      }
    }
  }

  void send_some() {
    actor& from = any();
    actor& to = any();
    if (&from == &to || !from.body.running()) return;
    stream& s = streams_[{from.body.name(), to.body.name()}];
    std::size_t count = draw(5) == 0 ? 1 + draw(120) : 1 + draw(5);
    note() << from.body.name() << " sends " << count << " to " << to.body.name() << " from number "
           << s.records.size() << '\n';
    for (std::size_t i = 0; i < count; ++i) {
      record r;
      r.sender_store = from.store_number;
      std::string text = std::to_string(s.records.size()) + " ";
      text.resize(text.size() + draw(draw(10) == 0 ? 800 : 20), 'x');
      r.result = from.body.send(to.body.name(), text);
      s.records.push_back(std::move(r));
      ++result_.messages;
    }
  }

  void change_faults() {
    auto level = [&] { return static_cast<double>(draw(1000)) / 1000 * profile_.heaviest_fault; };
    ilm::faults f;
    if (draw(4) != 0) {
      f.loss = draw(2) == 0 ? level() : 0;
      f.repetition = draw(2) == 0 ? level() : 0;
      f.reordering = draw(2) == 0 ? level() : 0;
      f.corruption = draw(3) == 0 ? level() / 2 : 0;
      f.delay = std::chrono::microseconds(draw(50'000));
      f.reordering_delay = std::chrono::microseconds(draw(draw(5) == 0 ? 3'000'000 : 100'000));
      f.late_frames = draw(2) == 0;
    }
    note() << "loss " << f.loss << " repetition " << f.repetition << " reordering " << f.reordering
           << " corruption " << f.corruption << " late " << f.late_frames << '\n';
    world_.net.set_faults(f);
  }

  /// Ends a messenger, and notes what its application took without the store's knowledge.
  void crash(actor& a) {
    if (!a.body.running()) return;
    note() << a.body.name() << " crashes\n";
    ++result_.crashes;
    a.body.crash();
    world_.run_for(0us);
    collect();
    for (auto& [name, s] : streams_) {
      if (name.second != a.body.name()) continue;
      for (const taking& t : s.taken) {
        if (t.receiver_life == a.life && t.number + 300 > s.taken.back().number) {
          candidates_.insert({name, t.number});
        }
      }
    }
    settle_window(a);
  }

  /// What the crashed application took and the store still holds may come twice.
  void settle_window(actor& a) {
    for (auto& [name, number] : std::exchange(candidates_, {})) {
      if (still_stored(a, name.first, number)) streams_[name].may_repeat.insert(number);
    }
  }

  bool still_stored(actor& a, const std::string& from, std::size_t number) {
    // A copy is looked at, for the store itself may still be at work.
    store copy = a.body.disk().copy();
    bool found = false;
    auto look = [](store s, std::string peer, std::size_t wanted,
                   bool& result) -> asio::awaitable<void> {
      ilm::store_state<std::string> state = co_await s.open();
      for (const auto& [id, c] : state.peers) {
        if (id != peer) continue;
        ilm::page_limit all(100'000, 100'000'000);
        auto page = co_await s.read(ilm::box::inbox, id, c.inbox_first, all);
        for (const ilm::stored_message& m : page) {
          if (std::stoul(std::string(m.contents.text())) == wanted) result = true;
        }
      }
    };
    asio::io_context context;
    asio::co_spawn(context, look(copy, from, number, found), asio::detached);
    context.run();
    return found;
  }

  void cut() {
    actor& a = any();
    actor& b = any();
    if (&a == &b) return;
    note() << "cut " << a.body.name() << b.body.name() << '\n';
    world_.net.disconnect(a.body.name(), b.body.name());
  }
  void mend() {
    actor& a = any();
    actor& b = any();
    if (&a == &b) return;
    note() << "mend " << a.body.name() << b.body.name() << '\n';
    world_.net.connect(a.body.name(), b.body.name());
  }
  void block() {
    actor& a = any();
    actor& b = any();
    if (draw(2) == 0) {
      note() << "block " << a.body.name() << b.body.name() << '\n';
      world_.net.block(a.body.name(), b.body.name());
    } else {
      world_.net.unblock(a.body.name(), b.body.name());
    }
  }

  void trouble_store(actor& a) {
    ilm::testing::store_faults& f = a.body.store_faults();
    std::error_code full = std::make_error_code(std::errc::no_space_on_device);
    f.commit_error = draw(3) == 0 ? full : std::error_code();
    f.read_error = draw(4) == 0 ? full : std::error_code();
    f.commit_time = std::chrono::microseconds(draw(2) == 0 ? draw(30'000) : 0);
    f.read_time = std::chrono::microseconds(draw(2) == 0 ? draw(30'000) : 0);
    note() << "store of " << a.body.name() << " commit error " << f.commit_error.value()
           << " commit time " << f.commit_time / 1us << '\n';
  }
  void trouble_application(actor& a) {
    a.failing = draw(3) == 0;
    a.body.app().time = std::chrono::microseconds(draw(2) == 0 ? draw(5000) : 0);
  }

  void lose(actor& a) {
    if (profile_.old_copies && draw(2) == 0) {
      if (a.copies.empty() || draw(3) != 0) {
        a.copies.push_back(back_up(a));
        note() << "copy of " << a.body.name() << '\n';
      } else {
        crash(a);
        world_.run_for(100ms);
        note() << a.body.name() << " goes back to an old copy\n";
        go_back(a, a.copies[draw(a.copies.size())]);
        start(a);
        rolled_back_ = true;
      }
    } else if (profile_.lost_stores && draw(3) == 0) {
      crash(a);
      world_.run_for(100ms);
      note() << a.body.name() << " loses its store\n";
      ++result_.stores_lost;
      ++a.store_number;
      a.body.lose_store();
      if (draw(2) == 0) start(a);
    }
  }

  actor::backup back_up(actor& a) {
    actor::backup b;
    b.content = a.body.disk().copy();
    for (const auto& [name, s] : streams_) {
      if (name.first != a.body.name()) continue;
      for (const record& r : s.records) {
        b.accepted[name.second].push_back(r.result->done && !r.forgotten);
      }
    }
    return b;
  }

  void go_back(actor& a, const actor::backup& b) {
    a.body.put_back(b.content);
    a.went_back = true;
    for (auto& [name, s] : streams_) {
      if (name.first != a.body.name()) continue;
      auto known = b.accepted.find(name.second);
      for (std::size_t i = 0; i < s.records.size(); ++i) {
        bool kept = known != b.accepted.end() && i < known->second.size() && known->second[i];
        s.records[i].forgotten = !kept;
      }
    }
  }

  /// Takes over what the applications took since the last look.
  void collect() {
    for (actor& a : actors_) {
      const auto& all = a.body.app().taken;
      for (; a.seen < all.size(); ++a.seen) {
        const message& m = all[a.seen];
        note() << a.body.name() << " took " << m.from << "'s " << m.text().substr(0, 6) << '\n';
        taking t{};
        t.number = std::stoul(std::string(m.text()));
        t.receiver_store = a.store_number;
        t.receiver_life = a.life;
        streams_[{m.from, a.body.name()}].taken.push_back(t);
      }
    }
  }

  /// Ends all trouble; then everything must arrive.
  void calm() {
    note() << "calm\n";
    world_.net.set_faults({});
    for (actor& a : actors_) {
      ilm::testing::store_faults& f = a.body.store_faults();
      f.commit_error = f.read_error = {};
      f.commit_time = f.read_time = 0us;
      a.failing = false;
      a.body.app().time = 0us;
      if (!a.body.running()) start(a);
      for (actor& b : actors_) {
        world_.net.unblock(a.body.name(), b.body.name());
        if (&a < &b) world_.net.connect(a.body.name(), b.body.name());
      }
    }
    bool converged = world_.until([&] { return quiet(); }, 300s);
    collect();
    if (!converged) fail("does not converge in 300 s of calm" + standing());
  }

  bool quiet() {
    // Asking costs time, so not at each step.
    if (++asked_ % 64 != 0) return false;
    for (const auto& [name, s] : streams_) {
      if (!s.records.empty() && !s.records.back().result->done) return false;
    }
    for (actor& a : actors_) {
      auto statistics = a.body.statistics();
      if (statistics.peers.size() + 1 < actors_.size()) return false;
      for (const auto& p : statistics.peers) {
        if (p.outbox_depth != 0 || p.inbox_depth != 0 || !p.connected) return false;
      }
    }
    return true;
  }

  std::string standing() {
    std::ostringstream out;
    out << " (at " << clock::now().time_since_epoch() / 1ms << " ms)";
    for (const auto& [name, s] : streams_) {
      std::size_t open = 0;
      for (const record& r : s.records) open += r.result->done ? 0 : 1;
      out << "\n  " << name.first << " to " << name.second << ": " << s.records.size() << " sent, "
          << open << " sends open, " << s.taken.size() << " taken";
    }
    for (actor& a : actors_) {
      for (const auto& p : a.body.statistics().peers) {
        out << "\n  " << a.body.name() << " -> " << p.peer << ": outbox " << p.outbox_depth
            << " inbox " << p.inbox_depth << " in flight " << p.in_flight
            << (p.connected ? " connected" : " not connected");
      }
      for (const event& e : a.body.events()) {
        out << "\n    " << a.body.name() << (e.peer ? " about " + *e.peer : "") << ": "
            << ilm::describe(e);
      }
    }
    return out.str();
  }

  // The checker.

  void check() {
    for (const auto& [name, s] : streams_) {
      if (rolled_back_) {
        check_told(name, s);
      } else {
        check_order(name, s);
        check_complete(name, s);
      }
    }
  }

  std::string title(const pair_name& name) { return name.first + " to " + name.second + ": "; }

  bool named_outbound(const pair_name& name, std::uint64_t sequence) {
    for (const event& e : find(name.first).body.events()) {
      if (e.kind == ilm::event_kind::peer_reset && e.peer == name.second &&
          e.outbound.contains(sequence)) {
        return true;
      }
    }
    return false;
  }

  actor& find(const std::string& name) {
    return *std::find_if(actors_.begin(), actors_.end(),
                         [&](const actor& a) { return a.body.name() == name; });
  }

  /// Nothing comes before what was sent before it, and nothing comes twice without an excuse.
  void check_order(const pair_name& name, const stream& s) {
    std::map<std::size_t, taking> before;
    std::size_t last = 0;
    bool first = true;
    taking previous{};
    for (const taking& t : s.taken) {
      if (t.number >= s.records.size()) return fail(title(name) + "took what was never sent");
      const record& r = s.records[t.number];
      std::string number = std::to_string(t.number);
      std::error_code e = r.result->error;
      if (r.result->done && e && e != asio::error::operation_aborted) {
        fail(title(name) + "took " + number + ", whose send failed: " + e.message());
      }
      bool same_life = !first && t.receiver_life == previous.receiver_life;
      if (same_life && t.number <= last)
        fail(title(name) + number + " after " + std::to_string(last));
      auto again = before.find(t.number);
      if (again != before.end()) {
        bool excused = again->second.receiver_store == t.receiver_store
                           ? s.may_repeat.contains(t.number)
                           : named_outbound(name, r.result->sequence) || !r.result->done || e;
        if (!excused && !s.may_repeat.contains(t.number))
          fail(title(name) + number + " came twice");
      } else if (!before.empty() && t.number < before.rbegin()->first &&
                 before.rbegin()->second.receiver_store == t.receiver_store) {
        fail(title(name) + number + " came after " + std::to_string(before.rbegin()->first));
      }
      before[t.number] = t;
      last = t.number;
      previous = t;
      first = false;
    }
  }

  /// What was accepted arrived, unless the store that accepted it was lost.
  void check_complete(const pair_name& name, const stream& s) {
    std::set<std::size_t> taken;
    for (const taking& t : s.taken) taken.insert(t.number);
    int store_now = find(name.first).store_number;
    for (std::size_t i = 0; i < s.records.size(); ++i) {
      const record& r = s.records[i];
      if (!r.result->done) fail(title(name) + "send " + std::to_string(i) + " never completed");
      if (r.result->error || taken.contains(i) || r.sender_store != store_now) continue;
      // A receiver that lost its store may have had it in its inbox, acknowledged and not taken;
      // but only what was confirmed as delivered is not sent again.
      fail(title(name) + std::to_string(i) + " was accepted and is missing" + standing());
    }
  }

  /// With stores that went back: a gap is told, and so is a duplicate, as far as anybody can know.
  void check_told(const pair_name& name, const stream& s) {
    std::set<std::size_t> taken;
    bool repeated = false;
    bool lost_arrived = false;
    for (const taking& t : s.taken) {
      repeated = repeated || (taken.contains(t.number) && !s.may_repeat.contains(t.number));
      lost_arrived = lost_arrived || s.records[t.number].forgotten;
      taken.insert(t.number);
    }
    // What a receiver forgot, and its sender forgot too or never heard of, nobody remembers.
    const actor& receiver = find(name.second);
    if (receiver.went_back || receiver.store_number > 0) repeated = lost_arrived = false;
    bool missing = false;
    for (std::size_t i = 0; i < s.records.size(); ++i) {
      const record& r = s.records[i];
      bool kept = r.sender_store == find(name.first).store_number;
      bool accepted = kept && r.result->done && !r.result->error;
      // What the sender forgot before anybody had any of it, nobody can miss.
      if (accepted && !taken.contains(i) && (!r.forgotten || lost_arrived)) missing = true;
    }
    if ((missing || repeated) && !told(name.first, name.second) && !told(name.second, name.first)) {
      fail(title(name) + (missing ? "a gap" : "a duplicate") + ", and nobody was told" +
           standing());
    }
  }

  bool told(const std::string& whom, const std::string& about) {
    for (const event& e : find(whom).body.events()) {
      if (e.peer != about) continue;
      switch (e.kind) {
        case ilm::event_kind::peer_reset:
        case ilm::event_kind::store_lost:
        case ilm::event_kind::rolled_back:
        case ilm::event_kind::peer_rolled_back:
          return true;
        default:
          break;
      }
    }
    return false;
  }

  std::mt19937_64 random_;
  history_profile profile_;
  world world_;
  ilm::options options_;
  std::deque<actor> actors_;
  std::map<pair_name, stream> streams_;
  std::set<std::pair<pair_name, std::size_t>> candidates_;
  std::ostringstream log_;
  history_result result_;
  std::uint64_t asked_ = 0;
  bool rolled_back_ = false;
};

}  // namespace

history_result play(std::uint64_t seed, const history_profile& profile) {
  return play_of(seed, profile).run();
}

}  // namespace test
