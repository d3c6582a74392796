#pragma once

#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/operation_index.hpp>
#include <ilm/runtime/peers.hpp>
#include <ilm/runtime/requests.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <exception>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Drains the outputs of a peer's core after every input, and wakes the drivers concerned.
class dispatcher {
 public:
  dispatcher(context& c, peers& all, const peer_name& local)
      : context_(c), peers_(all), local_(local) {}

  void service(peer& p) {
    assert(p.name->state == &p);
    protocol::timestamp now = context_.now();
    report_events(p);
    complete_connected(p);
    complete_receipts(p);
    if (!p.writing && p.unflushed == 0) p.write.notify();
    if (p.core.has_delivery(now)) p.deliver.notify();
    request_pages(p, now);
    update_memory(p);
    peers_.list_changed(p);
    peers_.update_owing(p);
    if (p.core.has_due_change(now)) {
      peers_.list_due(p);
      if (!p.refused) context_.scheduler.handle_news();
      context_.store_wake.notify();
    }
    arm(p, now);
    watch_rest(p, now);
    publish(p, now);
    if (context_.life.shutting_down()) context_.progress.notify();
    assert(p.invariants_hold() && invariants_hold());
  }

  /// Has the pages read that the core wants.
  void request_pages(peer& p, protocol::timestamp now) {
    while (std::optional<protocol::page_request> r = p.core.poll_page(now)) {
      r->bytes = peers_.memory().reserve(p, r->bytes);
      pages_.emplace_back(&p, *r);
    }
    if (!pages_.empty()) context_.page_wake.notify();
  }

  /// Has the peers with most let go of messages while all take more than the limit.
  void update_memory(peer& p) {
    memory_budget<peer>& memory = peers_.memory();
    bool had_room = memory.has_room_for_unstored();
    memory.update(p, p.core.memory(), bool(peers_.units().refusal(p)));
    while (peer* most = memory.next_to_release()) {
      most->core.handle_memory_short();
      memory.update(*most, most->core.memory(), most->memory.refused);
    }
    if (!had_room && memory.has_room_for_unstored()) context_.read_wake.notify();
  }

  /// Takes the peer out of memory: see `peers::remove`. A page that is read for it is dropped. No
  /// caller may wait for it.
  void remove(peer& p) {
    std::erase_if(pages_, [&p](const auto& entry) { return entry.first == &p; });
    without_room_.remove(p);
    peers_.remove(p);
    assert(invariants_hold());
  }

  /// Lets the frames go that wait for more messages.
  void flush() {
    context_.scheduler.handle_flushed();
    peers_.drain_unflushed([this](peer& p) { service(p); });
  }

  /// Hands the core the time that its deadline named.
  void handle_time(protocol::timestamp now) {
    while (peer* p = peers_.timers().take_due(now)) {
      p->core.handle_timeout(now);
      service(*p);
    }
    if (lets_leave()) let_leave(now);
  }
  protocol::timestamp deadline() const noexcept {
    protocol::timestamp at = peers_.timers().earliest();
    return lets_leave() ? std::min(at, peers_.resting().earliest()) : at;
  }

  // Deliveries that wait for the store.

  /// Notifies the peer's delivery loop when it may stage sends again.
  void wait_for_room(peer& p) { without_room_.add(p); }
  void admit_deliveries() {
    if (!context_.sends.has_room_for_deliveries()) return;
    without_room_.drain([](peer& p) { p.deliver.notify(); });
  }

  /// The peer leaves memory when it has had nothing to do for a while.
  void watch_rest(peer& p) { watch_rest(p, context_.now()); }

  void report_events(peer& p) {
    while (std::optional<event_record> e = p.core.poll_event()) {
      context_.report(named_event(p.name, std::move(*e)));
    }
  }

  void arm(peer& p) { arm(p, context_.now()); }
  void publish(const peer& p) { publish(p, context_.now()); }
  void publish_totals() { context_.board.publish(totals()); }

  /// The pages to read, in the order in which they were asked for.
  std::vector<std::pair<peer*, protocol::page_request>> take_pages() {
    return std::exchange(pages_, {});
  }

  // Waiting callers.

  // A request stays with its caller until it is answered or waits: one that throws is not lost.

  void wait_delivered(std::unique_ptr<delivered_request>& r) {
    assert(r && r->done && !context_.life.opening());
    peer_name* name = r->find_name();
    if (name == nullptr || !name->known()) return r->done(error::unknown_sequence);
    sequence_range open = peers::undelivered(*name);
    if (r->sequence == 0 || r->sequence > open.last) return r->done(error::unknown_sequence);
    peer* p = name->state;
    if (p != nullptr && p->forgetting()) return r->done(error::peer_forgotten);
    if (r->sequence < open.first) return r->done({});
    assert(p != nullptr);
    std::uint64_t sequence = r->sequence, id = r->id;
    receipt_places_.add(id, {p, p->receipts.emplace(sequence, std::move(r))});
  }

  void wait_connected(std::unique_ptr<connected_request>& r) {
    assert(r && r->done && !context_.life.ended());
    peer_name* name = r->find_name();
    if (name == &local_) return r->done(error::send_to_self);
    r->check_name();
    bool open = name != nullptr && name->state != nullptr &&
                name->state->core.state() == protocol::phase::established;
    if (open) return r->done({});
    std::shared_ptr<const peer_name> mentioned = r->mention_name();
    std::uint64_t id = r->id;
    const peer_name* key = mentioned.get();
    auto at = connecting_.emplace(key, connecting(std::move(mentioned)));
    at->second.request = std::move(r);
    connecting_places_.add(id, at);
  }

  bool cancel(std::uint64_t id, std::error_code reason) {
    if (auto receipt = receipt_places_.take(id)) {
      auto& [p, at] = *receipt;
      std::unique_ptr<delivered_request> r = std::move(at->second);
      p->receipts.erase(at);
      r->done(reason);
      return true;
    }
    if (auto at = connecting_places_.take(id)) {
      std::unique_ptr<connected_request> r = std::move((*at)->second.request);
      connecting_.erase(*at);
      r->done(reason);
      return true;
    }
    return false;
  }

  /// Ends all that waits for the consumption of the peer's messages, on either side.
  void fail_waits(peer& p, std::error_code reason) {
    fail_receipts(p, reason);
    for (auto& [index, done] : std::exchange(p.consumptions, {})) done(reason);
  }
  /// Likewise, on this side, from the message with this index on.
  void fail_consumptions(peer& p, std::uint64_t index, std::error_code reason) {
    while (!p.consumptions.empty() && p.consumptions.rbegin()->first >= index) {
      auto last = std::prev(p.consumptions.end());
      last->second(reason);
      p.consumptions.erase(last);
    }
  }
  void fail_all(std::error_code reason) {
    fail_requests(reason);
    for (auto& [name, p] : peers_) fail_waits(*p, reason);
  }
  /// Ends all that waits for a peer. What waits for the store goes on.
  void fail_requests(std::error_code reason) {
    for (auto& [name, p] : peers_) fail_receipts(*p, reason);
    fail_connecting(reason);
  }
  void fail_connecting(std::error_code reason) {
    connecting_places_.clear();
    for (auto& [name, c] : std::exchange(connecting_, {})) c.request->done(reason);
  }
  /// Destroys the callers that wait.
  void abandon() {
    receipt_places_.clear();
    connecting_places_.clear();
    for (auto& [name, p] : peers_) {
      std::exchange(p->receipts, {}).clear();
      std::exchange(p->consumptions, {}).clear();
    }
    std::exchange(connecting_, {}).clear();
  }

 private:
  /// A caller that waits for a session, and the name by which it is found.
  struct connecting {
    explicit connecting(std::shared_ptr<const peer_name> p) : peer(std::move(p)) {}

    std::shared_ptr<const peer_name> peer;
    std::unique_ptr<connected_request> request;
  };
  using connecting_map = std::multimap<const peer_name*, connecting, name_order>;

  void watch_rest(peer& p, protocol::timestamp now) {
    context_.wake_by(peers_.update_resting(p, now));
  }
  bool lets_leave() const noexcept { return context_.life.current() == lifecycle::state::running; }
  /// Takes peers out of memory that have had nothing to do for a while.
  void let_leave(protocol::timestamp now) {
    for (unsigned count = 0; count < leaving_before_yield; ++count) {
      peer* p = peers_.resting().take_due(now);
      if (p == nullptr) return;
      if (p->leaves_at() <= now) {
        publish(*p, now);
        peers_.leave(*p);
      } else {
        peers_.update_resting(*p, now);
      }
    }
  }

  void fail_receipts(peer& p, std::error_code reason) {
    for (auto& [sequence, r] : std::exchange(p.receipts, {})) {
      receipt_places_.remove(r->id);
      r->done(reason);
    }
  }

  /// A core asks for one page a purpose at a time.
  bool invariants_hold() const noexcept {
    return pages_.size() <= protocol::page_purposes * peers_.size();
  }

  void complete_receipts(peer& p) {
    std::uint64_t delivered = p.core.delivered_by_peer();
    p.ages.erase_to(delivered);
    while (!p.receipts.empty() && p.receipts.begin()->first <= delivered) {
      receipt_places_.remove(p.receipts.begin()->second->id);
      p.receipts.begin()->second->done({});
      p.receipts.erase(p.receipts.begin());
    }
    std::uint64_t consumed = p.core.stored().inbox.first;
    while (!p.consumptions.empty() && p.consumptions.begin()->first < consumed) {
      p.consumptions.begin()->second({});
      p.consumptions.erase(p.consumptions.begin());
    }
  }

  /// A look at the state: a session that is verified again reports no event.
  void complete_connected(peer& p) {
    if (connecting_.empty() || p.core.state() != protocol::phase::established) return;
    auto at = connecting_.lower_bound(p.name.get());
    while (at != connecting_.end() && !p.name->precedes(*at->first)) {
      connecting_places_.remove(at->second.request->id);
      at->second.request->done({});
      at = connecting_.erase(at);
    }
  }

  void arm(peer& p, protocol::timestamp now) {
    protocol::timestamp at = p.core.deadline();
    if (at == protocol::never) return;
    at = std::max(at, now + timer_granularity);
    peers_.timers().arm(p, at);
    context_.wake_by(at);
  }

  void publish(const peer& p, protocol::timestamp now) {
    const protocol::association& core = p.core;
    peer_figures f;
    f.connected = core.state() == protocol::phase::established;
    f.outbox_depth = core.outbox_depth();
    f.inbox_depth = core.inbox_depth();
    f.in_flight = core.in_flight();
    f.round_trip = core.rtt() > protocol::duration::zero() ? core.rtt() : p.former.round_trip;
    f.accepted = p.accepted;
    f.delivered = core.delivered_by_peer() - p.delivered_at_open;
    f.received = p.consumed;
    f.resent = p.former.resent + core.resent();
    f.duplicates_dropped = p.former.duplicates_dropped + core.duplicates();
    f.frames_sent = p.frames_sent;
    f.frames_received = p.frames_received;
    f.frames_stale = p.former.frames_stale + core.stale_frames();
    f.frames_rejected = p.former.frames_rejected + core.rejected_frames();
    context_.board.publish(*p.published, f, now - p.ages.at(now), totals());
  }

  messenger_totals totals() const {
    messenger_totals t;
    t.uncommitted_messages = context_.sends.messages();
    t.uncommitted_bytes = context_.sends.bytes();
    t.held_bytes = peers_.memory().held();
    t.events_lost = context_.events.lost();
    return t;
  }

  context& context_;
  peers& peers_;
  const peer_name& local_;
  std::vector<std::pair<peer*, protocol::page_request>> pages_;
  peer_list<peer, &peer::without_room> without_room_;  ///< whose deliveries wait
  operation_index<std::pair<peer*, peer::receipt_map::iterator>> receipt_places_;
  connecting_map connecting_;
  operation_index<connecting_map::iterator> connecting_places_;
};

}  // namespace ilm::inline v0::runtime
