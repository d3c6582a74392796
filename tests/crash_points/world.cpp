#include "world.hpp"

#include "parts.hpp"

#include <ilm/messenger.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>

namespace crash_points {

namespace {

/// The execution context of the messengers.
using context_type = asio::io_context;
using messenger = ilm::messenger_handle<std::string>;

constexpr auto patience = std::chrono::minutes(1);
constexpr auto late_restart = 300ms;

std::string number(std::uint64_t n) { return std::to_string(n); }

}  // namespace

/// One side: its machine, the messenger that runs on it if any, and when to start the next one.
struct node {
  machine own;
  ilm::options options;
  std::shared_ptr<instance> current;
  std::shared_ptr<messenger> running;  ///< of any kind of application
  role kind = role::plain;
  std::optional<inbox_type> incoming;  ///< of a reader
  std::uint64_t starts = 0;
  bool wanted = false;
  simulated_clock::time_point restart_at{};
  std::uint64_t first_at_open = 1;
  unsigned receipts = 0;  ///< that the present messenger owes
  bool reported = false;
};

struct world::state {
  state(const plan& p, sabotage d, std::ostream* t) : planned(p), defect(d), trace(t), net(1) {
    ilm::faults way;
    way.delay = 1ms;
    net.set_faults(way);
  }
  ~state() {
    for (node& s : sides_) {
      if (s.current) s.current->alive = false;
      s.running.reset();
      if (s.incoming) s.incoming->close();
    }
    simulated_clock::reset();
  }

  const plan& planned;
  sabotage defect;
  std::ostream* trace;
  context_type context;
  fabric net;
  checker checks;
  std::array<node, 2> sides_;
  bool counting = false;
  outcome result;
  std::uint64_t frames = 0;
  std::uint64_t frames_at_calm = 0;
  simulated_clock::time_point calm_since{};
  std::unique_ptr<ilm::testing::simulated_timer> alarm;

  node& at(side s) { return sides_[s]; }

  void note(const std::string& line) {
    if (trace == nullptr) return;
    auto now = std::chrono::duration_cast<std::chrono::microseconds>(
        simulated_clock::now().time_since_epoch());
    std::string time = number(static_cast<std::uint64_t>(now.count()));
    time.insert(0, 9 - std::min<std::size_t>(time.size(), 9), ' ');
    *trace << time << " us  " << line << '\n';
  }

  void pass(side self, place p, const std::string& details) {
    if (p == place::before_send) ++frames;
    if (!counting) return note("      " + name_of(self) + " " + name_of(p) + "  " + details);
    result.points.push_back(self);
    if (trace != nullptr) {
      std::string count = number(result.points.size());
      count.insert(0, 4 - std::min<std::size_t>(count.size(), 4), ' ');
      note(count + "  " + name_of(self) + " " + name_of(p) + "  " + details);
    }
    if (result.crashed == planned.crashes.size()) return;
    const crash& next = planned.crashes[result.crashed];
    if (result.points.size() != next.point) return;
    ++result.crashed;
    for (side s : {side_a, side_b}) {
      if (has(next.victims, s)) kill(s);
    }
  }

  /// A crash: later operations of the messenger have no effect.
  void kill(side s) {
    node& one = at(s);
    if (!one.current) return;
    note("      " + name_of(s) + " crashes");
    end(s);
    if (defect == sabotage::forgetful) one.own.store = one.own.before_last_commit;
    one.restart_at = simulated_clock::now() + (planned.late ? late_restart : 0ns);
    if (!planned.late) return;
    // A timer has to move the clock while both sides are down.
    alarm = std::make_unique<ilm::testing::simulated_timer>(context.get_executor(), late_restart);
    alarm->async_wait([](std::error_code) {});
  }

  void end(side s) {
    node& one = at(s);
    one.current->alive = false;
    one.current.reset();
    one.receipts = 0;
    net.end(name_of(s));
    one.running.reset();
    if (one.incoming) one.incoming->close();
    checks.handle_crash(s);
  }

  void launch(side s) {
    node& one = at(s);
    note("      " + name_of(s) + " starts");
    auto made = std::make_shared<instance>(s, one.own, checks);
    made->defect = defect;
    made->traced = trace != nullptr;
    made->pass = [this, s](place p, const std::string& details) { pass(s, p, details); };
    one.current = made;
    one.first_at_open = one.own.store.where.outbox.first;
    one.reported = false;
    one.own.before_last_commit = one.own.store;
    // Each start of each side has a seed of its own, the same in each run.
    one.options.seed = 1000 * (s + 1) + ++one.starts;
    one.options.checksum = defect != sabotage::lying;
    checks.handle_start(s, one.own.store);
    make_messenger(one, made);
    // Several at once, so that no event waits for the previous one to be read.
    for (int i = 0; i < 3; ++i) read_event(s, made);
    calm();
  }

  void make_messenger(node& one, const std::shared_ptr<instance>& made) {
    watched_network joined(made, net.join(name_of(made->self)), planned.silent_network);
    auto make = [&]<class Delivery>(Delivery d) -> std::shared_ptr<messenger> {
      return std::make_shared<ilm::messenger<disk_backend, watched_network, Delivery>>(
          context, disk_backend(made), std::move(joined), std::move(d), one.options);
    };
    if (one.kind == role::plain) {
      one.running = make(consumer(made));
    } else if (one.kind == role::relay) {
      one.running = make(answering_consumer(made));
    } else {
      one.incoming.emplace();
      one.running = make(*one.incoming);
      asio::co_spawn(context, read(made, *one.incoming), asio::detached);
    }
  }

  void calm() {
    frames_at_calm = frames;
    calm_since = simulated_clock::now();
  }

  void read_event(side s, std::shared_ptr<instance> l) {
    at(s).running->next_event([this, s, l](std::error_code failed, checker::event_type e) {
      if (failed || !l->alive) return;
      note("      " + name_of(s) + " gets an event: " + describe(e));
      checks.handle_event(s, e);
      read_event(s, l);
    });
  }

  void send(side from) {
    send_id which = checks.handle_send(from);
    std::shared_ptr<instance> l = at(from).current;
    std::string text = text_of(from, which);
    note("      " + name_of(from) + " sends " + text);
    auto answer = [this, from, which, l](std::error_code failed, std::uint64_t sequence) {
      if (!l->alive) return;
      note("      " + text_of(from, which) + " is " +
           (failed ? "refused: " + failed.message() : "stored"));
      if (failed) return checks.handle_refused(from, which);
      checks.handle_stored(from, which, sequence, l->own.store);
      await_receipt(from, which, l, sequence);
    };
    at(from).running->send_to(name_of(other(from)), text, answer);
  }

  void await_receipt(side from, send_id which, std::shared_ptr<instance> l,
                     std::uint64_t sequence) {
    ++at(from).receipts;
    auto answer = [this, from, which, l](std::error_code failed) {
      if (!l->alive) return;
      --at(from).receipts;
      if (!failed) checks.handle_receipt(from, which);
    };
    at(from).running->wait_delivered(name_of(other(from)), sequence, answer);
  }

  void restart_due_sides() {
    for (side s : {side_a, side_b}) {
      node& one = sides_[s];
      if (one.wanted && !one.running && simulated_clock::now() >= one.restart_at) launch(s);
    }
  }

  bool run(const std::function<bool()>& done, std::chrono::nanoseconds limit) {
    auto ready = [&] {
      restart_due_sides();
      return done();
    };
    return simulated_clock::run_until(context, ready, limit);
  }

  bool converged() const {
    for (const node& s : sides_) {
      if (!s.running || s.receipts != 0) return false;
      if (!s.own.store.outbox.empty() || !s.own.store.inbox.empty()) return false;
    }
    return !checks.waiting();
  }
};

world::world(const plan& p, sabotage defect, std::ostream* trace)
    : state_(std::make_unique<state>(p, defect, trace)) {}
world::~world() = default;

ilm::options& world::options(side s) { return state_->at(s).options; }
disk& world::store(side s) { return state_->at(s).own.store; }
void world::slow_store(side s, std::chrono::nanoseconds time) {
  state_->at(s).own.store_time = time;
}
void world::play(side s, role r) {
  state_->at(s).kind = r;
  if (r != role::plain) state_->checks.expect_answers(s);
}
void world::let_frames_be_late() {
  ilm::faults way;
  way.delay = 1ms;
  way.late_frames = true;
  state_->net.set_faults(way);
}
void world::use_known_peers() {
  store(side_a) = known_peer_disk(1, 2);
  store(side_b) = known_peer_disk(2, 1);
}

void world::begin() { state_->counting = true; }

void world::start(side s) {
  state_->at(s).wanted = true;
  state_->restart_due_sides();
}

void world::send(side from) {
  until([&] { return state_->at(from).running != nullptr; }, name_of(from) + " to run");
  state_->send(from);
}

void world::send_surely(side from) {
  do {
    send(from);
    answered();
  } while (!state_->checks.last_is_stored(from));
}

void world::wait(std::chrono::nanoseconds time) {
  auto end = simulated_clock::now() + time;
  ilm::testing::simulated_timer timer(state_->context.get_executor(), time);
  timer.async_wait([](std::error_code) {});
  until([&] { return simulated_clock::now() >= end; }, "time to pass");
}

void world::until(const std::function<bool()>& done, const std::string& expectation) {
  if (!state_->run(done, patience)) throw is_stuck("waits in vain for " + expectation);
}

void world::answered() {
  until([&] { return !state_->checks.waiting(); }, "the sends to be answered");
}

void world::converge() {
  until([&] { return state_->converged(); }, "all to be delivered and confirmed");
  state& b = *state_;
  b.result.frames = std::max(b.result.frames, b.frames - b.frames_at_calm);
  b.result.time = std::max(b.result.time, simulated_clock::now() - b.calm_since);
}

void world::connected() {
  until(
      [&] {
        return std::all_of(state_->sides_.begin(), state_->sides_.end(), [](const node& s) {
          return s.running && s.running->connected_peers().size() == 1;
        });
      },
      "a session");
}

void world::cut() { state_->net.disconnect("a", "b"); }
void world::join() {
  state_->net.connect("a", "b");
  state_->calm();
}
void world::decline(side s, bool on) { state_->at(s).own.declines = on; }
void world::fill_up(side s, bool on) {
  state_->checks.expect_store_failures();
  state_->at(s).own.full = on;
  state_->calm();
}

void world::replace(side s, const disk& by) { replace(s, by, true); }

void world::replace(side s, const disk& by, bool another) {
  node& one = state_->at(s);
  state_->note("      " + name_of(s) + " ends" + (another ? ", and gets another store" : ""));
  if (one.running) state_->end(s);
  if (another) state_->checks.handle_replacement(s, by);
  one.own.store = disk(by);
  one.restart_at = simulated_clock::now();
  start(s);
}

void world::shut_down(side s, std::chrono::nanoseconds timeout) {
  node& one = state_->at(s);
  while (!one.reported) {
    until([&] { return one.running != nullptr; }, name_of(s) + " to run");
    std::shared_ptr<instance> l = one.current;
    auto answer = [this, s, l](std::error_code failed, checker::report_type r) {
      if (!l->alive) return;
      node& ended = state_->at(s);
      ended.reported = true;
      if (failed) return state_->checks.fail("shutdown fails: " + failed.message());
      state_->checks.handle_report(s, r, ended.first_at_open, ended.own.store);
    };
    one.running->shutdown(timeout, answer);
    until([&] { return one.reported || !l->alive; }, name_of(s) + " to shut down");
  }
  one.wanted = false;
  if (one.running) state_->end(s);
}

std::size_t world::consumed(side at) const { return state_->at(at).own.consumed; }

outcome world::so_far() const {
  outcome o = state_->result;
  o.failures = state_->checks.failures();
  return o;
}

outcome world::finish() {
  state& b = *state_;
  b.counting = false;
  // The streams must continue as without the crashes.
  for (side s : {side_a, side_b}) send(s);
  converge();
  std::uint64_t before = b.frames;
  wait(2s);
  if (b.frames - before > 4) b.checks.fail("frames go to and fro for nothing");
  b.checks.finish(store(side_a), store(side_b));
  return so_far();
}

}  // namespace crash_points
