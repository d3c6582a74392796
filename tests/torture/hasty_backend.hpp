#pragma once

#include <ilm/backend.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace torture {

/// Sabotage: a store whose commits complete a while before they are durable, as without a sync. The
/// checker must find it.
template <class Backend>
class hasty_backend {
 public:
  static constexpr ilm::durability durable_to = Backend::durable_to;

  explicit hasty_backend(Backend inner) : shared_(std::make_shared<shared>(std::move(inner))) {}

  auto open() { return shared_->inner.open(); }

  asio::awaitable<void> commit(const ilm::batch<std::string>& change) {
    shared_->late.push_back(change);
    ++shared_->accepted;
    if (!std::exchange(shared_->busy, true)) {
      auto executor = co_await asio::this_coro::executor;
      asio::co_spawn(executor, catch_up(shared_), asio::detached);
    }
  }

  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const std::string& peer,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    co_await wait_until_stored();
    co_return co_await shared_->inner.read(which, peer, from, limit);
  }

  asio::awaitable<void> close() {
    co_await wait_until_stored();
    co_await shared_->inner.close();
  }

 private:
  /// From the completion of a commit until it is stored.
  static constexpr std::chrono::milliseconds delay{30};

  struct shared {
    explicit shared(Backend b) : inner(std::move(b)) {}
    Backend inner;
    std::deque<ilm::batch<std::string>> late;
    std::uint64_t accepted = 0, stored = 0;
    bool busy = false;
  };

  /// Reads see all commits, as in a page cache.
  asio::awaitable<void> wait_until_stored() {
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    for (std::uint64_t wanted = shared_->accepted; shared_->stored < wanted;) {
      timer.expires_after(std::chrono::milliseconds(1));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  static asio::awaitable<void> catch_up(std::shared_ptr<shared> s) {
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    timer.expires_after(delay);
    co_await timer.async_wait(asio::use_awaitable);
    for (; !s->late.empty(); s->late.pop_front(), ++s->stored) {
      co_await s->inner.commit(s->late.front());
    }
    s->busy = false;
  }

  std::shared_ptr<shared> shared_;
};

}  // namespace torture
