#pragma once

#include <ilm/detail/completion_sweep.hpp>
#include <ilm/detail/submission_queue.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/send_table.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Brings sends from their callers to the cores, and their results back.
class send_driver {
 public:
  send_driver(context& c, peers& all, dispatcher& d, const peer_name& local, std::size_t largest)
      : context_(c), peers_(all), dispatcher_(d), local_(local), maximum_message_(largest) {}

  // From any thread.

  /// True if `accept_submitted` has to be called on the strand.
  bool submit(std::unique_ptr<send_request> r) noexcept { return submitted_.push(r.release()); }
  /// It cannot be called.
  void fail_submitted(std::error_code reason) {
    for_each_submitted([reason](request r) {
      try {
        r->end(reason, 0);
      } catch (...) {
        // Without memory, the caller is destroyed.
      }
    });
  }

  // On the strand.

  void accept_submitted() {
    if (submitted_.empty()) return;
    for_each_submitted([this](request r) { take(std::move(r), &send_driver::accept); });
    dispatcher_.publish_totals();
  }

  /// Goes on with sends that waited for room, or for the store to open.
  void admit_waiting() {
    while (std::unique_ptr<send_request> r = context_.sends.pop()) {
      take(std::move(r), &send_driver::pass_on);
    }
  }

  /// Takes the sends that belong to a delivery from `consumer`, all of them or none; `placed` says
  /// where they are. Its consumption has to follow in the same turn: the batch that has the one has
  /// the other.
  std::error_code accept_staged(peer& consumer, std::vector<std::unique_ptr<send_request>> sends,
                                std::vector<placed_send>& placed) {
    assert(!context_.life.opening());
    using units = commit_units<peer>;
    if (std::error_code refused = units::refusal(consumer)) return refused;
    std::map<const peer*, std::uint64_t> earlier;
    for (const auto& r : sends) {
      try {
        r->name = &r->add_name();
      } catch (...) {
        return detail::failure_of(std::current_exception()).code;
      }
      peer& p = peers_.of(*r->name);
      if (p.forgetting()) return error::peer_forgotten;
      if (std::error_code refused = units::refusal(p)) return refused;
      if (std::error_code refused = p.core.refusal(r->message, earlier[&p]++)) return refused;
    }
    placed.reserve(sends.size());
    for (auto& r : sends) peers_.units().bind(consumer, *r->name->state);
    for (auto& r : sends) {
      peer& p = *r->name->state;
      const send_request& taken = *r;
      [[maybe_unused]] std::error_code refused = hand_over(p, r);
      assert(!refused);
      placed.emplace_back(p.weak_from_this(), taken.sent_as);
    }
    return {};
  }

  /// Takes sends back that belong to consumptions which failed, and that no change has.
  void withdraw_staged(const std::vector<placed_send>& placed, std::error_code reason) {
    failed_batches failed;
    for (const auto& [of, id] : placed) {
      std::shared_ptr<peer> p = of.lock();
      if (!p || p->removed()) continue;
      p->core.withdraw_send(id, reason);
      complete(*p, context_.now(), failed);
      dispatcher_.publish(*p);
    }
    withdraw(std::move(failed), context_.now());
  }

  /// Completes the sends of a commit that ended; then `post_completed`.
  void complete(peer& p, protocol::timestamp now) {
    failed_batches failed;
    complete(p, now, failed);
    withdraw(std::move(failed), now);
  }

  void post_completed() { completed_.post(); }

  /// The largest message, attributes included, in bytes.
  std::size_t maximum_message() const noexcept { return maximum_message_; }

  /// Whether a core has a send whose end is open.
  bool idle() const noexcept { return table_.empty(); }

  /// Ends the sends that no core has.
  void fail_waiting(std::error_code reason) { context_.sends.fail_all(reason); }
  void fail_all(std::error_code reason) {
    completed_.post();
    fail_waiting(reason);
    table_.fail_all(reason);
  }
  /// Destroys the callers that wait.
  void abandon() {
    submitted_.clear();
    context_.sends.abandon();
    table_.abandon();
    completed_.abandon();
  }

 private:
  /// A core has each send that is bounded as one.
  bool invariants_hold() const noexcept {
    return context_.life.ended() || table_.size() == context_.sends.messages();
  }

  using request = std::unique_ptr<send_request>;
  using failed_batches = std::vector<std::shared_ptr<send_batch>>;

  template <class Function>
  void for_each_submitted(Function function) {
    send_request* next = nullptr;
    for (send_request* r = submitted_.take_all(); r != nullptr; r = next) {
      next = r->next;
      function(request(r));
    }
  }

  /// Gives the batches that fail, of which cores may have more.
  void complete(peer& p, protocol::timestamp now, failed_batches& failed) {
    std::uint64_t last = 0;
    while (std::optional<protocol::send_result> result = p.core.poll_send_result()) {
      send_request& ended = table_.at(result->id);
      std::shared_ptr<send_batch> batch = ended.batch;
      bool staged = ended.staged();
      std::size_t size = ended.message.size();
      // In the table until its end is told: if there is no memory for that, it is told later.
      if (ended.done) {
        ended.done.join(completed_, result->error, result->sequence);
      } else {
        ended.end(result->error, result->sequence);
      }
      table_.take(result->id);
      context_.sends.handle_ended(size, staged);
      if (!result->error) {
        assert(result->sequence > last);
        ++p.accepted;
        last = result->sequence;
      }
      if (batch && batch->begin_withdrawal()) failed.push_back(std::move(batch));
    }
    if (last != 0) p.ages.add(last, now);
    peers_.update_owing(p);
    assert(invariants_hold());
  }

  /// An exception that comes before the request is taken concerns it alone.
  void take(request r, void (send_driver::*step)(request&)) noexcept {
    try {
      (this->*step)(r);
    } catch (...) {
      if (!r) return context_.guard.fail(std::current_exception());
      r->end(detail::failure_of(std::current_exception()).code, 0);
    }
  }

  void accept(request& r) {
    assert(r && !r->staged());
    const lifecycle& life = context_.life;
    if (!life.accepts_sends()) {
      r->end(life.refusal(), 0);
    } else if (life.open_error()) {
      r->end(life.open_error(), 0);
    } else if (std::error_code invalid = find_error(*r)) {
      r->end(invalid, 0);
    } else if (!context_.sends.can_hold(*r)) {
      r->end(error::batch_too_large, 0);
    } else if (!life.opening() && context_.sends.has_room(*r)) {
      pass_on(r);
    } else if (!r->may_wait) {
      r->end(error::would_block, 0);
    } else {
      r->name = nullptr;  // It may leave the table meanwhile.
      context_.sends.push(r);
    }
  }
  std::error_code find_error(send_request& r) const {
    r.name = r.find_name();
    if (r.name == &local_) return error::send_to_self;
    if (r.invalid) return r.invalid;
    if (r.message.size() > maximum_message_) return error::message_too_large;
    for (const request& next : r.rest) {
      if (std::error_code invalid = find_error(*next)) return invalid;
    }
    return {};
  }

  void pass_on(request& r) {
    assert(!context_.life.opening());
    if (r->batch) return pass_on_batch(r);
    peer& p = peers_.of(r->name != nullptr ? *r->name : r->add_name());
    if (std::error_code refused = hand_over(p, r)) r->end(refused, 0);
  }

  /// Cores take all sends of the batch, or none of them.
  void pass_on_batch(request& first) {
    std::vector<send_request*> all{first.get()};
    for (request& r : first->rest) all.push_back(r.get());
    if (std::error_code refused = find_refusal(all)) return first->end(refused, 0);
    for (send_request* r : all) peers_.of(*r->name);
    for (send_request* r : all) {
      if (r->name != all[0]->name) peers_.units().join(*all[0]->name->state, *r->name->state);
    }
    std::shared_ptr<send_batch> batch = first->batch;
    std::vector<request> rest = std::exchange(first->rest, {});
    take(std::move(first), &send_driver::pass_on_part);
    for (request& r : rest) take(std::move(r), &send_driver::pass_on_part);
    if (batch->begin_withdrawal()) withdraw({batch}, context_.now());
  }
  /// Why a core refuses its part of a batch, or the store the changes of one of several peers.
  std::error_code find_refusal(const std::vector<send_request*>& batch) {
    std::map<const peer_name*, std::uint64_t> earlier;
    std::error_code of_store;
    for (send_request* r : batch) {
      r->name = &r->add_name();
      std::uint64_t before = earlier[r->name]++;
      const peer* p = peers_.find(r->name);
      if (p == nullptr) continue;
      if (p->forgetting()) return error::peer_forgotten;
      if (std::error_code refused = p->core.refusal(r->message, before)) return refused;
      if (!of_store) of_store = p->apart ? p->apart : commit_units<peer>::refusal(*p);
    }
    // By itself it waits as other sends do where the peer is held back.
    return earlier.size() > 1 ? of_store : std::error_code();
  }
  void pass_on_part(request& r) {
    std::shared_ptr<send_batch> batch = r->batch;
    if (batch->failed()) return r->end(batch->failed(), 0);
    if (std::error_code refused = hand_over(*r->name->state, r)) r->end(refused, 0);
  }
  /// Cores give back what they have of batches that fail. Others may fail with these.
  void withdraw(failed_batches failed, protocol::timestamp now) {
    for (std::size_t i = 0; i < failed.size(); ++i) {
      std::shared_ptr<send_batch> batch = failed[i];
      withdraw(*batch, now, failed);
    }
  }
  /// What is with the store fails there.
  void withdraw(const send_batch& batch, protocol::timestamp now, failed_batches& failed) {
    std::set<peer*> concerned;
    // From the end, where it costs least.
    for (std::size_t place = batch.accepted().size(); place-- > 0;) {
      const send_request* r = batch.accepted()[place];
      if (r == nullptr) continue;
      peer& p = *r->name->state;
      p.core.withdraw_send(r->sent_as, batch.failed());
      concerned.insert(&p);
    }
    for (peer* p : concerned) {
      complete(*p, now, failed);
      dispatcher_.publish(*p);
    }
  }

  /// Takes the request if the core takes its message.
  std::error_code hand_over(peer& p, request& r) {
    if (p.forgetting()) return error::peer_forgotten;
    bool staged = r->staged();
    using then = protocol::on_failure;
    send_table::place place(table_);
    std::error_code refused =
        p.core.handle_send(place.id(), r->message, staged ? then::stays : then::ends);
    if (refused) return refused;
    context_.sends.handle_accepted(r->message.size(), staged);
    r->sent_as = place.id();
    if (r->batch) r->batch->handle_accepted(r->place, *r);
    place.fill(std::move(r));
    assert(invariants_hold());
    // Nobody waits for this end: a store that fails is tried again when that is due.
    if (!staged) {
      context_.scheduler.handle_news();
      peers_.units().handle_send(p, context_.now());
    }
    peers_.list_changed(p);
    peers_.list_due(p);
    context_.store_wake.notify();
    return {};
  }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  const peer_name& local_;
  std::size_t maximum_message_;
  detail::submission_queue<send_request> submitted_;
  send_table table_;
  detail::completion_sweep completed_;
};

}  // namespace ilm::inline v0::runtime
