#include "stage.hpp"

#include "parts.hpp"
#include "wire.hpp"

#include <ilm/messenger.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <ostream>

namespace crash_points {

namespace {

/// What the messengers run on: to be replaced where there is something quicker.
using context_type = asio::io_context;
using messenger = ilm::messenger<disk_backend, watched_network, taker>;

constexpr auto patience = std::chrono::minutes(1);
constexpr auto late_restart = 300ms;

std::string number(std::uint64_t n) { return std::to_string(n); }

}  // namespace

asio::awaitable<void> watched_network::send(const std::string& to, std::vector<std::byte> bytes) {
  std::shared_ptr<life> l = life_;
  if (l->defect == sabotage::lying) inflate_ack(bytes);
  l->require();
  l->court.frame_sent(l->who, l->own.store, bytes);
  std::string text = l->traced ? frame::read(bytes).text() : std::string();
  l->at(place::before_send, text);
  co_await inner_.send(to, std::move(bytes));
  l->at(place::after_send);
}

asio::awaitable<watched_network::event> watched_network::receive() {
  std::shared_ptr<life> l = life_;
  // The messenger asks for the next when it is done with the last.
  if (std::exchange(handling_, false)) l->at(place::after_handling);
  for (;;) {
    event e = co_await inner_.receive();
    l->require();
    if (hides(e)) continue;
    if (e.kind == event::type::frame) {
      std::string text = l->traced ? frame::read(e.bytes).text() : std::string();
      l->at(place::before_receive, text);
      handling_ = true;
    }
    co_return e;
  }
}

bool watched_network::hides(const event& e) {
  if (!untold_) return false;
  if (e.kind == event::type::up) return std::exchange(up_told_, true);
  return e.kind == event::type::down;
}

/// One side: its machine, the messenger that runs on it if any, and when to start the next one.
struct stage_side {
  machine own;
  ilm::options options;
  std::shared_ptr<life> current;
  std::unique_ptr<messenger> running;
  std::uint64_t lives = 0;
  bool wanted = false;
  simulated_clock::time_point restart_at{};
  std::uint64_t first_at_open = 1;
  unsigned receipts = 0;  ///< that the present messenger owes
  bool reported = false;
};

struct stage::body {
  body(const plan& p, sabotage d, std::ostream* t) : planned(p), defect(d), trace(t), net(1) {
    ilm::faults way;
    way.delay = 1ms;
    net.set_faults(way);
  }
  ~body() {
    for (stage_side& s : sides_) {
      if (s.current) s.current->alive = false;
      s.running.reset();
    }
    simulated_clock::reset();
  }

  const plan& planned;
  sabotage defect;
  std::ostream* trace;
  context_type context;
  fabric net;
  judge court;
  std::array<stage_side, 2> sides_;
  bool counting = false;
  outcome result;
  std::uint64_t frames = 0;
  std::uint64_t frames_at_calm = 0;
  simulated_clock::time_point calm_since{};
  std::unique_ptr<ilm::testing::simulated_timer> alarm;

  stage_side& at(side s) { return sides_[s]; }

  void note(const std::string& line) {
    if (trace == nullptr) return;
    auto now = std::chrono::duration_cast<std::chrono::microseconds>(
        simulated_clock::now().time_since_epoch());
    std::string time = number(static_cast<std::uint64_t>(now.count()));
    time.insert(0, 9 - std::min<std::size_t>(time.size(), 9), ' ');
    *trace << time << " us  " << line << '\n';
  }

  void pass(side who, place p, const std::string& details) {
    if (p == place::before_send) ++frames;
    if (!counting) return note("      " + name_of(who) + " " + name_of(p) + "  " + details);
    result.points.push_back(who);
    if (trace != nullptr) {
      std::string count = number(result.points.size());
      count.insert(0, 4 - std::min<std::size_t>(count.size(), 4), ' ');
      note(count + "  " + name_of(who) + " " + name_of(p) + "  " + details);
    }
    if (result.crashed == planned.crashes.size()) return;
    const crash& next = planned.crashes[result.crashed];
    if (result.points.size() != next.point) return;
    ++result.crashed;
    for (side s : {side_a, side_b}) {
      if (has(next.victims, s)) kill(s);
    }
  }

  /// A crash: from here on nothing that the messenger does has any effect.
  void kill(side s) {
    stage_side& one = at(s);
    if (!one.current) return;
    note("      " + name_of(s) + " crashes");
    end(s);
    if (defect == sabotage::forgetful) one.own.store = one.own.before_last_commit;
    one.restart_at = simulated_clock::now() + (planned.late ? late_restart : 0ns);
    if (!planned.late) return;
    // Something has to move the clock if everybody is down.
    alarm = std::make_unique<ilm::testing::simulated_timer>(context.get_executor(), late_restart);
    alarm->async_wait([](std::error_code) {});
  }

  void end(side s) {
    stage_side& one = at(s);
    one.current->alive = false;
    one.current.reset();
    one.receipts = 0;
    net.end(name_of(s));
    one.running.reset();
    court.crashed(s);
  }

  void launch(side s) {
    stage_side& one = at(s);
    note("      " + name_of(s) + " starts");
    auto made = std::make_shared<life>(s, one.own, court);
    made->defect = defect;
    made->traced = trace != nullptr;
    made->pass = [this, s](place p, const std::string& details) { pass(s, p, details); };
    one.current = made;
    one.first_at_open = one.own.store.where.outbox_first;
    one.reported = false;
    one.own.before_last_commit = one.own.store;
    // Each life of each side draws numbers of its own, and the same in each run.
    one.options.seed = 1000 * (s + 1) + ++one.lives;
    one.options.checksum = defect != sabotage::lying;
    court.started(s, one.own.store);
    watched_network joined(made, net.join(name_of(s)), planned.untold);
    one.running = std::make_unique<messenger>(context, disk_backend(made), std::move(joined),
                                              taker(made), one.options);
    // More than one, so that no event has to wait for its reader to come back.
    for (int i = 0; i < 3; ++i) read_event(s, made);
    calm();
  }

  void calm() {
    frames_at_calm = frames;
    calm_since = simulated_clock::now();
  }

  void read_event(side s, std::shared_ptr<life> l) {
    at(s).running->next_event([this, s, l](std::error_code failed, judge::event_type e) {
      if (failed || !l->alive) return;
      note("      " + name_of(s) + " is told: " + describe(e));
      court.told(s, e);
      read_event(s, l);
    });
  }

  void send(side from) {
    judge::id which = court.sending(from);
    std::shared_ptr<life> l = at(from).current;
    std::string text = judge::text_of(from, which);
    note("      " + name_of(from) + " sends " + text);
    auto answer = [this, from, which, l](std::error_code failed, std::uint64_t sequence) {
      if (!l->alive) return;
      note("      " + judge::text_of(from, which) + " is " +
           (failed ? "refused: " + failed.message() : "stored"));
      if (failed) return court.refused(from, which);
      court.stored(from, which, sequence, l->own.store);
      await_receipt(from, which, l, sequence);
    };
    at(from).running->send_to(name_of(other(from)), text, answer);
  }

  void await_receipt(side from, judge::id which, std::shared_ptr<life> l, std::uint64_t sequence) {
    ++at(from).receipts;
    auto answer = [this, from, which, l](std::error_code failed) {
      if (!l->alive) return;
      --at(from).receipts;
      if (!failed) court.receipt(from, which);
    };
    at(from).running->wait_delivered(name_of(other(from)), sequence, answer);
  }

  void restart_who_is_due() {
    for (side s : {side_a, side_b}) {
      stage_side& one = sides_[s];
      if (one.wanted && !one.running && simulated_clock::now() >= one.restart_at) launch(s);
    }
  }

  bool run(const std::function<bool()>& done, std::chrono::nanoseconds limit) {
    auto ready = [&] {
      restart_who_is_due();
      return done();
    };
    return simulated_clock::run_until(context, ready, limit);
  }

  bool settled() const {
    for (const stage_side& s : sides_) {
      if (!s.running || s.receipts != 0) return false;
      if (!s.own.store.outbox.empty() || !s.own.store.inbox.empty()) return false;
    }
    return !court.waiting();
  }
};

stage::stage(const plan& p, sabotage defect, std::ostream* trace)
    : body_(std::make_unique<body>(p, defect, trace)) {}
stage::~stage() = default;

ilm::options& stage::options(side s) { return body_->at(s).options; }
disk& stage::store(side s) { return body_->at(s).own.store; }
void stage::slow_store(side s, std::chrono::nanoseconds time) {
  body_->at(s).own.store_time = time;
}
void stage::let_frames_be_late() {
  ilm::faults way;
  way.delay = 1ms;
  way.late_frames = true;
  body_->net.set_faults(way);
}
void stage::acquaint() {
  store(side_a) = acquainted(1, 2);
  store(side_b) = acquainted(2, 1);
}

void stage::begin() { body_->counting = true; }

void stage::start(side s) {
  body_->at(s).wanted = true;
  body_->restart_who_is_due();
}

void stage::send(side from) {
  until([&] { return body_->at(from).running != nullptr; }, name_of(from) + " to run");
  body_->send(from);
}

void stage::send_surely(side from) {
  do {
    send(from);
    answered();
  } while (!body_->court.last_is_stored(from));
}

void stage::wait(std::chrono::nanoseconds time) {
  auto end = simulated_clock::now() + time;
  ilm::testing::simulated_timer timer(body_->context.get_executor(), time);
  timer.async_wait([](std::error_code) {});
  until([&] { return simulated_clock::now() >= end; }, "time to pass");
}

void stage::until(const std::function<bool()>& done, const std::string& what) {
  if (!body_->run(done, patience)) throw is_stuck("waits in vain for " + what);
}

void stage::answered() {
  until([&] { return !body_->court.waiting(); }, "the sends to be answered");
}

void stage::settle() {
  until([&] { return body_->settled(); }, "all to be delivered and confirmed");
  body& b = *body_;
  b.result.frames = std::max(b.result.frames, b.frames - b.frames_at_calm);
  b.result.time = std::max(b.result.time, simulated_clock::now() - b.calm_since);
}

void stage::connected() {
  until(
      [&] {
        return std::all_of(body_->sides_.begin(), body_->sides_.end(), [](const stage_side& s) {
          return s.running && s.running->connected_peers().size() == 1;
        });
      },
      "a session");
}

void stage::cut() { body_->net.disconnect("a", "b"); }
void stage::join() {
  body_->net.connect("a", "b");
  body_->calm();
}
void stage::turn_down(side s, bool on) { body_->at(s).own.turns_down = on; }
void stage::fill_up(side s, bool on) {
  body_->court.expect_store_failures();
  body_->at(s).own.full = on;
  body_->calm();
}

void stage::replace(side s, const disk& by) { replace(s, by, true); }

void stage::replace(side s, const disk& by, bool another) {
  stage_side& one = body_->at(s);
  body_->note("      " + name_of(s) + " ends" + (another ? ", and gets another store" : ""));
  if (one.running) body_->end(s);
  if (another) body_->court.replaced(s, by);
  one.own.store = disk(by);
  one.restart_at = simulated_clock::now();
  start(s);
}

void stage::shut_down(side s, std::chrono::nanoseconds timeout) {
  stage_side& one = body_->at(s);
  while (!one.reported) {
    until([&] { return one.running != nullptr; }, name_of(s) + " to run");
    std::shared_ptr<life> l = one.current;
    auto answer = [this, s, l](std::error_code failed, judge::report_type r) {
      if (!l->alive) return;
      stage_side& ended = body_->at(s);
      ended.reported = true;
      if (failed) return body_->court.fail("shutdown fails: " + failed.message());
      body_->court.reported(s, r, ended.first_at_open, ended.own.store);
    };
    one.running->shutdown(timeout, answer);
    until([&] { return one.reported || !l->alive; }, name_of(s) + " to shut down");
  }
  one.wanted = false;
  if (one.running) body_->end(s);
}

std::size_t stage::taken(side at) const { return body_->at(at).own.taken; }

outcome stage::so_far() const {
  outcome o = body_->result;
  o.failures = body_->court.failures();
  return o;
}

outcome stage::finish() {
  body& b = *body_;
  b.counting = false;
  // The streams must go on as if nothing had been.
  for (side s : {side_a, side_b}) send(s);
  settle();
  std::uint64_t before = b.frames;
  wait(2s);
  if (b.frames - before > 4) b.court.fail("frames go to and fro for nothing");
  b.court.finish(store(side_a), store(side_b));
  return so_far();
}

}  // namespace crash_points
