// Processes start, send, consume messages and end.

#include "simulation/player.hpp"

#include "support/sleep.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace simulation {
namespace {

/// Commits after the caller was told that the commit had completed.
asio::awaitable<void> commit_later(ilm::testing::simulated_store<peer_id>& store,
                                   ilm::batch<peer_id> change) {
  co_await test::sleep_for(20ms);
  co_await store.commit(change);
}

/// Each start may be of another build.
void choose_build(std::uint64_t number, bool mixed, ilm::options& o) {
  auto& has = o.support;
  std::uint64_t features = *o.seed * 0x9e3779b97f4a7c15;
  switch (number) {
    case 0:
      if (!mixed) return;
      // All speak version 1, and none requires a feature.
      has.highest_version = static_cast<std::uint8_t>(1 + *o.seed / 3 % 2);
      has.understood = features;
      return;
    case 1:
      has.highest_version = 2;
      has.understood = features;
      return;
    case 2:  // no version in common with the usual one
      has.lowest_version = has.highest_version = 2;
      return;
    case 3:  // needs a feature that the usual one lacks
      has.understood = 3;
      has.required = 1;
      return;
    default:
      has.highest_version = 2;
      has.understood = 1;
      return;
  }
}

}  // namespace

asio::awaitable<void> peer_store::commit(const ilm::batch<peer_id>& change) {
  ++commits_;
  if (planted_ == sabotage::forgetful_store && commits_ % 8 == 0) co_return;
  if (planted_ == sabotage::hasty_store && commits_ > 4) {
    asio::co_spawn(co_await asio::this_coro::executor, commit_later(store_, change),
                   asio::detached);
    co_return;
  }
  co_await store_.commit(change);
}

asio::awaitable<void> handler::operator()(ilm::message<peer_id> m) {
  std::shared_ptr<application> app = app_;
  process_pointer l = process_;
  co_await test::sleep_for(app->time);
  if (!l->alive) throw std::runtime_error("the process ended");
  if (app->fails_now()) throw std::runtime_error("not now");
  app->consumed(m);
}

player::player(const plan& p, const playing& how)
    : plan_(p),
      how_(how),
      fabric_((clock::reset(), p.seed), p.frame_size),
      attacker_(how.planted == sabotage::known_tags) {
  std::vector<const image*> images;
  for (std::size_t i = 0; i < p.peers(); ++i) {
    auto a = std::make_unique<actor>();
    a->name = peer_name(i);
    a->store.behaviour().syncs = p.syncs;
    a->app->consumed = [this, i](const ilm::message<peer_id>& m) { consume(i, m); };
    images.push_back(&a->store.content());
    actors_.push_back(std::move(a));
  }
  std::vector<ilm::options> known = p.options;
  if (how.planted == sabotage::leaky_window) {
    for (ilm::options& o : known) o.window_messages = 1;
  }
  checker_ = std::make_unique<checker>(known, std::move(images));
  if (p.effects) checker_->expect_effects();
  attacked_ = std::any_of(p.steps.begin(), p.steps.end(), [](const step& s) {
    return s.kind == action::replay || s.kind == action::guess;
  });
  fabric_.watch_sent([this](const peer_id& from, const peer_id& to, std::span<const std::byte> f) {
    handle_frame_sent(from, to, f);
  });
  fabric_.watch_injected([this](const peer_id& from, const peer_id& to,
                                std::span<const std::byte> f) { handle_injected(from, to, f); });
  fabric_.watch_arrived(
      [this](const peer_id& from, const peer_id& to, std::span<const std::byte> f) {
        mix(number_of(to) * 8 + number_of(from) + 64);
        note(to, " gets from ", from, ' ', how_.trace ? wire::describe(f) : std::string());
        checker_->frames().handle_frame_arrived(number_of(from), number_of(to), f);
      });
  for (std::size_t i = 0; i < p.peers(); ++i) {
    actors_[i]->store.watch_commits([this, i](const stored_batch& change) {
      mix(128 + i);
      note(actors_[i]->name, " commits");
      checker_->stores().handle_commit(i, change);
    });
    actors_[i]->store.watch_unreadable(
        [this, i](ilm::queue which, const peer_id& peer, std::uint64_t index) {
          note(actors_[i]->name, " cannot read index ", index, " of ", peer);
          // The last commit of a shutdown ends the reading: the next process reads it again.
          if (actors_[i]->leaving) return;
          checker_->stores().handle_unreadable(i, which, number_of(peer), index);
        });
  }
}

player::~player() {
  attacks_.clear();
  for (auto& a : actors_) {
    if (a->process) a->process->alive = false;
    a->instance.reset();
  }
  for (std::size_t i = 0; i < actors_.size(); ++i) interrupt(i);
  scheduler_.poll();
  clock::reset();
}

void player::mix(std::uint64_t value) noexcept {
  out_.hash = (out_.hash ^ value) * 0x9e3779b97f4a7c15;
  out_.hash ^= out_.hash >> 29;
}

void player::mix(std::span<const std::byte> bytes) noexcept {
  std::uint64_t gathered = bytes.size();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    gathered = gathered << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    if (i % 7 == 6) mix(std::exchange(gathered, 0));
  }
  mix(gathered);
}

void player::start(std::size_t a) {
  actor& x = *actors_[a];
  if (x.instance) return;
  note(x.name, " starts");
  x.process = std::make_shared<process_state>();
  checker_->stores().handle_start(a);
  checker_->relays().handle_start(a, plan_.role_of(a) != role::plain);
  ilm::options o = plan_.options[a];
  o.seed = *o.seed * 100'000 + ++x.starts;
  choose_build(x.build, plan_.mixed_builds, o);
  checker_->events().handle_build(a, o);
  x.instance = make_messenger(a, o);
  x.leaving = false;
  // Several at once, so that no event waits for the previous one to be read and is lost with a
  // process that ends.
  for (int i = 0; i < 16; ++i) watch_events(a, x.process);
}

void player::handle_frame_sent(const peer_id& from, const peer_id& to,
                               std::span<const std::byte> f) {
  mix(number_of(from) * 8 + number_of(to));
  mix(f);
  note(from, " sends ", to, ' ', how_.trace ? wire::describe(f) : std::string());
  if (attacked_ && !attacker_.handle_frame_sent(number_of(from), number_of(to), f)) {
    checker_->fail("unlike the page", from + " sends " + to + " a hello in another form");
  }
  checker_->frames().handle_frame_sent(number_of(from), number_of(to), f);
}

void player::watch_events(std::size_t a, const process_pointer& l) {
  actors_[a]->instance->next_event([this, a, l](std::error_code failed, event_type e) {
    if (failed || !l->alive) return;
    handle_event(a, e);
    watch_events(a, l);
  });
}

void player::handle_event(std::size_t a, const event_type& e) {
  ++out_.totals.events;
  mix(static_cast<std::uint64_t>(e.kind) + 256);
  note(actors_[a]->name, " gets an event about ", e.peer ? *e.peer : std::string("itself"), ": ",
       ilm::describe(e));
  if (!e.peer) return checker_->events().handle_own_event(a, e);
  bool grave = e.kind == ilm::event_kind::peer_reset || e.kind == ilm::event_kind::store_lost ||
               e.kind == ilm::event_kind::rolled_back ||
               e.kind == ilm::event_kind::peer_rolled_back;
  if (how_.planted == sabotage::withheld_events && grave) return;
  checker_->events().handle_event(a, number_of(*e.peer), e);
}

void player::send(const step& s) {
  if (!actors_[s.a]->instance || actors_[s.a]->leaving) return;
  // Drawn from the step alone, so that leaving others out does not change it.
  auto draw = [&](std::uint64_t i) {
    return ((static_cast<std::uint64_t>(s.at.count()) + i + 1) * 0x9e3779b97f4a7c15) >> 24;
  };
  bool together = s.count > 1 && draw(s.count) % 3 == 0;
  std::vector<outgoing> batch;
  for (std::uint64_t i = 0; i < s.count; ++i) {
    std::uint64_t z = draw(i);
    std::size_t size = z % (s.size + 1);
    if (!together) {
      send_one(s.a, s.b, size);
      continue;
    }
    std::size_t to = z % 5 == 0 ? (z >> 8) % actors_.size() : s.b;
    if (to == s.a) to = s.b;
    batch.push_back(outgoing{to, open_send(s.a, to, size), size});
  }
  if (together) send_batch(s.a, std::move(batch));
}

std::size_t player::open_send(std::size_t from, std::size_t to, std::size_t size) {
  std::size_t number = checker_->messages().handle_send(from, to, size);
  note(peer_name(from), " sends message ", number, " to ", peer_name(to), ", ", size, " bytes");
  return number;
}

void player::send_one(std::size_t from, std::size_t to, std::size_t size) {
  send_alone(from, outgoing{to, open_send(from, to, size), size});
}

void player::send_alone(std::size_t from, const outgoing& out) {
  actor& x = *actors_[from];
  x.instance->send_to(peer_name(out.to), contents_of(from, out.to, out.number, out.size),
                      options_of(out),
                      [this, from, out, l = x.process](std::error_code e, std::uint64_t sequence) {
                        handle_sent(from, out, *l, e, sequence);
                      });
}

void player::send_batch(std::size_t from, std::vector<outgoing> all) {
  actor& x = *actors_[from];
  std::vector<std::tuple<peer_id, std::vector<std::byte>, ilm::send_options>> messages;
  std::vector<std::pair<std::size_t, std::size_t>> numbers;
  for (const outgoing& out : all) {
    messages.emplace_back(peer_name(out.to), contents_of(from, out.to, out.number, out.size),
                          options_of(out));
    numbers.emplace_back(out.to, out.number);
  }
  checker_->messages().handle_batch(from, std::move(numbers));
  if (how_.planted == sabotage::separate_batches) {
    for (const outgoing& out : all) send_alone(from, out);
    return;
  }
  x.instance->send_batch(
      messages, [this, from, all, l = x.process](std::error_code e,
                                                 const std::vector<std::uint64_t>& sequences) {
        for (std::size_t i = 0; i < all.size(); ++i) {
          handle_sent(from, all[i], *l, e, e ? 0 : sequences[i]);
        }
      });
}

ilm::send_options player::options_of(const outgoing& out) {
  ilm::send_options with;
  with.forwarded = ilm::attributes(ilm::bytes(attributes_of(out.number, out.size)));
  return with;
}

void player::handle_sent(std::size_t from, const outgoing& out, const process_state& process,
                         std::error_code e, std::uint64_t sequence) {
  fate f = fate::accepted;
  // A process that has ended gets no result.
  if (e) f = fate::failed;
  if (!process.alive || e == asio::error::operation_aborted) f = fate::interrupted;
  note("message ", out.number, " of ", peer_name(from), " to ", peer_name(out.to), ": ",
       e ? e.message() : std::string("stored"));
  checker_->messages().handle_sent(from, out.to, out.number, f, sequence);
  if (f == fate::accepted && out.number % 8 == 0) {
    ask_receipt(from, out.to, out.number, sequence);
  }
}

void player::ask_receipt(std::size_t from, std::size_t to, std::size_t number,
                         std::uint64_t sequence) {
  actors_[from]->instance->wait_delivered(
      peer_name(to), sequence,
      [this, from, to, number, l = actors_[from]->process](std::error_code e) {
        if (!e && l->alive) checker_->messages().handle_receipt(from, to, number);
      });
}

void player::consume(std::size_t at, const ilm::message<peer_id>& m) {
  auto report = [&](const ilm::message<peer_id>& consumed) {
    mix(512 + consumed.index);
    note(actors_[at]->name, " consumes ", consumed.from, "'s sequence ", consumed.sequence,
         ", index ", consumed.index);
    checker_->messages().handle_consumed(at, number_of(consumed.from), consumed);
  };
  bool chosen = ++deliveries_ % 10 == 0;
  if (how_.planted == sabotage::lose_delivery && chosen) return;
  if (how_.planted == sabotage::swap_deliveries && chosen) {
    withheld_ = std::make_unique<ilm::message<peer_id>>(m);
    return;
  }
  report(m);
  if (withheld_) report(*std::exchange(withheld_, nullptr));
  if (how_.planted == sabotage::repeat_delivery && chosen) report(m);
}

void player::apply_effect(std::size_t at, const input& in, ilm::memory_transaction& t) {
  std::string from = peer_name(in.from);
  std::uint64_t last = std::stoull(t.get(from).value_or("0"));
  checker_->relays().check_effect(at, in, last);
  bool fails = !calm_ && draw(at, 8) == 0;
  if (fails && draw(at, 2) == 0) throw std::runtime_error("the effect fails at once");
  t.put(from, std::to_string(in.index));
  if (fails) throw std::runtime_error("the effect fails in the end");
}

void player::destroy(std::size_t a, bool lands, const std::function<void()>& change) {
  actor& x = *actors_[a];
  x.store.crash(lands);
  fabric_.end(x.name);
  if (x.process) x.process->alive = false;
  x.instance.reset();
  interrupt(a);
  x.readers.clear();
  x.leaving = false;
  image before = x.store.content();
  change();
  checker_->handle_end(a, before, x.store.content());
}

void player::kill(std::size_t a, bool lands) {
  if (!actors_[a]->instance) return;
  note(actors_[a]->name, " crashes");
  ++out_.totals.crashes;
  destroy(a, lands, [] {});
}

void player::shut_down(std::size_t a, nanoseconds time) {
  actor& x = *actors_[a];
  if (!x.instance || x.leaving) return;
  note(x.name, " shuts down");
  ++out_.totals.shutdowns;
  x.leaving = true;
  x.failures_before = x.store.failures();
  x.instance->shutdown(time, [this, a, l = x.process](std::error_code e,
                                                      const ilm::shutdown_report<peer_id>& report) {
    if (!l->alive) return;
    note(actors_[a]->name, " has shut down");
    checker_->stores().handle_shutdown(
        a, report, !e && actors_[a]->store.failures() == actors_[a]->failures_before);
    destroy(a, false, [] {});
  });
}

}  // namespace simulation
