#pragma once

#include <ilm/backend.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing {

/// The faults that a faulty_backend is to show; shared by all its copies, and changed by the test
/// at any time.
struct store_faults {
  enum class operation : std::uint8_t { open, commit, read, close };

  /// One peer's part of a batch.
  struct change {
    std::string peer;  ///< as printable_id shows it
    std::span<const stored_message> outbox;
    std::span<const stored_message> inbox;
  };

  /// Errors to throw instead of doing the operation; none while empty.
  std::error_code open_error;
  std::error_code commit_error;
  std::error_code read_error;
  /// The error for which a batch with this change is refused; none if the change is none of its.
  std::function<std::error_code(const change&)> refuse;
  /// How long each operation takes before it has an effect.
  std::chrono::nanoseconds open_time{};
  std::chrono::nanoseconds commit_time{};
  std::chrono::nanoseconds read_time{};
  /// Called before (`false`) each operation but `close`, and after (`true`) it has had its effect.
  std::function<void(operation, bool after)> watch;
  std::uint64_t commits = 0;
  std::uint64_t reads = 0;
  std::uint64_t messages_read = 0;
};

/// The type of the transactions that a backend lends, if it does.
template <class Backend>
struct lent_transaction {};
template <class Backend>
requires requires { typename Backend::transaction; }
struct lent_transaction<Backend> {
  using transaction = typename Backend::transaction;
};

/// A backend around another that fails, delays and reports, on request.
template <class PeerId, class Backend, class Clock = std::chrono::steady_clock>
class faulty_backend : public lent_transaction<Backend> {
 public:
  static constexpr durability durable_to = Backend::durable_to;

  explicit faulty_backend(Backend inner,
                          std::shared_ptr<store_faults> faults = std::make_shared<store_faults>())
      : inner_(std::move(inner)), faults_(std::move(faults)) {}

  store_faults& faults() noexcept { return *faults_; }
  const Backend& inner() const noexcept { return inner_; }

  bool lends_transactions() const requires requires(const Backend& b) { b.lends_transactions(); }
  { return inner_.lends_transactions(); }

  asio::awaitable<store_state<PeerId>> open() {
    std::shared_ptr<store_faults> f = faults_;
    report(*f, store_faults::operation::open, false);
    co_await pause(f->open_time);
    if (f->open_error) throw std::system_error(f->open_error);
    store_state<PeerId> state = co_await inner_.open();
    report(*f, store_faults::operation::open, true);
    co_return state;
  }

  /// `with`: the effects, if there are any.
  template <class... Effects>
  asio::awaitable<void> commit(const batch<PeerId>& change, Effects&... with) {
    std::shared_ptr<store_faults> f = faults_;
    ++f->commits;
    report(*f, store_faults::operation::commit, false);
    co_await pause(f->commit_time);
    if (f->commit_error) throw std::system_error(f->commit_error);
    if (f->refuse) check(*f, change);
    co_await inner_.commit(change, with...);
    report(*f, store_faults::operation::commit, true);
  }

  asio::awaitable<std::vector<stored_message>> read(queue which, const PeerId& peer,
                                                    std::uint64_t from, page_limit limit) {
    std::shared_ptr<store_faults> f = faults_;
    ++f->reads;
    report(*f, store_faults::operation::read, false);
    co_await pause(f->read_time);
    if (f->read_error) throw std::system_error(f->read_error);
    std::vector<stored_message> page = co_await inner_.read(which, peer, from, limit);
    f->messages_read += page.size();
    report(*f, store_faults::operation::read, true);
    co_return page;
  }

  asio::awaitable<void> close() { return inner_.close(); }

 private:
  static void check(const store_faults& f, const batch<PeerId>& change) {
    for (const auto& c : change.changes) {
      std::error_code refused = f.refuse({printable_id(c.peer), c.outbox, c.inbox});
      if (refused) throw std::system_error(refused);
    }
  }

  static void report(const store_faults& f, store_faults::operation operation, bool after) {
    if (f.watch) f.watch(operation, after);
  }

  static asio::awaitable<void> pause(std::chrono::nanoseconds time) {
    if (time == std::chrono::nanoseconds::zero()) co_return;
    typename timer_of<Clock>::type timer(co_await asio::this_coro::executor);
    timer.expires_at(Clock::now() + std::chrono::duration_cast<typename Clock::duration>(time));
    co_await timer.async_wait(asio::use_awaitable);
  }

  Backend inner_;
  std::shared_ptr<store_faults> faults_;
};

}  // namespace ilm::inline v0::testing
