#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/async_event.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/detail/failure_guard.hpp>
#include <ilm/event.hpp>
#include <ilm/options.hpp>
#include <ilm/runtime/commit_scheduler.hpp>
#include <ilm/runtime/event_queue.hpp>
#include <ilm/runtime/lifecycle.hpp>
#include <ilm/runtime/ports.hpp>
#include <ilm/runtime/send_queue.hpp>
#include <ilm/runtime/statistics_board.hpp>
#include <ilm/runtime/strand.hpp>

#include <cassert>
#include <memory>
#include <utility>

namespace ilm::inline v0::runtime {

/// The state that all drivers share. The drivers do not call one another: they notify an event
/// here, and the driver concerned looks at the state that changed.
struct context {
  /// `fail` ends the messenger: see detail::failure_guard.
  context(const asio::any_io_executor& executor, options o, std::unique_ptr<clock_port> time,
          detail::failure_guard::handler fail)
      : strand(strand_over(executor)),
        turns(std::make_shared<detail::turns>(strand)),
        settings(std::move(o)),
        clock(std::move(time)),
        guard(std::move(fail)),
        scheduler(settings),
        sends(settings),
        events(settings.event_limit),
        store_wake(*turns),
        page_wake(*turns),
        read_wake(*turns),
        progress(*turns) {
    assert(clock);
  }

  protocol::timestamp now() const noexcept { return clock->now(); }

  /// An event of the messenger, or of one peer.
  void report(event_kind kind, detail::failure why = {}, const peer_name* of = nullptr) {
    std::shared_ptr<const peer_name> name;
    if (of != nullptr) name = of->shared_from_this();
    report(named_event(std::move(name), event_record(kind, std::move(why))));
  }
  void report(named_event e) {
    events.put(std::move(e), now());
    wake_by(events.deadline());
  }

  /// Has the clock's wait end by `at`.
  void wake_by(protocol::timestamp at) {
    if (at < timer_at) clock->wake();
  }

  asio::any_io_executor strand;  ///< on which all of the engine runs
  std::shared_ptr<detail::turns> turns;
  options settings;
  std::unique_ptr<clock_port> clock;
  detail::failure_guard guard;
  protocol::timestamp timer_at = protocol::never;  ///< the end of the clock's wait
  lifecycle life;
  commit_scheduler scheduler;
  send_queue sends;
  event_queue events;
  statistics_board board;
  detail::async_event store_wake;  ///< for the store driver: something may be due
  detail::async_event page_wake;   ///< for the store driver: a page may be asked for
  detail::async_event read_wake;   ///< for the network driver: there may be room to read again
  detail::async_event progress;    ///< for the shutdown driver: something came to its end
};

}  // namespace ilm::inline v0::runtime
