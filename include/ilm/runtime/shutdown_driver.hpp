#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/delivery_driver.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/forget_driver.hpp>
#include <ilm/runtime/network_driver.hpp>
#include <ilm/runtime/send_driver.hpp>
#include <ilm/runtime/store_driver.hpp>

#include <algorithm>
#include <cassert>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Ends a messenger in good order: takes the steps of its lifecycle, and reports the rest.
class shutdown_driver {
 public:
  using owner = std::shared_ptr<const void>;
  using handler = detail::completion<std::error_code, named_report>;

  /// `retired` is called when the shutdown has reported while calls of the application still run,
  /// and `finished` at the end.
  shutdown_driver(context& c, peers& all, dispatcher& d, send_driver& sends, forget_driver& forgets,
                  store_driver& store, network_driver& network, delivery_driver& delivery,
                  std::function<void()> retired, std::function<void()> finished)
      : context_(c),
        peers_(all),
        dispatcher_(d),
        sends_(sends),
        forgets_(forgets),
        store_(store),
        network_(network),
        delivery_(delivery),
        retired_(std::move(retired)),
        finished_(std::move(finished)) {
    assert(retired_ && finished_);
  }

  /// The caller waits for the end; at the end, it is told at once. Begins nothing.
  void wait(handler& done) {
    assert(done);
    try {
      waiting_.push_back(std::move(done));
    } catch (...) {
      return done(detail::failure_of(std::current_exception()).code, {});
    }
    if (context_.life.ended()) fail_all(context_.life.shutdown_error());
  }

  void start(protocol::duration timeout, owner keep) {
    lifecycle& life = context_.life;
    if (life.ended()) return;
    bool first = !life.shutting_down();
    protocol::duration limit = std::max(timeout, protocol::duration::zero());
    life.handle_shutdown(protocol::after(context_.now(), limit));
    context_.wake_by(life.deadline());
    if (!first) return;
    context_.sends.fail_all(error::shut_down);
    forgets_.fail_all(error::shut_down, store_.dropping());
    for (const auto& [name, p] : peers_) {
      p->last_before_shutdown = p->core.delivered_by_peer() + p->core.outbox_depth();
    }
    context_.store_wake.notify();
    context_.guard.spawn(context_.strand, std::move(keep), run());
  }

  void handle_time(protocol::timestamp now) {
    if (context_.life.deadline() <= now) context_.progress.notify();
  }

  void fail_all(std::error_code reason) {
    for (handler& done : std::exchange(waiting_, {})) tell(done, reason);
  }
  /// Destroys the callers that wait.
  void abandon() { std::exchange(waiting_, {}).clear(); }

 private:
  asio::awaitable<void> run() {
    using step = lifecycle::step;
    for (;;) {
      step next = context_.life.next(activity(), context_.now());
      context_.wake_by(context_.life.deadline());
      switch (next) {
        case step::wait:
          co_await context_.progress.wait();
          break;
        case step::stop_deliveries:
          dispatcher_.flush();
          delivery_.cancel();
          break;
        case step::store_last:
          context_.store_wake.notify();
          break;
        case step::say_bye:
          network_.say_bye();
          co_await context_.progress.wait_a_turn();
          break;
        case step::report:
          report();
          retired_();
          break;
        case step::close_store: {
          std::error_code failed = co_await store_.close();
          if (context_.life.ended()) co_return;
          context_.life.handle_closed(failed);
          finish();
          co_return;
        }
        case step::finish:
          finish();
          co_return;
        case step::leave:
          co_return;
      }
    }
  }

  /// A report that cannot be given fails for its caller alone.
  void tell(handler& done, std::error_code reason) const {
    named_report copy;
    try {
      copy = report_;
    } catch (...) {
      reason = detail::failure_of(std::current_exception()).code;
      copy = named_report();
    }
    done(reason, std::move(copy));
  }

  lifecycle::activity activity() const {
    lifecycle::activity a;
    a.drained = drained();
    a.committing = store_.committing();
    a.delivering = peers_.delivering() > 0;
    a.writing = peers_.writing() > 0;
    return a;
  }

  /// Whether nothing is left that a connected peer could still confirm.
  bool drained() const {
    if (!sends_.idle()) return false;
    if (delivery_.ends_by_itself() && peers_.delivering() > 0) return false;
    return peers_.owing() == 0;
  }

  void finish() {
    assert(context_.life.ended());
    report();
    finished_();
  }

  /// Tells those that wait how things stand.
  void report() {
    report_ = {};
    named_statistics all = context_.board.read(context_.now());
    for (auto& [name, figures] : all.peers) {
      shutdown_counts counts = counts_of(*name, figures);
      report_.totals.delivered += counts.delivered;
      report_.totals.undelivered += counts.undelivered;
      report_.totals.unread += counts.unread;
      report_.totals.running += counts.running;
      report_.peers.emplace_back(std::move(name), counts);
    }
    fail_all(context_.life.shutdown_error());
  }
  static shutdown_counts counts_of(const peer_name& name, const peer_figures& figures) {
    shutdown_counts counts;
    const peer* p = name.state;
    if (p == nullptr) {
      counts.delivered = figures.delivered;
      return counts;
    }
    counts.delivered = p->core.delivered_by_peer() - p->delivered_at_open;
    // A message that arrived after the last batch is not in the store: it comes again.
    const cursors& stored = p->core.stored();
    counts.undelivered = stored.outbox.next - 1 - p->core.delivered_by_peer();
    counts.unread = stored.inbox.next - stored.inbox.first;
    counts.running = p->delivering ? 1 : 0;
    return counts;
  }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  send_driver& sends_;
  forget_driver& forgets_;
  store_driver& store_;
  network_driver& network_;
  delivery_driver& delivery_;
  std::function<void()> retired_;
  std::function<void()> finished_;
  std::vector<handler> waiting_;
  named_report report_;
};

}  // namespace ilm::inline v0::runtime
