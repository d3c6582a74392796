#pragma once

// Handlers that go on although they are cancelled.

#include <ilm/delivery_context.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/message.hpp>

#include <asio/async_result.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// The calls of an application, over all lives of its messenger.
struct calls {
  std::vector<std::string> begun;
  std::vector<std::string> ended;
  bool overlapped = false;
  bool throws = false;
  std::map<std::string, ilm::detail::completion<>> waiting;

  std::size_t running() const { return begun.size() - ended.size(); }
  void let_go(const std::string& text) {
    ilm::detail::completion<> go_on = std::move(waiting.at(text));
    waiting.erase(text);
    go_on();
  }
};

/// A handler that ends when the test says so, and not when it is cancelled.
template <class PeerId>
class stubborn_of {
 public:
  explicit stubborn_of(std::shared_ptr<calls> c) : calls_(std::move(c)) {}

  asio::awaitable<void> operator()(ilm::message<PeerId> m, ilm::delivery_context<PeerId>& context) {
    std::shared_ptr<calls> c = calls_;
    std::string text(m.text());
    // Without a failure, a message runs and ends before it may begin again.
    if (std::count(c->begun.begin(), c->begun.end(), text) !=
        std::count(c->ended.begin(), c->ended.end(), text)) {
      c->overlapped = true;
    }
    c->begun.push_back(text);
    co_await wait(*c, text, co_await asio::this_coro::executor);
    c->ended.push_back(text);
    if (c->throws) throw std::runtime_error("not now");
    context.send_to(m.from, "re: " + text);
  }

 private:
  struct initiate {
    calls* into;
    std::string text;
    asio::any_io_executor executor;
    template <class Handler>
    void operator()(Handler&& h) {
      into->waiting[text] = ilm::detail::completion<>(std::forward<Handler>(h), executor);
    }
  };

  static asio::awaitable<void> wait(calls& into, std::string text, asio::any_io_executor e) {
    initiate begin{&into, std::move(text), std::move(e)};
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(begin),
                                                                          asio::use_awaitable);
  }

  std::shared_ptr<calls> calls_;
};

}  // namespace test
