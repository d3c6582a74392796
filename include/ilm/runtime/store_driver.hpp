#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/event.hpp>
#include <ilm/printable.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/commit_batch.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/forget_driver.hpp>
#include <ilm/runtime/page_check.hpp>
#include <ilm/runtime/part.hpp>
#include <ilm/runtime/send_driver.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Opens the store, commits one batch at a time (the changes that gather meanwhile are the next
/// one), and reads pages. Of a batch that fails, the changes that the store takes are found and
/// stored; those that it refuses are held back.
class store_driver {
 public:
  using owner = std::shared_ptr<const void>;

  /// `local`: the messenger's own name. `opened` is called once the peers in the store are known,
  /// `open_failed` each time that it could not be opened.
  store_driver(context& c, peers& all, dispatcher& d, send_driver& sends, forget_driver& forgets,
               const peer_name& local, std::unique_ptr<store_port> port,
               std::function<void()> opened, std::function<void(std::error_code)> open_failed)
      : context_(c),
        peers_(all),
        dispatcher_(d),
        forgets_(forgets),
        local_(local),
        port_(std::move(port)),
        batch_(c, all, d, sends),
        opened_(std::move(opened)),
        open_failed_(std::move(open_failed)) {
    assert(opened_ && open_failed_);
  }

  void start(owner keep) {
    context_.guard.spawn(context_.strand, keep, open_loop(keep), stop_opening_.slot());
  }

  asio::awaitable<std::error_code> close() {
    std::exception_ptr failed;
    {
      part<store_port>::use store(port_);
      try {
        co_await store->close();
      } catch (...) {
        failed = std::current_exception();
      }
    }
    detail::failure why = detail::failure_of(failed);
    if (why && !context_.life.ended()) context_.report(event_kind::store_failed, why);
    co_return why.code;
  }

  /// The end of a turn. A commit that lasts longer does not delay frames that wait for more.
  void handle_turn_end() {
    const commit_scheduler& s = context_.scheduler;
    if (s.committing() && s.has_unflushed() && !context_.life.ended()) dispatcher_.flush();
  }

  /// Whether the store is asked to take anything just now.
  bool committing() const noexcept { return !batch_.empty() || dropping_ != nullptr; }

  /// The store, for those that keep it in use.
  part<store_port>& store() noexcept { return port_; }

  /// The peer that the store is to forget just now, or null.
  const peer* dropping() const noexcept { return dropping_; }

  void handle_time(protocol::timestamp now) {
    bool due = peers_.units().handle_time(now);
    if (context_.scheduler.handle_time(now) || retry_at_ <= now || due) {
      context_.store_wake.notify();
    }
    assert(invariants_hold());
  }
  protocol::timestamp deadline() const noexcept {
    return std::min({retry_at_, context_.scheduler.deadline(), peers_.units().deadline()});
  }

  void stop() {
    context_.store_wake.notify();
    context_.page_wake.notify();
    stop_opening_.emit(asio::cancellation_type::terminal);
    port_.release();
  }
  /// No coroutine will ever go on; the last that is destroyed gives the store free.
  void abandon() { port_.release(); }

 private:
  /// The batch with the store, and a wait to open it again, have their time.
  bool invariants_hold() const noexcept {
    bool retries = retry_at_ != protocol::never;
    return (!batch_.empty() || !context_.scheduler.committing()) &&
           (!retries || context_.life.opening() || context_.life.ended());
  }

  /// Opens the store, again and again where that fails, and then starts the commits.
  asio::awaitable<void> open_loop(owner keep) {
    protocol::duration wait = context_.settings.minimum_store_retry;
    while (!context_.life.ended()) {
      opened_store found;
      std::exception_ptr failed = co_await open(found);
      if (context_.life.ended()) co_return;
      if (!failed) {
        handle_opened(found);
        context_.guard.spawn(context_.strand, keep, page_loop(keep));
        co_return context_.guard.spawn(context_.strand, keep, commit_loop());
      }
      bool last = context_.life.current() == lifecycle::state::giving_up;
      handle_open_failed(detail::failure_of(failed), found.contradictory);
      if (last) co_return;
      retry_at_ = protocol::after(context_.now(), wait);
      context_.wake_by(retry_at_);
      while (context_.life.current() == lifecycle::state::opening && context_.now() < retry_at_) {
        co_await context_.store_wake.wait();
      }
      retry_at_ = protocol::never;
      wait = std::min(protocol::doubled(wait), context_.settings.maximum_store_retry);
    }
  }

  /// A loop's `catch` is in a coroutine of its own: for WebAssembly, LLVM miscompiles a coroutine
  /// in which a handler of exceptions is a part of a loop (llvm-project issue 63182).
  asio::awaitable<std::exception_ptr> open(opened_store& found) {
    part<store_port>::use store(port_);
    std::exception_ptr failed;
    try {
      found = co_await store->open();
    } catch (...) {
      failed = std::current_exception();
    }
    if (!failed) failed = co_await accept_or_close(found);
    co_return failed;
  }

  /// Checks the owner and the contents of an open store, and gives a new one its incarnation;
  /// closes it again if that fails.
  asio::awaitable<std::exception_ptr> accept_or_close(opened_store& found) {
    part<store_port>::use store(port_);
    std::exception_ptr failed = check_owner(found);
    if (!failed && contradicts_itself(found)) {
      failed = std::make_exception_ptr(std::system_error(error::store_corrupt));
    } else if (!failed && !found.local) {
      failed = co_await create_incarnation(found);
    }
    if (!failed) co_return failed;
    try {
      co_await store->close();
    } catch (...) {
      // The caller has to hear of the failure to open, not of this one.
    }
    co_return failed;
  }

  /// The error of a store that was made under another id: its messages would go out in this name.
  std::exception_ptr check_owner(const opened_store& found) const {
    if (!found.owner || found.owner.get() == &local_) return {};
    try {
      std::string text = "the store is of " + quote(*found.owner) + ", the messenger is ";
      throw std::system_error(error::store_of_another, text + quote(local_));
    } catch (...) {
      return std::current_exception();
    }
  }

  /// The name for an error text, which has room for two.
  static std::string quote(const peer_name& name) {
    return '"' + detail::printable_prefix(name.readable(), maximum_shown_id) + '"';
  }

  /// Whether a peer comes twice, or with cursors that cannot be its own, or a new store has peers.
  static bool contradicts_itself(opened_store& found) {
    std::vector<const peer_name*> seen;
    seen.reserve(found.peers.size());
    for (const auto& [name, stored] : found.peers) {
      if (!stored.consistent()) found.contradictory = name;
      seen.push_back(name);
    }
    std::sort(seen.begin(), seen.end());
    auto twice = std::adjacent_find(seen.begin(), seen.end());
    if (twice != seen.end()) found.contradictory = *twice;
    if (found.contradictory != nullptr) return true;
    return !found.local && !(found.peers.empty() && found.unusable.empty());
  }

  asio::awaitable<std::exception_ptr> create_incarnation(opened_store& found) {
    part<store_port>::use store(port_);
    std::exception_ptr failed;
    incarnation created = peers_.create_incarnation();
    try {
      store->append_incarnation(created);
      detail::effect_list none;
      co_await store->commit(none);
      found.local = created;
    } catch (...) {
      failed = std::current_exception();
    }
    store->clear();
    co_return failed;
  }

  void handle_opened(const opened_store& found) {
    bool failed = static_cast<bool>(context_.life.open_error());
    context_.life.handle_opened();
    if (failed) context_.report(event_kind::store_recovered);
    for (const detail::failure& why : found.unusable) {
      context_.report(event_kind::store_failed, why);
    }
    peers_.set_incarnation(found.local);
    protocol::timestamp now = context_.now();
    for (const auto& [name, stored] : found.peers) {
      peer* p = peers_.add_stored(*name, stored);
      if (p == nullptr) continue;
      if (stored.outbox.next > stored.outbox.first) p->ages.add(stored.outbox.next - 1, now);
      dispatcher_.publish(*p);
    }
    opened_();
  }

  /// `of`: the peer whose stored state is at fault, if one is.
  void handle_open_failed(detail::failure why, const peer_name* of) {
    std::error_code reason = why.code;
    if (context_.life.handle_open_failed(reason)) {
      context_.report(event_kind::store_failed, std::move(why), of);
    }
    open_failed_(reason);
  }

  asio::awaitable<void> commit_loop() {
    while (!context_.life.ended()) {
      if (peer* p = context_.life.commits() ? forgets_.next_ready() : nullptr) {
        co_await drop(*p);
        continue;
      }
      commit_scheduler::step next = next_step();
      if (next == commit_scheduler::step::wait) {
        co_await context_.store_wake.wait();
        continue;
      }
      if (next == commit_scheduler::step::flush) {
        dispatcher_.flush();
        continue;
      }
      if (next == commit_scheduler::step::commit && batch_.collect()) {
        while (batch_.next_try()) {
          begin_commit();
          std::exception_ptr failed = co_await commit();
          if (context_.life.ended()) co_return;
          batch_.handle_ended(detail::failure_of(failed));
          assert(invariants_hold());
          if (!batch_.ended()) co_await context_.store_wake.wait_a_turn();
          if (context_.life.ended()) co_return;
        }
        batch_.finish();
        // What failed is not the store's: the rest goes to it at once.
        if (batch_.again()) {
          co_await context_.store_wake.wait_a_turn();
          continue;
        }
      }
      if (context_.life.current() == lifecycle::state::last_commit) {
        context_.life.handle_last_commit();
      }
      if (context_.life.shutting_down()) context_.progress.notify();
      co_await context_.store_wake.wait_a_turn();
    }
  }

  commit_scheduler::step next_step() {
    using step = commit_scheduler::step;
    if (context_.life.current() == lifecycle::state::last_commit) return step::commit;
    protocol::timestamp now = context_.now();
    if (!context_.life.begins_commits(now)) return step::wait;
    return context_.scheduler.next(peers_.has_due_change(now), now);
  }

  void begin_commit() {
    assert(!batch_.empty());
    context_.scheduler.handle_commit_started();
    assert(invariants_hold());
  }

  /// Commits the batch, or takes it back; apart from the loop, as `open` is.
  asio::awaitable<std::exception_ptr> commit() {
    part<store_port>::use store(port_);
    std::exception_ptr failed;
    try {
      batch_.append_to(*store);
      co_await store->commit(batch_.effects());
    } catch (...) {
      failed = std::current_exception();
    }
    if (failed) batch_.take_back(*store);
    store->clear();
    co_return failed;
  }

  /// Has the store forget a peer of which nothing is under way.
  asio::awaitable<void> drop(peer& p) {
    forget_report dropped = forgets_.report(p);
    std::exception_ptr failed;
    if (p.name->in_store) {
      dropping_ = &p;
      part<store_port>::use store(port_);
      try {
        store->append_forgotten(*p.name);
        detail::effect_list none;
        co_await store->commit(none);
      } catch (...) {
        failed = std::current_exception();
      }
      store->clear();
      dropping_ = nullptr;
    }
    if (context_.life.ended()) co_return;
    if (p.name->in_store) context_.board.count_commit(static_cast<bool>(failed));
    if (detail::failure why = detail::failure_of(failed)) {
      std::error_code reason = why.code;
      p.failure_told = true;
      context_.report(event_kind::store_failed, std::move(why), p.name.get());
      forgets_.handle_failed(p, reason);
    } else {
      forgets_.handle_dropped(p, dropped);
    }
    context_.progress.notify();
  }

  /// A slow commit delays no page; a slow page delays no other peer, and no commit.
  asio::awaitable<void> page_loop(owner keep) {
    while (!context_.life.ended()) {
      for (auto& [p, request] : dispatcher_.take_pages()) {
        context_.guard.spawn(context_.strand, keep, read_page(p->shared_from_this(), request));
      }
      co_await context_.page_wake.wait();
    }
  }

  asio::awaitable<void> read_page(std::shared_ptr<peer> of, protocol::page_request request) {
    peer& p = *of;
    if (!takes_pages(p)) co_return;
    std::shared_ptr<const peer_name> name = p.name;
    std::vector<stored_message> page;
    std::exception_ptr failed;
    {
      part<store_port>::use store(port_);
      page_limit limit(request.messages, request.bytes);
      try {
        page = co_await store->read(request.source(), *name, request.from, limit);
      } catch (...) {
        failed = std::current_exception();
      }
    }
    if (!takes_pages(p)) co_return;
    if (failed) {
      p.core.handle_page_failed(request, detail::failure_of(failed), context_.now());
    } else {
      std::span<const stored_message> all(page);
      std::size_t usable = count_usable(request, p.core.stored(), all);
      p.core.handle_page(request, all.first(usable), context_.now());
    }
    peers_.memory().handle_page_read(p, request.bytes);
    dispatcher_.service(p);
  }

  /// The last commit ends the reading, for the store is closed after it.
  bool takes_pages(const peer& p) const { return context_.life.reads() && !p.removed(); }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  forget_driver& forgets_;
  const peer_name& local_;
  part<store_port> port_;
  commit_batch batch_;
  std::function<void()> opened_;
  std::function<void(std::error_code)> open_failed_;
  asio::cancellation_signal stop_opening_;
  const peer* dropping_ = nullptr;  ///< the peer that the store is to forget just now
  protocol::timestamp retry_at_ = protocol::never;  ///< of opening
};

}  // namespace ilm::inline v0::runtime
