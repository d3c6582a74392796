#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/acceptor.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/configuration.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/redial_delay.hpp>
#include <ilm/networks/tcp/resolver.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Looks up the name at which a network is to listen, and has it listen there; again and again
/// until that succeeds, as peers are dialed.
class named_listener : public std::enable_shared_from_this<named_listener> {
 public:
  /// `listening` is called once `to` listens.
  named_listener(const asio::any_io_executor& executor, std::shared_ptr<const configuration> c,
                 std::shared_ptr<event_source> events, std::shared_ptr<resolver> names,
                 std::shared_ptr<acceptor> to, std::function<void()> listening)
      : configuration_(std::move(c)),
        events_(std::move(events)),
        names_(std::move(names)),
        acceptor_(std::move(to)),
        listening_(std::move(listening)),
        delay_(configuration_->options.minimum_reconnect_delay,
               configuration_->options.maximum_reconnect_delay),
        changed_(std::make_shared<async_condition>(executor)) {}

  void start(address where) { events_->spawn(listen(shared_from_this(), std::move(where))); }
  void close() {
    closed_ = true;
    changed_->notify_all();
  }

 private:
  static asio::awaitable<void> listen(std::shared_ptr<named_listener> self, address where) {
    while (!self->closed_) {
      failure why = co_await self->try_once(where);
      if (self->closed_) break;
      if (!why) co_return self->handle_success(where);
      self->handle_failure(std::move(why), where);
      clock::time_point again = later(clock::now(), self->delay_.grow(self->jitter_));
      while (!self->closed_ && clock::now() < again) co_await self->changed_->wait_until(again);
    }
  }

  asio::awaitable<failure> try_once(const address& where) {
    last_ = names_->look_up(where.host, last_ && names_->is_late(*last_), changed_);
    clock::time_point end = later(clock::now(), configuration_->options.handshake_timeout);
    clock::time_point late_at = later(clock::now(), names_->patience());
    while (!closed_ && !last_->result && clock::now() < end) {
      bool late = clock::now() >= late_at;
      // As others may be, and leave room.
      if (late) names_->start_lookups();
      co_await changed_->wait_until(late ? end : std::min(end, late_at));
    }
    if (!last_->result) co_return tcp_error::lookup_timeout;
    if (last_->result->why) co_return last_->result->why;
    co_return listen_at(last_->result->hosts.front(), where);
  }

  failure listen_at(const std::string& host, const address& named) {
    try {
      acceptor_->listen({asio::ip::make_address(host), named.port}, to_text(named));
      listening_();
      return {};
    } catch (...) {
      return failure_of(std::current_exception());
    }
  }

  void handle_success(const address& where) {
    if (!last_error_) return;
    std::string text = "connections are accepted at " + to_text(where);
    events_->add_problem(std::nullopt, failure(tcp_error::accepting_again, std::move(text)));
  }

  /// Without room it is told when it fails again.
  void handle_failure(failure why, const address& where) {
    if (why.code == last_error_ || !events_->has_room_for_problem()) return;
    last_error_ = why.code;
    std::string reason = why.text.empty() ? why.code.message() : why.text;
    std::string text = "cannot listen on " + to_text(where) + ", and tries again: " + reason;
    events_->add_problem(std::nullopt, failure(why.code, std::move(text)));
  }

  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<event_source> events_;
  std::shared_ptr<resolver> names_;
  std::shared_ptr<acceptor> acceptor_;
  std::function<void()> listening_;
  redial_delay delay_;
  std::minstd_rand jitter_{std::random_device()()};
  std::shared_ptr<async_condition> changed_;
  std::shared_ptr<const lookup> last_;  ///< maybe under way
  std::error_code last_error_;          ///< that was reported
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
