#include "flawed_network.hpp"

#include <asio/redirect_error.hpp>

namespace test {

namespace {

using clock = std::chrono::steady_clock;

/// Completes on the context rather than on the strand of whoever waits.
struct elsewhere {
  asio::io_context* context;
  template <class Handler>
  void operator()(Handler&& handler) const {
    asio::post(*context, [h = std::forward<Handler>(handler)]() mutable { std::move(h)(); });
  }
};

asio::awaitable<void> go_elsewhere(asio::io_context& context) {
  co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(elsewhere{&context},
                                                                        asio::use_awaitable);
}

/// A wait that no cancellation reaches.
asio::awaitable<void> stay(asio::io_context& context) {
  for (;;) {
    asio::steady_timer timer(context, std::chrono::milliseconds(20));
    std::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace

asio::awaitable<void> flawed_network::send(const std::string& to, frame_type frame) {
  ++sent_;
  bool absent = hub_->lives[to] <= 0;
  if (is(bad_line::drops_all)) co_return;
  if (absent && is(bad_line::absent_blocks)) co_await stay(*hub_->context);
  if (absent && is(bad_line::absent_ends_it)) hub_->lines.end(net_.local_id());
  if (is(bad_line::cuts_long_frames) && frame.size() > 1000) frame.resize(1000);
  if (is(bad_line::loses_last_byte) && frame.size() > 50) frame.pop_back();
  if (is(bad_line::flips_a_bit) && sent_ % 20 == 19) frame.back() ^= std::byte{1};
  if (is(bad_line::drops_the_largest) && frame.size() == 4096) co_return;
  if (is(bad_line::drops_tiny_frames) && frame.size() < 8) co_return;
  if (is(bad_line::loses_one_in_fifty) && sent_ % 50 == 49) co_return;
  if (is(bad_line::loses_beyond_a_thousand) && sent_ > 1000) co_return;
  if (is(bad_line::slow_one_blocks_all) || is(bad_line::send_deaf_to_cancellation)) {
    // Bounded: what is large waits.
    if (frame.size() == 4096 && sent_ > 100) co_await stay(*hub_->context);
    if (is(bad_line::slow_one_blocks_all) && sent_ > 100 && frame.size() == 100) {
      co_await stay(*hub_->context);
    }
  }
  if (is(bad_line::old_frames)) hub_->left[to].push_back(frame);
  if (is(bad_line::swaps_neighbours)) {
    if (!held_ && sent_ % 40 == 39) {
      held_ = std::move(frame);
      held_for_ = to;
      co_return;
    }
    if (held_ && held_for_ == to) {
      co_await deliver(to, std::move(frame));
      frame = std::move(*held_);
      held_.reset();
    }
  }
  if (is(bad_line::repeats_one_in_fifty) && sent_ % 50 == 49) co_await deliver(to, frame);
  if (is(bad_line::shared_buffer)) {
    hub_->buffer = std::move(frame);
    co_await asio::post(*hub_->context, asio::use_awaitable);
    frame = hub_->buffer;
  }
  std::string whom = to;
  if (is(bad_line::wrong_destination) && sent_ % 3 == 2) {
    for (const auto& [name, lives] : hub_->lives) {
      if (lives > 0 && name != to && name != net_.local_id()) whom = name;
    }
  }
  if (is(bad_line::to_everybody)) {
    for (const auto& [name, lives] : hub_->lives) {
      if (name != to) co_await deliver(name, frame);
    }
  }
  co_await deliver(std::move(whom), std::move(frame));
  if (is(bad_line::foreign_send)) co_await go_elsewhere(*hub_->context);
}

asio::awaitable<void> flawed_network::deliver(std::string to, frame_type frame) {
  co_await net_.send(to, std::move(frame));
}

asio::awaitable<flawed_network::event> flawed_network::next() {
  if (is(bad_line::polls)) {
    for (;;) {
      // Looks again and again, whatever there is.
      for (int i = 0; i < 2; ++i) co_await asio::post(*hub_->context, asio::use_awaitable);
      asio::steady_timer timer(*hub_->context, std::chrono::milliseconds(1));
      co_await timer.async_wait(asio::use_awaitable);
      if (++waiting_ % 50 == 0) break;
    }
  }
  if (is(bad_line::deaf_to_cancellation)) {
    for (;;) {
      std::optional<event> found;
      try {
        found = co_await net_.receive();
      } catch (const std::system_error&) {
      }
      if (found) co_return std::move(*found);
      co_await asio::this_coro::throw_if_cancelled(false);
      co_await stay(*hub_->context);
    }
  }
  if (ended_ && is(bad_line::end_throws_once)) co_await stay(*hub_->context);
  bool failed = false;
  event e;
  try {
    e = co_await net_.receive();
  } catch (const std::system_error& why) {
    bool over = why.code() == ilm::error::network_ended;
    if (!over || !(is(bad_line::end_hangs) || is(bad_line::end_throws_once))) throw;
    failed = true;
  }
  if (failed && is(bad_line::end_throws_once)) {
    ended_ = true;
    throw std::system_error(ilm::error::network_ended);
  }
  if (failed) co_await stay(*hub_->context);
  co_return e;
}

asio::awaitable<flawed_network::event> flawed_network::receive() {
  for (;;) {
    if (!news_.empty()) {
      event e = std::move(news_.front());
      news_.pop_front();
      co_return e;
    }
    event e = co_await next();
    std::optional<event> out = judge(e);
    if (!out) continue;
    if (is(bad_line::foreign_receive)) co_await go_elsewhere(*hub_->context);
    co_return std::move(*out);
  }
}

/// What is told of an event, if anything.
std::optional<flawed_network::event> flawed_network::judge(event& e) {
  using type = event::type;
  const std::string other = e.peer;
  if (e.kind == type::up) {
    ++ups_[other];
    bool later = net_.local_id() < other;
    if (is(bad_line::no_up) || (is(bad_line::up_for_one_side_only) && later)) return {};
    if (is(bad_line::up_under_another_name)) e.peer += "?";
    if (is(bad_line::up_twice)) news_.push_back(e);
    if (is(bad_line::up_of_itself)) news_.push_back(event::up(net_.local_id()));
    if (is(bad_line::frame_before_up) && ups_[other] == 2) {
      news_.push_back(e);
      return event::frame(other, frame_type(100));
    }
    if (is(bad_line::no_successor) && ups_[other] > 1) return {};
    if (is(bad_line::old_frames) && hub_->made[net_.local_id()] > 1) {
      for (const frame_type& f : hub_->left[net_.local_id()]) {
        news_.push_back(event::frame(other, f));
      }
    }
    return e;
  }
  if (e.kind == type::down) {
    if (is(bad_line::no_down)) return {};
    if (is(bad_line::down_twice)) news_.push_back(e);
    if (is(bad_line::frame_after_down)) news_.push_back(event::frame(other, frame_type(5)));
    return e;
  }
  if (e.kind != type::frame) return e;
  unsigned count = ++received_[other];
  if (is(bad_line::wrong_from) && count % 2 == 0) {
    for (const auto& [name, ups] : ups_) {
      if (name != other && hub_->lives[name] > 0) e.peer = name;
    }
  }
  if (is(bad_line::cuts_at_zero)) {
    for (std::size_t i = 24; i < e.bytes.size(); ++i) {
      if (e.bytes[i] == std::byte{0}) e.bytes.resize(i);
    }
  }
  if (is(bad_line::echo)) news_.push_back(event::frame(net_.local_id(), e.bytes));
  if (is(bad_line::invents_frames)) {
    news_.push_back(event::frame("nobody", frame_type(3, std::byte{3})));
  }
  return e;
}

}  // namespace test
