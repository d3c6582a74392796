#pragma once

#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/peers.hpp>
#include <ilm/runtime/requests.hpp>
#include <ilm/runtime/send_driver.hpp>

#include <cassert>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Forgets peers, one step at a time: ends what is under way for the peer, waits until nothing of
/// it is with the store, the network or the application, has the store drop it, and takes it out of
/// memory.
class forget_driver {
 public:
  forget_driver(context& c, peers& all, dispatcher& d, send_driver& sends)
      : context_(c), peers_(all), dispatcher_(d), sends_(sends) {}

  /// Takes the request, unless it throws.
  void start(std::unique_ptr<forget_request>& r) {
    assert(r && r->done && context_.life.commits());
    peer_name* name = r->find_name();
    peer* known = peers_.find(name);
    if (known == nullptr) return r->done({}, {});
    peer& p = *known;
    bool first = !p.forgetting();
    p.forgetters.reserve(p.forgetters.size() + 1);
    under_way_.add(p);
    p.forgetters.push_back(std::move(r));
    if (!first) return;
    end_work(p);
    peers_.list_calmer(p);
    context_.store_wake.notify();
  }

  /// A peer that is at rest and can be dropped, or null. To be called between commits.
  peer* next_ready() const noexcept { return peers_.next_calm(); }

  /// Tells what is about to be dropped.
  forget_report report(const peer& p) {
    const cursors& c = p.core.stored();
    forget_report r;
    r.undelivered = c.outbox.next - 1 - p.core.delivered_by_peer();
    r.unread = c.inbox.next - c.inbox.first;
    event_record e(event_kind::peer_forgotten);
    if (r.undelivered > 0) e.outbound = {p.core.delivered_by_peer() + 1, c.outbox.next - 1};
    if (r.unread > 0) e.inbound = {c.inbox.delivered() + 1, c.inbox.received()};
    context_.report(named_event(p.name, std::move(e)));
    return r;
  }

  /// The store is without the peer. Where the network still has a session with it, both meet anew.
  void handle_dropped(peer& p, const forget_report& dropped) {
    std::shared_ptr<peer_name> name = p.name;
    bool has_network = p.has_network;
    auto waiting = std::exchange(p.forgetters, {});
    under_way_.remove(p);
    dispatcher_.remove(p);
    for (auto& r : waiting) r->done({}, dropped);
    if (!has_network || !context_.life.commits()) return;
    peer& again = peers_.of(*name);
    again.has_network = true;
    again.core.handle_session_up(context_.now());
    dispatcher_.service(again);
  }

  /// The peer stays.
  void handle_failed(peer& p, std::error_code reason) {
    assert(reason && p.forgetting());
    under_way_.remove(p);
    for (auto& r : std::exchange(p.forgetters, {})) r->done(reason, {});
    if (context_.life.ended()) return;
    if (p.has_network) p.core.handle_session_up(context_.now());
    dispatcher_.service(p);
  }

  /// Ends all that is under way, but for the one that is with the store.
  void fail_all(std::error_code reason, const peer* with_store = nullptr) {
    for (peer* p : std::vector<peer*>(under_way_.begin(), under_way_.end())) {
      if (p != with_store) handle_failed(*p, reason);
    }
  }
  /// Destroys the callers that wait.
  void abandon() {
    under_way_.drain([](peer& p) { std::exchange(p.forgetters, {}).clear(); });
  }

 private:
  void end_work(peer& p) {
    ++p.session_changes;  // A frame that fails now is of a session that is over.
    p.core.handle_forget(error::peer_forgotten);
    sends_.complete(p, context_.now());
    sends_.post_completed();
    dispatcher_.fail_waits(p, error::peer_forgotten);
    if (p.delivering) p.stop_delivering.emit(asio::cancellation_type::terminal);
    if (p.writing) p.stop_writing.emit(asio::cancellation_type::terminal);
    sends_.admit_waiting();
    dispatcher_.service(p);
  }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  send_driver& sends_;
  peer_list<peer, &peer::under_way> under_way_;
};

}  // namespace ilm::inline v0::runtime
