// The steps of a plan, and the calm after them.

#include "simulation/player.hpp"

#include <algorithm>

namespace simulation {
namespace {

using ilm::testing::link_faults;
using ilm::testing::simulated_timer;

constexpr nanoseconds longest_calm = 120s;

}  // namespace

outcome player::play() {
  std::size_t early = actors_.size() - (plan_.late_start ? 1 : 0);
  for (std::size_t i = 0; i < early; ++i) start(i);
  for (const step& s : plan_.steps) {
    run_to(s);
    if (checker_->found()) break;
    act(s);
    sample();
  }
  if (!checker_->found()) end_trouble();
  if (!checker_->found()) converge();
  if (!checker_->found()) withstand();
  if (!checker_->found()) idle();
  if (!checker_->found()) leave();
  if (!checker_->found()) checker_->finish();
  out_.failure = checker_->found();
  const auto& c = fabric_.counts();
  totals& t = out_.totals;
  t.histories = 1;
  t.messages = checker_->seen().messages;
  t.outputs = checker_->seen().outputs;
  t.repeats = checker_->seen().repeats;
  t.excused = checker_->seen().excused;
  t.frames = c.sent;
  t.frames_lost = c.lost;
  t.frames_repeated = c.repeated;
  t.frames_reordered = c.reordered;
  t.frames_corrupted = c.corrupted;
  t.frames_injected = c.injected;
  for (auto& a : actors_) {
    t.commits += a->store.commits();
    t.store_failures += a->store.failures();
  }
  return std::move(out_);
}

/// Runs to the time of a step, then `handlers` handlers more: a process can end between any two.
void player::run_to(const step& s) {
  nanoseconds target = s.at + jumped_;
  nanoseconds here = clock::now().time_since_epoch();
  clock::run_for(scheduler_, std::max(nanoseconds(0), target - here));
  for (unsigned i = 0; i < s.handlers && scheduler_.poll_one() != 0; ++i) {
  }
}

void player::act(const step& s) {
  mix(static_cast<std::uint64_t>(s.kind) + 1024);
  note("* ", how_.trace ? describe(s) : std::string());
  switch (s.kind) {
    case action::send:
      return send(s);
    case action::crash:
      return kill(s.a, s.flag);
    case action::start:
      return start(s.a);
    case action::shutdown:
      return shut_down(s.a, s.time);
    case action::application:
    case action::interrupt:
      return act_on_application(s);
    case action::build:
      actors_[s.a]->build = s.count;
      return;
    case action::replay:
    case action::guess:
      attacks_.push_back(std::make_unique<attack>(scheduler_, s));
      return go_on(*attacks_.back());
    case action::jump:
      ++out_.totals.jumps;
      jumped_ += s.time;
      return clock::jump(s.time);
    case action::faults:
    case action::block:
    case action::unblock:
    case action::clog:
    case action::unclog:
    case action::stall:
    case action::resume:
    case action::cut:
    case action::mend:
    case action::flap:
    case action::late_frames:
      return act_on_network(s);
    default:
      return act_on_store(s);
  }
}

void player::act_on_application(const step& s) {
  if (s.kind == action::interrupt) return interrupt(s.a);
  application& app = *actors_[s.a]->app;
  app.time = s.time;
  app.fails_every = s.count;
  app.interrupted = s.flag;
  for (const reader_pointer& r : actors_[s.a]->readers) {
    interrupt_later(s.a, actors_[s.a]->process, r);
  }
}

void player::act_on_network(const step& s) {
  std::string a = peer_name(s.a);
  std::string b = peer_name(s.b);
  switch (s.kind) {
    case action::faults:
      if (s.faults.corruption > 0) checker_->events().corruption_begins();
      return fabric_.set_faults(a, b, s.faults);
    case action::block:
      ++out_.totals.partitions;
      return fabric_.block(a, b);
    case action::unblock:
      return fabric_.unblock(a, b);
    case action::clog:
      ++out_.totals.clogs;
      return fabric_.clog(a, b);
    case action::unclog:
      return fabric_.unclog(a, b);
    case action::stall:
      ++out_.totals.clogs;
      return fabric_.stall(a, b);
    case action::resume:
      return fabric_.resume(a, b);
    case action::cut:
      ++out_.totals.cuts;
      return fabric_.disconnect(a, b);
    case action::mend:
      return fabric_.connect(a, b);
    case action::flap:
      return flap(s.a, s.b, s.count, s.time);
    default:
      return fabric_.set_late_frames(s.flag);
  }
}

void player::flap(std::size_t a, std::size_t b, std::uint64_t count, nanoseconds pause) {
  for (std::uint64_t i = 0; i < count; ++i) {
    ++out_.totals.cuts;
    fabric_.disconnect(peer_name(a), peer_name(b));
    clock::run_for(scheduler_, pause / 2);
    fabric_.connect(peer_name(a), peer_name(b));
    clock::run_for(scheduler_, pause / 2);
  }
}

void player::act_on_store(const step& s) {
  actor& x = *actors_[s.a];
  ilm::testing::disk_behaviour& how = x.store.behaviour();
  switch (s.kind) {
    case action::slow_store:
      how.commit_time = how.read_time = how.open_time = s.time;
      how.answer_time = s.span;
      break;
    case action::fail_store:
      (s.flag ? how.commit_error : how.read_error) = std::make_error_code(std::errc::io_error);
      break;
    case action::fill_disk:
      how.capacity = x.store.content().messages() + static_cast<std::size_t>(s.count);
      break;
    case action::cure_store:
      cure(s.a);
      break;
    case action::flip_bit:
      flip(s.a, s.b, s.flag, s.count);
      break;
    case action::repair_disk:
      x.store.repair();
      break;
    case action::sync_disk:
      x.store.sync();
      break;
    case action::power_cut:
      ++out_.totals.power_cuts;
      destroy(s.a, s.flag, [&] { x.store.power_cut(static_cast<std::size_t>(s.count)); });
      break;
    case action::lose_store:
      ++out_.totals.stores_lost;
      destroy(s.a, s.flag, [&] { x.store.lose(); });
      break;
    case action::copy_store:
      x.copies.push_back(x.store.content());
      break;
    case action::put_back:
      if (x.copies.empty()) break;
      ++out_.totals.rollbacks;
      destroy(s.a, s.flag, [&] { x.store.put_back(x.copies[s.count % x.copies.size()]); });
      break;
    default:
      break;
  }
}

void player::flip(std::size_t a, std::size_t b, bool inbox, std::uint64_t which) {
  const image& content = actors_[a]->store.content();
  auto stored = content.peers.find(peer_name(b));
  if (stored == content.peers.end()) return;
  ilm::queue source = inbox ? ilm::queue::inbox : ilm::queue::outbox;
  const auto& messages = stored->second.of(source);
  if (messages.empty()) return;
  ++out_.totals.flipped_bits;
  actors_[a]->store.flip(source, peer_name(b), messages[which % messages.size()].index);
}

void player::cure(std::size_t a) {
  ilm::testing::disk_behaviour well;
  well.syncs = plan_.syncs;
  actors_[a]->store.behaviour() = well;
}

/// Checks the bounds of all messengers.
void player::sample() {
  for (std::size_t i = 0; i < actors_.size(); ++i) {
    if (!actors_[i]->instance) continue;
    std::size_t staged = plan_.role_of(i) == role::plain ? 0 : most_outputs * plan_.peers();
    checker_->check_bounds(i, actors_[i]->instance->statistics(), staged);
  }
}

void player::end_trouble() {
  note("calm");
  calm_ = true;
  end_attacks(false);
  fabric_.set_late_frames(false);
  link_faults none;
  none.delay.least = calm_delay();
  fabric_.set_faults(none);
  for (std::size_t i = 0; i < actors_.size(); ++i) {
    cure(i);
    actors_[i]->store.repair();
    actors_[i]->app->time = 0ns;
    actors_[i]->app->fails_every = 0;
    actors_[i]->app->interrupted = false;
    for (std::size_t j = 0; j < actors_.size(); ++j) {
      std::string a = peer_name(i);
      std::string b = peer_name(j);
      if (i == j) continue;
      fabric_.unblock(a, b);
      fabric_.unclog(a, b);
      fabric_.resume(a, b);
    }
  }
  reconnect_all();
  auto leaving = [this] {
    return std::any_of(actors_.begin(), actors_.end(), [](const auto& a) { return a->leaving; });
  };
  if (!clock::run_until(
          scheduler_, [&] { return !leaving(); }, 10s)) {
    return checker_->fail("shutdown does not end", checker_->summary());
  }
  for (std::size_t i = 0; i < actors_.size(); ++i) {
    // The last build of each fits all others.
    if (std::exchange(actors_[i]->build, 0) != 0) kill(i, false);
    start(i);
  }
}

bool player::quiet() {
  // The checks are slow: not after each handler.
  if (checker_->found()) return true;
  if (++asked_ % 16 != 0) return false;
  if (checker_->open_sends() != 0 || checker_->outstanding() != 0) return false;
  return all_meet();
}

void player::converge() {
  nanoseconds begin = clock::now().time_since_epoch();
  std::uint64_t frames = fabric_.counts().sent;
  std::uint64_t injected = fabric_.counts().injected;
  std::uint64_t outputs = checker_->seen().outputs;
  std::size_t waiting = checker_->outstanding() + checker_->open_sends();
  if (!clock::run_until(
          scheduler_, [this] { return quiet(); },
          longest_calm + 4 * static_cast<int>(waiting) * calm_delay())) {
    return checker_->fail("does not converge", checker_->summary());
  }
  if (checker_->found()) return;
  nanoseconds took = clock::now().time_since_epoch() - begin;
  out_.totals.slowest = took;
  waiting += checker_->seen().outputs - outputs;
  // A bound on frames: a few for each message, for each pair to meet, and to keep sessions alive.
  double pairs = static_cast<double>(actors_.size() * (actors_.size() - 1));
  double alive = pairs * (2 + 4 * std::chrono::duration<double>(took).count());
  double used = static_cast<double>(fabric_.counts().sent - frames);
  // A frame of somebody else is answered by a hello, and that by an ack.
  used -= 3 * static_cast<double>(fabric_.counts().injected - injected);
  double each = std::max(0.0, used - alive) / (static_cast<double>(waiting) + pairs);
  out_.totals.most_frames = each;
  if (each > 12) {
    checker_->fail("too many frames", std::to_string(fabric_.counts().sent - frames) + " for " +
                                          std::to_string(waiting) + " messages" +
                                          checker_->summary());
  }
}

/// Without work there are no commits, and no frames but pings and their answers.
void player::idle() {
  // A store that failed is tried again after up to two seconds.
  clock::run_for(scheduler_, 3s);
  std::uint64_t frames = fabric_.counts().sent;
  std::uint64_t commits = 0;
  for (auto& a : actors_) commits += a->store.commits();
  constexpr auto span = 4s;
  clock::run_for(scheduler_, span);
  std::uint64_t most = 0;
  for (const ilm::options& o : plan_.options) {
    most +=
        static_cast<std::uint64_t>(2 * (span / o.keepalive_interval + 1)) * (actors_.size() - 1);
  }
  if (fabric_.counts().sent - frames > most) {
    checker_->fail("not idle", std::to_string(fabric_.counts().sent - frames) +
                                   " frames where nothing happens, and " + std::to_string(most) +
                                   " would do");
  }
  for (auto& a : actors_) commits -= a->store.commits();
  if (commits != 0) checker_->fail("not idle", "commits where nothing happens");
}

/// All messengers shut down with nothing left.
void player::leave() {
  for (std::size_t i = 0; i < actors_.size(); ++i) shut_down(i, 5s);
  auto gone = [this] {
    return std::none_of(actors_.begin(), actors_.end(),
                        [](const auto& a) { return !!a->instance; });
  };
  if (!clock::run_until(scheduler_, gone, 10s)) {
    checker_->fail("shutdown does not end", checker_->summary());
  }
  out_.totals.shutdowns -= actors_.size();
}

}  // namespace simulation
