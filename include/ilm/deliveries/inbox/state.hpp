#pragma once

#include <ilm/deliveries/inbox/offers.hpp>
#include <ilm/deliveries/inbox/waits.hpp>
#include <ilm/delivery_context.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/detail/context_end.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/error.hpp>
#include <ilm/received.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// The offers of messengers to an inbox, and the readers that wait for them.
///
/// A reader has an offer when its handler runs with it, and not before: one that is cancelled in
/// between releases it. Handlers are posted with the lock, for which a context that ends waits, and
/// destroyed without it, as they may hold objects of this inbox. A reader whose handler cannot be
/// posted for want of memory waits on, and the message goes back to its messenger, which offers it
/// again later; all others that cannot be told are told by the next call.
template <class PeerId>
class inbox_state final : public lender,
                          public context_listener,
                          public std::enable_shared_from_this<inbox_state<PeerId>> {
 public:
  using batch = std::vector<received<PeerId>>;
  using handler = completion<std::error_code>;

  std::uint64_t add_reader() noexcept { return ++readers_; }

  /// The reader is gone, and asks for nothing more. The next that asks is done with its messages,
  /// as a function that receives through a copy of its own may have passed them on.
  void remove_reader(std::uint64_t reader) {
    change([&](due& d) {
      waits_.end_of(reader, asio::error::operation_aborted, d.waits);
      offers_.release_reader(reader, d.offers);
      match(d);
    });
  }

  // The messenger.

  /// Without memory the messenger is told so, or its coroutine destroyed: it offers it again.
  void place(std::uint64_t id, message<PeerId> m, delivery_context<PeerId> context, handler done,
             asio::execution_context* home) noexcept {
    try {
      change([&](due& d) {
        if (!offers_.closed()) watch(home);
        offers_.add(id, m, context, done, home, d.offers);
        match(d);
      });
    } catch (...) {
      refuse(std::move(done), failure_of(std::current_exception()).code);
    }
  }

  // Readers.

  template <class Handler, class Finish>
  void receive(std::uint64_t reader, std::size_t most, Handler&& h, Finish finish) {
    auto decides = std::make_shared<claim>();
    std::uint64_t id = connect(h, decides);
    asio::execution_context* home =
        context_of(asio::get_associated_executor(h, asio::system_executor()));
    start({id, reader, most,
           waiter_of(reader, std::move(decides), std::forward<Handler>(h), std::move(finish)),
           home});
  }

  template <class Handler, class Finish>
  void receive_for(std::uint64_t reader, std::chrono::nanoseconds limit, Handler&& h,
                   Finish finish) {
    using timer_type = typename timer_of<std::chrono::steady_clock>::type;
    auto decides = std::make_shared<claim>();
    std::uint64_t id = connect(h, decides);
    asio::any_io_executor executor =
        asio::get_associated_executor(h, asio::any_io_executor(asio::system_executor()));
    auto timer = std::make_shared<timer_type>(executor);
    timer->expires_after(std::chrono::duration_cast<std::chrono::steady_clock::duration>(limit));
    auto expired = std::make_shared<std::atomic<bool>>(false);
    auto finish_timed = [timer, finish, expired](auto&& done, std::error_code failed, batch given) {
      timer->cancel();
      std::error_code reason = *expired ? std::error_code() : failed;
      finish(std::forward<decltype(done)>(done), reason, std::move(given));
    };
    waiter w = waiter_of(reader, decides, std::forward<Handler>(h), std::move(finish_timed));
    timer->async_wait([self = this->weak_from_this(), id, decides, expired](std::error_code e) {
      if (e) return;
      *expired = true;
      if (!decides->cancel()) return;
      if (auto alive = self.lock()) alive->cancel(id);
    });
    start({id, reader, 1, std::move(w), context_of(executor)});
  }

  std::optional<received<PeerId>> try_receive(std::uint64_t reader) {
    std::optional<received<PeerId>> next;
    change([&](due& d) {
      offers_.consume_all(reader, d.offers);
      next = offers_.give_waiting(reader, this->weak_from_this(), d.offers);
    });
    return next;
  }

  void consume(std::uint64_t reader, handler done) {
    std::error_code result;
    change([&](due& d) { result = offers_.consume_all(reader, done, d.offers); });
    if (done) done(result);
  }

  void consume_one(std::uint64_t reader, std::uint64_t ticket, handler done) {
    std::error_code result;
    change([&](due& d) { result = offers_.consume_one(reader, ticket, done, d.offers); });
    if (done) done(result);
  }

  void give_back(std::uint64_t ticket) noexcept override {
    change([&](due& d) {
      offers_.release_given(ticket, d.offers);
      match(d);
    });
  }

  /// The next messenger on the store gives the messages again.
  void handle_context_end(asio::execution_context& ending) noexcept override {
    std::uint64_t last = 0;
    while (withdraw_next_of(ending, last)) {
    }
    due ended;
    std::lock_guard lock(mutex_);
    std::erase(watched_, &ending);
    waits_.move_of(ending, ended.waits);
    late_.waits.move_of(ending, ended.waits);
    late_.offers.move_of(ending, ended.offers);
  }

  void cancel(std::uint64_t id) {
    handler withdrawn;
    change([&](due& d) {
      withdrawn = offers_.withdraw(id);
      waits_.end(id, asio::error::operation_aborted, d.waits);
    });
    if (withdrawn) withdrawn(asio::error::operation_aborted);
  }

  void close() {
    change([&](due& d) {
      waits_.end_all(error::inbox_closed, d.waits);
      offers_.close(d.offers);
    });
  }

  /// Lets the handler's cancellation slot withdraw the operation named by the result.
  template <class Handler>
  std::uint64_t connect(Handler& h, std::shared_ptr<claim> decides = nullptr) {
    std::uint64_t id = ++ids_;
    auto slot = asio::get_associated_cancellation_slot(h);
    if (slot.is_connected()) {
      slot.assign(
          [weak = this->weak_from_this(), id, c = std::move(decides)](asio::cancellation_type) {
            if (c && !c->cancel()) return;
            if (auto alive = weak.lock()) alive->cancel(id);
          });
    }
    return id;
  }

 private:
  using tickets = inbox_wait::tickets;
  using waiter = inbox_wait::handler;
  using endings = typename offers<PeerId>::endings;

  /// Those that are to be told something. To be destroyed without the lock.
  struct due {
    /// Tells them. Those stay that cannot be told for want of memory: offers here, waits in
    /// `failed`. Gives the reason why a wait does.
    std::error_code post(inbox_waits& failed) noexcept {
      std::error_code why;
      while (!waits.empty()) {
        inbox_wait& next = waits.front();
        try {
          next.done.call_with(next.result, next.given);
          waits.drop_front();
        } catch (...) {
          why = failure_of(std::current_exception()).code;
          waits.move_front(failed);
        }
      }
      offers.post();
      return why;
    }

    inbox_waits waits;
    endings offers;
  };

  template <class Handler, class Finish>
  waiter waiter_of(std::uint64_t reader, std::shared_ptr<claim> decides, Handler&& h,
                   Finish finish) {
    std::error_code aborted = asio::error::operation_aborted;
    auto self = this->shared_from_this();
    auto given = [self, finish, reader](auto&& done, std::error_code failed, tickets t) {
      batch all;
      if (!failed) failed = self->give_all(reader, t, all);
      finish(std::forward<decltype(done)>(done), failed, std::move(all));
    };
    auto returned = [self, reader](std::error_code, tickets t) { self->release_all(reader, t); };
    auto abort = [finish, aborted](auto&& done) {
      finish(std::forward<decltype(done)>(done), aborted, batch());
    };
    return waiter::claimed(std::forward<Handler>(h), asio::system_executor(), std::move(decides),
                           std::move(given), std::move(returned), std::move(abort));
  }

  void start(inbox_wait w) {
    change([&](due& d) {
      offers_.consume_all(w.reader, d.offers);
      std::uint64_t id = w.id;
      if (!offers_.closed()) watch(w.home);
      waits_.add(w);
      if (offers_.closed()) waits_.end(id, error::inbox_closed, d.waits);
      match(d);
    });
  }

  /// `step(due&)` with the lock; then tells those that are due, also where it throws.
  template <class Step>
  void change(Step step) {
    due d;
    std::lock_guard lock(mutex_);
    late_.waits.move_all(d.waits);
    late_.offers.move_all(d.offers);
    try {
      step(d);
    } catch (...) {
      post(d);
      throw;
    }
    post(d);
  }

  void post(due& d) noexcept {
    inbox_waits refused, failed;
    std::error_code why;
    while (std::error_code next = d.post(refused)) {
      why = next;
      refused.for_each([&](inbox_wait& w) { release(w.reader, std::exchange(w.given, {}), d); });
      refused.move_all(failed);
      match(d);
    }
    if (why) wait_again(failed, why, d);
    d.offers.move_all(late_.offers);
  }

  /// Waits whose handlers found no memory. A message for them comes again, from its messenger.
  void wait_again(inbox_waits& failed, std::error_code why, due& d) noexcept {
    while (!failed.empty()) failed.move_front(failed.front().result ? late_.waits : waits_);
    if (!waits_.empty()) offers_.refuse_one(why, d.offers);
    d.offers.post();
  }

  static void refuse(handler done, std::error_code why) noexcept {
    try {
      if (done) done(why);
    } catch (...) {
      // As above: the messenger's coroutine goes with the handler.
    }
  }

  void watch(asio::execution_context* home) {
    if (home == nullptr || std::find(watched_.begin(), watched_.end(), home) != watched_.end()) {
      return;
    }
    context_end::watch(*home, std::weak_ptr<context_listener>(this->shared_from_this()));
    watched_.push_back(home);
  }

  /// Reserves the offers that wait for the readers that wait.
  void match(due& d) noexcept {
    while (!waits_.empty()) {
      inbox_wait& first = waits_.front();
      try {
        first.given = offers_.promise(first.reader, first.most);
      } catch (...) {
        return offers_.refuse_one(failure_of(std::current_exception()).code, d.offers);
      }
      if (first.given.empty()) return;
      waits_.move_front(d.waits);
    }
  }

  /// The messages that the reader was promised. Where it fails, they are for others.
  std::error_code give_all(std::uint64_t reader, const tickets& t, batch& all) noexcept {
    try {
      for (std::uint64_t id : t) {
        auto given = give(reader, id);
        if (given) all.push_back(std::move(*given));
      }
    } catch (...) {
      std::error_code failed = failure_of(std::current_exception()).code;
      all.clear();
      change([&](due& d) {
        for (std::uint64_t id : t) offers_.release_from(reader, id, d.offers);
        match(d);
      });
      return failed;
    }
    return all.empty() ? asio::error::operation_aborted : std::error_code();
  }
  /// An exception destroys a message without the lock.
  auto give(std::uint64_t reader, std::uint64_t ticket) {
    std::lock_guard lock(mutex_);
    return offers_.give(reader, ticket, this->weak_from_this());
  }

  void release_all(std::uint64_t reader, const tickets& t) {
    change([&](due& d) {
      release(reader, t, d);
      match(d);
    });
  }
  void release(std::uint64_t reader, const tickets& t, due& d) noexcept {
    for (std::uint64_t id : t) offers_.release_promise(reader, id, d.offers);
  }

  /// Destroys the handler that it withdraws after the lock.
  bool withdraw_next_of(asio::execution_context& ending, std::uint64_t& after) {
    handler done;
    std::lock_guard lock(mutex_);
    done = offers_.withdraw_next_of(ending, after);
    return static_cast<bool>(done);
  }

  std::mutex mutex_;
  offers<PeerId> offers_;
  inbox_waits waits_;
  due late_;  ///< those that could not be told for want of memory
  std::vector<asio::execution_context*> watched_;
  std::atomic<std::uint64_t> ids_{0};
  std::atomic<std::uint64_t> readers_{0};
};

/// Starts an offer.
template <class PeerId>
class place_offer {
 public:
  place_offer(std::shared_ptr<inbox_state<PeerId>> s, asio::any_io_executor executor,
              message<PeerId> m, delivery_context<PeerId> context)
      : state_(std::move(s)),
        executor_(std::move(executor)),
        message_(std::move(m)),
        context_(std::move(context)) {}

  template <class Handler>
  void operator()(Handler&& h) {
    std::uint64_t id = state_->connect(h);
    asio::execution_context* home = context_of(asio::get_associated_executor(h, executor_));
    completion<std::error_code> done(std::forward<Handler>(h), executor_);
    state_->place(id, std::move(message_), std::move(context_), std::move(done), home);
  }

 private:
  std::shared_ptr<inbox_state<PeerId>> state_;
  asio::any_io_executor executor_;
  message<PeerId> message_;
  delivery_context<PeerId> context_;
};

ILM_INSTANCE(class inbox_state<std::string>);

}  // namespace ilm::inline v0::detail
