#pragma once

#include <ilm/delivery_context.hpp>
#include <ilm/detail/asio.hpp>
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
#include <deque>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// Completes once several operations have; with the first error, if there was one.
class join {
 public:
  using handler = completion<std::error_code>;

  join(std::size_t count, handler done) : left_(count), done_(std::move(done)) {
    assert(left_ > 0 && done_);
  }

  void handle_ended(std::error_code failed) {
    std::lock_guard lock(mutex_);
    if (!failed_) failed_ = failed;
    if (--left_ == 0) done_(failed_);
  }

 private:
  std::mutex mutex_;
  std::size_t left_;
  std::error_code failed_;
  handler done_;
};

/// The messages that messengers offer to an inbox, and the readers that wait for them.
///
/// An offer waits, or a reader has it; its end is that a reader consumed it, or that its messenger
/// withdrew it. A reader has an offer when its handler runs with it, and not before: one that is
/// cancelled in between gives it back.
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
    deprived_.erase(reader);
    for (auto w = waiting_.begin(); w != waiting_.end();) {
      if (w->reader != reader) {
        ++w;
      } else {
        w->done(asio::error::operation_aborted, {});
        w = waiting_.erase(w);
      }
    }
    for (offer& o : offers_) {
      if (o.reader == reader) o.reader = o.given ? nobody : 0;
    }
    match();
  }

  // The messenger.

  void place(std::uint64_t id, message<PeerId> m, delivery_context<PeerId> context, handler done,
             asio::execution_context* home) {
    std::lock_guard lock(mutex_);
    if (closed_) return done(error::inbox_closed);
    watch(home);
    offers_.emplace_back(id, std::move(m), std::move(context), std::move(done), home);
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
    consume_all(reader);
    for (offer& o : offers_) {
      if (o.reader != 0) continue;
      o.reader = reader;
      return give(o);
    }
    return std::nullopt;
  }

  void consume(std::uint64_t reader, handler done) {
    std::lock_guard lock(mutex_);
    auto is_its = [reader](const offer& o) {
      return (o.reader == reader || o.reader == nobody) && o.given;
    };
    auto count = static_cast<std::size_t>(std::count_if(offers_.begin(), offers_.end(), is_its));
    bool deprived = deprived_.erase(reader) != 0;
    if (count == 0)
      return done(deprived ? make_error_code(error::message_returned) : std::error_code());
    auto all = std::make_shared<join>(count, std::move(done));
    for (auto o = offers_.begin(); o != offers_.end();) {
      auto next = std::next(o);
      if (is_its(*o)) {
        end(o, handler::pass_to([all](std::error_code e) { all->handle_ended(e); }));
      }
      o = next;
    }
  }

  void consume_one(std::uint64_t reader, std::uint64_t ticket, handler done) {
    std::lock_guard lock(mutex_);
    auto o = find(ticket);
    if (o == offers_.end() || (o->reader != reader && o->reader != nobody) || !o->given) {
      return done(error::message_returned);
    }
    end(o, std::move(done));
  }

  void give_back(std::uint64_t ticket) noexcept override {
    std::lock_guard lock(mutex_);
    auto o = find(ticket);
    if (o == offers_.end() || !o->given) return;
    take_back(*o);
    match();
  }

  /// The next messenger on the store gives the messages again.
  void handle_context_end(asio::execution_context& ending) noexcept override {
    // Destroyed after the lock: they may hold objects of this inbox.
    offer_list offers;
    std::deque<waiting_reader> readers;
    std::lock_guard lock(mutex_);
    std::erase(watched_, &ending);
    for (auto o = offers_.begin(); o != offers_.end();) {
      auto next = std::next(o);
      if (o->home == &ending) offers.splice(offers.end(), offers_, o);
      o = next;
    }
    auto stays = [&ending](const waiting_reader& r) { return r.home != &ending; };
    auto first = std::stable_partition(waiting_.begin(), waiting_.end(), stays);
    std::move(first, waiting_.end(), std::back_inserter(readers));
    waiting_.erase(first, waiting_.end());
  }

  void cancel(std::uint64_t id) {
    std::lock_guard lock(mutex_);
    auto o = find(id);
    if (o != offers_.end()) {
      o->done(asio::error::operation_aborted);
      // A reader that was promised it gets it, as one that has it keeps it: it will come again.
      o->withdrawn = true;
      if (o->given) deprived_.insert(o->reader);
      if (o->reader == 0 || o->given) offers_.erase(o);
    }
    auto r =
        std::find_if(waiting_.begin(), waiting_.end(), [id](const auto& w) { return w.id == id; });
    if (r != waiting_.end()) {
      waiter w = std::move(r->done);
      waiting_.erase(r);
      w(asio::error::operation_aborted, {});
    }
  }

  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (auto& r : std::exchange(waiting_, {})) r.done(error::inbox_closed, {});
    for (auto o = offers_.begin(); o != offers_.end();) {
      if (o->reader != 0) {
        ++o;
      } else {
        o->done(error::inbox_closed);
        o = offers_.erase(o);
      }
    }
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
  /// Has the messages of readers that are gone.
  static constexpr std::uint64_t nobody = ~std::uint64_t{0};

  /// A reader is given tickets until its handler runs, and messages then.
  using tickets = std::vector<std::uint64_t>;
  using waiter = completion<std::error_code, tickets>;

  struct offer {
    offer(std::uint64_t i, message<PeerId> m, delivery_context<PeerId> c, handler h,
          asio::execution_context* x)
        : id(i), contents(std::move(m)), context(std::move(c)), done(std::move(h)), home(x) {}

    std::uint64_t id;
    message<PeerId> contents;
    delivery_context<PeerId> context;
    handler done;
    asio::execution_context* home;  ///< of the handler
    std::uint64_t reader = 0;       ///< has it, or will when its handler runs; 0: none
    bool given = false;             ///< the handler ran
    bool withdrawn = false;         ///< the messenger waits for it no more
  };

  struct waiting_reader {
    std::uint64_t id;
    std::uint64_t reader;
    std::size_t most;
    waiter done;
    asio::execution_context* home;  ///< of the handler
  };

  using offer_list = std::list<offer>;

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
    auto returned = [self, reader](std::error_code, tickets t) { self->unreserve(reader, t); };
    auto abort = [finish, aborted](auto&& done) {
      finish(std::forward<decltype(done)>(done), aborted, batch());
    };
    return waiter::claimed(std::forward<Handler>(h), asio::system_executor(), std::move(decides),
                           std::move(given), std::move(returned), std::move(abort));
  }

  void start(waiting_reader r) {
    assert(r.most > 0);
    std::lock_guard lock(mutex_);
    consume_all(r.reader);
    if (closed_) return r.done(error::inbox_closed, {});
    watch(r.home);
    waiting_.push_back(std::move(r));
    match();
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
      waiting_reader& r = waiting_.front();
      tickets t;
      for (offer& o : offers_) {
        if (o.reader != 0) continue;
        o.reader = r.reader;
        t.push_back(o.id);
        if (t.size() == r.most) break;
      }
      if (t.empty()) return;
      waiter w = std::move(r.done);
      waiting_.pop_front();
      w({}, std::move(t));
    }
  }

  received<PeerId> give(offer& o) {
    o.given = true;
    received<PeerId> r(o.contents, o.context);
    loan_access::lend(r, std::make_shared<const loan>(this->weak_from_this(), o.id));
    return r;
  }

  /// The offers that the reader was promised.
  batch give_all(std::uint64_t reader, const tickets& t) {
    std::lock_guard lock(mutex_);
    batch all;
    for (std::uint64_t id : t) {
      auto o = find(id);
      if (o == offers_.end() || o->reader != reader) continue;
      all.push_back(give(*o));
      if (!o->withdrawn) continue;
      deprived_.insert(reader);
      offers_.erase(o);
    }
    return all;
  }

  void unreserve(std::uint64_t reader, const tickets& t) {
    std::lock_guard lock(mutex_);
    for (std::uint64_t id : t) {
      auto o = find(id);
      if (o == offers_.end() || o->reader != reader) continue;
      o->reader = 0;
      if (o->withdrawn) offers_.erase(o);
    }
    match();
  }

  void take_back(offer& o) {
    o.reader = 0;
    if (std::exchange(o.given, false)) o.context = context_access::again(o.context);
  }

  void consume_all(std::uint64_t reader) {
    deprived_.erase(reader);
    for (auto o = offers_.begin(); o != offers_.end();) {
      auto next = std::next(o);
      if ((o->reader == reader || o->reader == nobody) && o->given) end(o, {});
      o = next;
    }
  }

  /// The reader is done with it. `stored`, if any, completes when the store knows.
  void end(typename offer_list::iterator o, handler stored) {
    if (stored) context_access::staged(o->context).notify(std::move(stored));
    handler done = std::move(o->done);
    offers_.erase(o);
    done({});
  }

  typename offer_list::iterator find(std::uint64_t id) {
    return std::find_if(offers_.begin(), offers_.end(),
                        [id](const offer& o) { return o.id == id; });
  }

  std::mutex mutex_;
  offer_list offers_;
  std::deque<waiting_reader> waiting_;
  std::vector<asio::execution_context*> watched_;
  std::set<std::uint64_t> deprived_;  ///< readers that have a message which will come again
  std::atomic<std::uint64_t> ids_{0};
  std::atomic<std::uint64_t> readers_{0};
  bool closed_ = false;
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

}  // namespace ilm::inline v0::detail
