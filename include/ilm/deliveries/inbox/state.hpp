#pragma once

#include <ilm/deliveries/inbox/offers.hpp>
#include <ilm/delivery_context.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/detail/context_end.hpp>
#include <ilm/error.hpp>
#include <ilm/received.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// The offers of messengers to an inbox, and the readers that wait for them.
///
/// A reader has an offer when its handler runs with it, and not before: one that is cancelled in
/// between releases it.
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
    std::lock_guard lock(mutex_);
    auto first = waits_of_.lower_bound({reader, 0}), last = waits_of_.lower_bound({reader + 1, 0});
    while (first != last) take((first++)->second).done(asio::error::operation_aborted, {});
    offers_.release_reader(reader);
    match();
  }

  // The messenger.

  void place(std::uint64_t id, message<PeerId> m, delivery_context<PeerId> context, handler done,
             asio::execution_context* home) {
    std::lock_guard lock(mutex_);
    if (!offers_.closed()) watch(home);
    offers_.add(id, std::move(m), std::move(context), std::move(done), home);
    match();
  }

  // Readers.

  template <class Handler, class Finish>
  void receive(std::uint64_t reader, std::size_t most, Handler&& h, Finish finish) {
    auto decides = std::make_shared<claim>();
    std::uint64_t id = connect(h, decides);
    asio::execution_context* home =
        context_of(asio::get_associated_executor(h, asio::system_executor()));
    start(waiting_reader{
        id, reader, most,
        waiter_of(reader, std::move(decides), std::forward<Handler>(h), std::move(finish)), home});
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
    start(waiting_reader{id, reader, 1, std::move(w), context_of(executor)});
  }

  std::optional<received<PeerId>> try_receive(std::uint64_t reader) {
    std::lock_guard lock(mutex_);
    offers_.consume_all(reader);
    return offers_.give_waiting(reader, this->weak_from_this());
  }

  void consume(std::uint64_t reader, handler done) {
    std::lock_guard lock(mutex_);
    offers_.consume_all(reader, std::move(done));
  }

  void consume_one(std::uint64_t reader, std::uint64_t ticket, handler done) {
    std::lock_guard lock(mutex_);
    offers_.consume_one(reader, ticket, std::move(done));
  }

  void give_back(std::uint64_t ticket) noexcept override {
    std::lock_guard lock(mutex_);
    offers_.release_given(ticket);
    match();
  }

  /// The next messenger on the store gives the messages again.
  void handle_context_end(asio::execution_context& ending) noexcept override {
    std::uint64_t last = 0;
    while (withdraw_next_of(ending, last)) {
    }
    // Destroyed after the lock: they may hold objects of this inbox.
    readers ended;
    std::lock_guard lock(mutex_);
    std::erase(watched_, &ending);
    for (auto r = waiting_.begin(); r != waiting_.end();) {
      auto at = r++;
      if (at->second.home != &ending) continue;
      waits_of_.erase({at->second.reader, at->first});
      ended.insert(waiting_.extract(at));
    }
  }

  void cancel(std::uint64_t id) {
    std::lock_guard lock(mutex_);
    offers_.withdraw(id);
    if (waiting_.contains(id)) take(id).done(asio::error::operation_aborted, {});
  }

  void close() {
    std::lock_guard lock(mutex_);
    waits_of_.clear();
    for (auto& [id, r] : std::exchange(waiting_, {})) r.done(error::inbox_closed, {});
    offers_.close();
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
  /// A reader is given tickets until its handler runs, and messages then.
  using tickets = typename offers<PeerId>::tickets;
  using waiter = completion<std::error_code, tickets>;

  struct waiting_reader {
    std::uint64_t id;
    std::uint64_t reader;
    std::size_t most;
    waiter done;
    asio::execution_context* home;  ///< of the handler
  };
  using readers = std::map<std::uint64_t, waiting_reader>;

  template <class Handler, class Finish>
  waiter waiter_of(std::uint64_t reader, std::shared_ptr<claim> decides, Handler&& h,
                   Finish finish) {
    std::error_code aborted = asio::error::operation_aborted;
    auto self = this->shared_from_this();
    auto given = [self, finish, reader](auto&& done, std::error_code failed, tickets t) {
      batch all = failed ? batch() : self->give_all(reader, t);
      if (!failed && all.empty()) failed = asio::error::operation_aborted;
      finish(std::forward<decltype(done)>(done), failed, std::move(all));
    };
    auto returned = [self, reader](std::error_code, tickets t) { self->release_all(reader, t); };
    auto abort = [finish, aborted](auto&& done) {
      finish(std::forward<decltype(done)>(done), aborted, batch());
    };
    return waiter::claimed(std::forward<Handler>(h), asio::system_executor(), std::move(decides),
                           std::move(given), std::move(returned), std::move(abort));
  }

  void start(waiting_reader r) {
    assert(r.most > 0 && r.reader != 0);
    std::lock_guard lock(mutex_);
    offers_.consume_all(r.reader);
    if (offers_.closed()) return r.done(error::inbox_closed, {});
    watch(r.home);
    std::set<std::pair<std::uint64_t, std::uint64_t>> one{{r.reader, r.id}};
    std::uint64_t id = r.id;
    waiting_.try_emplace(id, std::move(r));
    waits_of_.merge(one);
    match();
  }

  waiting_reader take(std::uint64_t id) {
    auto at = waiting_.find(id);
    assert(at != waiting_.end());
    waiting_reader r = std::move(at->second);
    waits_of_.erase({r.reader, id});
    waiting_.erase(at);
    return r;
  }

  void watch(asio::execution_context* home) {
    if (home == nullptr || std::find(watched_.begin(), watched_.end(), home) != watched_.end()) {
      return;
    }
    context_end::watch(*home, std::weak_ptr<context_listener>(this->shared_from_this()));
    watched_.push_back(home);
  }

  /// Reserves the offers that wait for the readers that wait.
  void match() {
    while (!waiting_.empty()) {
      const waiting_reader& first = waiting_.begin()->second;
      tickets t = offers_.promise(first.reader, first.most);
      if (t.empty()) return;
      take(first.id).done({}, std::move(t));
    }
  }

  /// The messages that the reader was promised.
  batch give_all(std::uint64_t reader, const tickets& t) {
    batch all;  // An exception gives its messages back, without the lock.
    std::lock_guard lock(mutex_);
    for (std::uint64_t id : t) {
      auto given = offers_.give(reader, id, this->weak_from_this());
      if (given) all.push_back(std::move(*given));
    }
    return all;
  }

  void release_all(std::uint64_t reader, const tickets& t) {
    std::lock_guard lock(mutex_);
    for (std::uint64_t id : t) offers_.release_promise(reader, id);
    match();
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
  readers waiting_;  ///< by the id of the operation: the oldest first
  std::set<std::pair<std::uint64_t, std::uint64_t>> waits_of_;  ///< the same: reader, and operation
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
