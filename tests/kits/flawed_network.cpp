#include "flawed_network.hpp"

#include <ilm/error.hpp>

#include <asio/redirect_error.hpp>

#include <algorithm>
#include <chrono>
#include <system_error>

namespace test {

namespace {

using std::chrono::milliseconds;
using timer = ilm::testing::simulated_timer;

/// Completes on the context rather than on the caller's strand.
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

asio::awaitable<void> pause(asio::io_context& context) {
  timer wait(context.get_executor(), milliseconds(1));
  co_await wait.async_wait(asio::use_awaitable);
}

/// Waits until it is cancelled.
asio::awaitable<void> stay(asio::io_context& context) {
  for (;;) co_await pause(context);
}

/// A moment that no cancellation ends.
asio::awaitable<void> pause_uncancellable(asio::io_context& context) {
  co_await asio::this_coro::throw_if_cancelled(false);
  timer wait(context.get_executor(), milliseconds(20));
  std::error_code ignored;
  co_await wait.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

/// Sends a frame that others may overtake.
asio::awaitable<void> send_late(std::shared_ptr<flawed_network::hub> hub,
                                std::weak_ptr<flawed_network::inner> net, std::string to,
                                std::vector<std::byte> frame) {
  co_await pause(*hub->context);
  if (auto alive = net.lock()) co_await alive->send(to, std::move(frame));
}

asio::awaitable<void> tick(std::weak_ptr<flawed_network::hub> hub, std::string name) {
  for (;;) {
    asio::io_context* context = nullptr;
    if (auto alive = hub.lock(); alive && alive->instances[name] > 0) context = alive->context;
    if (context == nullptr) co_return;
    co_await pause(*context);
  }
}

}  // namespace

flawed_network::flawed_network(std::shared_ptr<hub> h, const std::string& name)
    : hub_(std::move(h)), net_(std::make_shared<inner>(hub_->lines.join(name))), name_(name) {
  if (is(bad_line::name_stays_taken) && hub_->made[name] > 0) {
    throw std::runtime_error("the name is taken");
  }
  ++hub_->instances[name];
  ++hub_->made[name];
}

flawed_network::flawed_network(flawed_network&& other) noexcept
    : hub_(other.hub_), net_(std::move(other.net_)), name_(other.name_) {
  other.moved_ = true;
  if (is(bad_line::moved_from_leaves)) hub_->lines.end(name_);
}

flawed_network::~flawed_network() {
  if (!moved_) --hub_->instances[name_];
}

std::string flawed_network::local_id() const {
  if (is(bad_line::name_changes) && !ups_.empty()) return name_ + "!";
  return is(bad_line::one_name_for_all) ? "everybody" : name_;
}

std::size_t flawed_network::maximum_frame_size() const {
  if (is(bad_line::small_maximum)) return 512;
  if (is(bad_line::maximum_changes) && !ups_.empty()) return 2048;
  bool odd = name_.back() % 2 != 0;
  return is(bad_line::maximum_differs) && odd ? 2048 : 4096;
}

asio::awaitable<void> flawed_network::send(const std::string& to, frame_type frame) {
  ++sent_;
  if (is(bad_line::send_throws)) {
    throw std::system_error(std::make_error_code(std::errc::io_error));
  }
  if (hub_->instances[to] <= 0) {
    if (is(bad_line::absent_blocks)) co_await stay(*hub_->context);
    if (is(bad_line::absent_ends_it)) hub_->lines.end(name_);
    if (is(bad_line::throws_for_absent)) {
      throw std::system_error(std::make_error_code(std::errc::not_connected));
    }
  }
  co_await wait_for_room(to);
  if (loses(to, frame)) co_return;
  spoil(frame);
  if (is(bad_line::old_frames)) hub_->left[to].push_back(frame);
  if (holds_back(to, frame)) co_return;
  if (is(bad_line::shared_buffer)) {
    hub_->buffer = std::move(frame);
    co_await asio::post(*hub_->context, asio::use_awaitable);
    frame = hub_->buffer;
  }
  if (is(bad_line::small_overtake_large) && frame.size() > 1500) {
    asio::co_spawn(*hub_->context, send_late(hub_, net_, to, std::move(frame)), asio::detached);
    co_return;
  }
  co_await dispatch(misdirect(to), std::move(frame));
  if (is(bad_line::foreign_send)) co_await go_elsewhere(*hub_->context);
}

bool flawed_network::loses(const std::string& to, const frame_type& frame) {
  if (is(bad_line::drops_all)) return true;
  if (is(bad_line::drops_the_largest)) return frame.size() == 4096;
  if (is(bad_line::loses_half_the_sizes)) return frame.size() > 2048 && frame.size() < 4095;
  if (is(bad_line::drops_tiny_frames)) return frame.size() < 8;
  if (is(bad_line::loses_one_in_fifty)) return sent_ % 50 == 49;
  if (is(bad_line::loses_one_in_three_thousand)) return sent_ % 3000 == 2999;
  if (is(bad_line::loses_beyond_a_thousand)) return sent_ > 1000;
  return is(bad_line::keeps_a_hundred) && full(to);
}

void flawed_network::spoil(frame_type& frame) const {
  if (is(bad_line::cuts_long_frames) && frame.size() > 1000) frame.resize(1000);
  if (is(bad_line::loses_last_byte) && frame.size() > 50) frame.pop_back();
  if (is(bad_line::cuts_the_largest) && frame.size() == 4096) frame.pop_back();
  if (is(bad_line::flips_a_bit) && sent_ % 20 == 19) frame.back() ^= std::byte{1};
}

/// Whether the frame is held for later; may replace the frame to send now.
bool flawed_network::holds_back(const std::string& to, frame_type& frame) {
  bool merges = is(bad_line::merges_frames);
  if (!merges && !is(bad_line::swaps_neighbours)) return false;
  if (!held_ && sent_ % 20 == 5) {
    held_ = std::move(frame);
    held_for_ = to;
    return true;
  }
  if (merges && held_ && held_for_ == to) {
    held_->insert(held_->end(), frame.begin(), frame.end());
    frame = std::move(*held_);
    held_.reset();
  }
  return false;
}

std::string flawed_network::misdirect(const std::string& to) const {
  std::string destination = to;
  if (!is(bad_line::wrong_destination) || sent_ % 3 != 2) return destination;
  for (const auto& [name, instances] : hub_->instances) {
    if (instances > 0 && name != to && name != name_) destination = name;
  }
  return destination;
}

bool flawed_network::full(const std::string& to) const {
  auto at = hub_->under_way.find({name_, to});
  return at != hub_->under_way.end() && at->second >= 100;
}

asio::awaitable<void> flawed_network::wait_for_room(const std::string& to) {
  bool all = is(bad_line::slow_one_blocks_all);
  bool uncancellable = is(bad_line::send_ignores_cancellation);
  if (!all && !uncancellable && !is(bad_line::waits_when_full)) co_return;
  auto no_room = [this, &to, all] {
    if (!all) return full(to);
    return std::any_of(hub_->instances.begin(), hub_->instances.end(),
                       [this](const auto& other) { return full(other.first); });
  };
  while (no_room()) {
    if (uncancellable) co_await pause_uncancellable(*hub_->context);
    if (!uncancellable) co_await pause(*hub_->context);
  }
}

asio::awaitable<void> flawed_network::dispatch(std::string to, frame_type frame) {
  if (is(bad_line::to_everybody)) {
    for (const auto& [name, instances] : hub_->instances) {
      if (name != to) co_await deliver(name, frame);
    }
  }
  if (is(bad_line::repeats_one_in_fifty) && sent_ % 50 == 49) co_await deliver(to, frame);
  if (is(bad_line::splits_frames) && frame.size() > 1000) {
    frame_type rest(frame.begin() + 1000, frame.end());
    frame.resize(1000);
    co_await deliver(to, std::move(frame));
    frame = std::move(rest);
  }
  co_await deliver(to, std::move(frame));
  if (held_ && held_for_ == to && is(bad_line::swaps_neighbours)) {
    frame = std::move(*held_);
    held_.reset();
    co_await deliver(std::move(to), std::move(frame));
  }
}

asio::awaitable<void> flawed_network::deliver(std::string to, frame_type frame) {
  if (hub_->instances[to] > 0) ++hub_->under_way[{name_, to}];
  co_await net_->send(to, std::move(frame));
}

asio::awaitable<flawed_network::event> flawed_network::next() {
  bool over = false;
  try {
    event e = co_await net_->receive();
    co_return e;
  } catch (const std::system_error& why) {
    over = why.code() == ilm::error::network_ended &&
           (is(bad_line::end_hangs) || is(bad_line::end_throws_once));
    if (!over) throw;
  }
  if (is(bad_line::end_throws_once) && !std::exchange(ended_, true)) {
    throw std::system_error(ilm::error::network_ended);
  }
  co_await stay(*hub_->context);
  co_return event();
}

/// Goes on waiting when it is cancelled.
asio::awaitable<flawed_network::event> flawed_network::next_uncancellable() {
  co_await asio::this_coro::throw_if_cancelled(false);
  std::optional<event> found;
  try {
    found = co_await net_->receive();
  } catch (const std::system_error&) {
  }
  if (found) co_return std::move(*found);
  for (;;) co_await pause_uncancellable(*hub_->context);
}

asio::awaitable<flawed_network::event> flawed_network::receive() {
  if (is(bad_line::receive_throws)) {
    throw std::system_error(std::make_error_code(std::errc::address_in_use));
  }
  if (is(bad_line::polls) && !std::exchange(ticking_, true)) {
    asio::co_spawn(*hub_->context, tick(hub_, name_), asio::detached);
  }
  for (;;) {
    if (!pending_events_.empty()) {
      event e = std::move(pending_events_.front());
      pending_events_.pop_front();
      co_return e;
    }
    event e;
    if (is(bad_line::receive_ignores_cancellation)) {
      e = co_await next_uncancellable();
    } else {
      e = co_await next();
    }
    std::optional<event> out = spoil_event(e);
    if (!out) continue;
    if (is(bad_line::foreign_receive)) co_await go_elsewhere(*hub_->context);
    co_return std::move(*out);
  }
}

/// The event to report in place of `e`, if any.
std::optional<flawed_network::event> flawed_network::spoil_event(event& e) {
  using type = event::type;
  if (e.kind == type::up) return spoil_up(e);
  if (e.kind == type::down) return spoil_down(e);
  if (e.kind == type::frame) spoil_frame(e);
  return e;
}

std::optional<flawed_network::event> flawed_network::spoil_up(event& e) {
  const std::string other = e.peer;
  ++ups_[other];
  bool later = name_ < other;
  if (is(bad_line::no_up) || (is(bad_line::up_for_one_side_only) && later)) return {};
  if (is(bad_line::up_under_another_name)) e.peer += "?";
  if (is(bad_line::up_twice)) pending_events_.push_back(e);
  if (is(bad_line::up_of_itself)) pending_events_.push_back(event::up(name_));
  if (is(bad_line::frame_before_up)) {
    pending_events_.push_back(e);
    return event::frame(other, frame_type(5, std::byte{5}));
  }
  if (is(bad_line::no_successor) && ups_[other] > 1) return {};
  if (is(bad_line::old_frames) && hub_->made[name_] > 1) {
    for (const frame_type& f : hub_->left[name_]) pending_events_.push_back(event::frame(other, f));
  }
  if (is(bad_line::repeats_the_last_after_up) && ups_[other] > 1 && newest_.contains(other)) {
    pending_events_.push_back(event::frame(other, newest_[other]));
  }
  return e;
}

std::optional<flawed_network::event> flawed_network::spoil_down(event& e) {
  const std::string other = e.peer;
  hub_->under_way[{other, name_}] = hub_->under_way[{name_, other}] = 0;
  if (is(bad_line::no_down)) return {};
  if (is(bad_line::no_down_when_cut) && hub_->instances[other] > 0) return {};
  if (is(bad_line::down_twice)) pending_events_.push_back(e);
  if (is(bad_line::frame_after_down)) {
    pending_events_.push_back(event::frame(other, frame_type(5, std::byte{5})));
  }
  return e;
}

void flawed_network::spoil_frame(event& e) {
  const std::string other = e.peer;
  unsigned& under_way = hub_->under_way[{other, name_}];
  if (under_way > 0) --under_way;
  unsigned count = ++received_[other];
  newest_[other] = e.bytes;
  if ((is(bad_line::wrong_from) && count % 2 == 0) ||
      (is(bad_line::wrong_from_in_a_thousand) && count % 1000 == 0)) {
    for (const auto& [name, ups] : ups_) {
      if (name != other && hub_->instances[name] > 0) e.peer = name;
    }
  }
  if (is(bad_line::cuts_at_zero)) {
    for (std::size_t i = 24; i < e.bytes.size(); ++i) {
      if (e.bytes[i] == std::byte{0}) e.bytes.resize(i);
    }
  }
  if (is(bad_line::echo)) pending_events_.push_back(event::frame(name_, e.bytes));
  if (is(bad_line::invents_frames)) {
    pending_events_.push_back(event::frame("nobody", frame_type(3, std::byte{3})));
  }
}

}  // namespace test
