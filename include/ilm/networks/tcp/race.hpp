#pragma once

#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/attempt_order.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/peer_addresses.hpp>
#include <ilm/networks/tcp/resolver.hpp>
#include <ilm/networks/tcp/session_builder.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/ip/address.hpp>

#include <algorithm>
#include <cassert>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

/// One try to reach a peer: names are looked up side by side, addresses are dialed at close
/// intervals, and the first connection that becomes a session wins. Handshakes take turns, since
/// two connections that the peer holds proven would replace one another.
class race : public std::enable_shared_from_this<race> {
 public:
  race(asio::any_io_executor executor, std::shared_ptr<const configuration> c,
       std::shared_ptr<event_source> events, std::shared_ptr<resolver> names,
       std::shared_ptr<session_builder> builder, byte_string peer,
       std::shared_ptr<peer_addresses> where)
      : executor_(std::move(executor)),
        configuration_(std::move(c)),
        events_(std::move(events)),
        names_(std::move(names)),
        builder_(std::move(builder)),
        peer_(std::move(peer)),
        where_(std::move(where)),
        changed_(std::make_shared<async_condition>(executor_)),
        turn_(executor_) {}

  /// Completes when there is a session, when nothing is left to try, or after `close`. Names have
  /// `handshake_timeout` to be looked up, as each connection has.
  asio::awaitable<failure> run() {
    auto self = shared_from_this();
    begin();
    while (!closed_) {
      clock::time_point now = clock::now();
      take_answers(now);
      if (now >= next_handshake_at_) turn_.notify_all();
      if (std::optional<address> to = order_.poll(now)) {
        dial(std::move(*to));
      } else if (attempts_.empty() && waiting_.empty() && order_.empty()) {
        closed_ = true;
      } else {
        co_await changed_->wait_until(next_change(now));
      }
    }
    co_return won_ ? failure() : why_;
  }

  /// Gives all attempts up.
  void close() { close_all_but(nullptr); }
  /// As `close`, but for the connection that has become a session.
  void close_all_but(const connection* winner) {
    closed_ = true;
    for (const auto& c : std::exchange(attempts_, {})) {
      if (c.get() != winner) c->close();
    }
    changed_->notify_all();
    turn_.notify_all();
  }

 private:
  /// A look-up that has not ended yet.
  struct waiting_lookup {
    waiting_lookup(address of_, std::shared_ptr<const lookup> under_way_)
        : of(std::move(of_)), under_way(std::move(under_way_)) {}

    address of;
    std::shared_ptr<const lookup> under_way;
    bool used_last = false;
  };
  /// The later, the more a failure says.
  enum class stage { none, connect, lookup, handshake };

  void begin() {
    clock::time_point now = clock::now();
    last_names_at_ = now + lookup_patience;
    names_late_at_ = later(now, names_->patience());
    names_end_at_ = later(now, configuration_->options.handshake_timeout);
    why_ = asio::error::operation_aborted;
    order_.prefer(where_->last_good);
    for (const address& a : where_->entries()) {
      std::error_code not_numeric;
      asio::ip::make_address(a.host, not_numeric);
      if (!not_numeric || !configuration_->via->dials_numeric_hosts()) {
        order_.add(a);
      } else {
        std::shared_ptr<const lookup>& last = where_->of_name(a.host).last;
        last = names_->look_up(a.host, last && names_->is_late(*last), changed_);
        waiting_.emplace_back(a, last);
      }
    }
  }

  clock::time_point next_change(clock::time_point now) const {
    clock::time_point next = order_.due_at();
    if (!waiting_.empty()) next = std::min(next, names_end_at_);
    for (clock::time_point t : {last_names_at_, names_late_at_}) {
      if (!waiting_.empty() && now < t) next = std::min(next, t);
    }
    if (now < next_handshake_at_) next = std::min(next, next_handshake_at_);
    return next;
  }

  void take_answers(clock::time_point now) {
    // Others may be late by now, and leave room.
    if (!waiting_.empty() && now >= names_late_at_) names_->start_lookups();
    std::erase_if(waiting_, [&](waiting_lookup& l) { return take_answer(l, now); });
  }

  /// Whether there is no more to wait for.
  bool take_answer(waiting_lookup& l, clock::time_point now) {
    peer_addresses::name_record& record = where_->of_name(l.of.host);
    const std::optional<lookup_result>& result = l.under_way->result;
    if (result && !result->why) record.last_found = result->hosts;
    if (result || (now >= last_names_at_ && !std::exchange(l.used_last, true))) {
      for (const std::string& host : record.last_found)
        order_.add(address{host, l.of.port, l.of.url});
    }
    if (result) {
      if (result->why) note_failure(stage::lookup, result->why, l.of);
    } else if (now >= names_end_at_) {
      note_failure(stage::lookup, tcp_error::lookup_timeout, l.of);
    } else {
      return false;
    }
    return true;
  }

  void dial(address to) {
    auto c = std::make_shared<connection>(configuration_->via->make_dialing(executor_), true);
    attempts_.push_back(c);
    events_->spawn(attempt(shared_from_this(), std::move(c), std::move(to)));
  }

  static asio::awaitable<void> attempt(std::shared_ptr<race> self, std::shared_ptr<connection> c,
                                       address to) {
    stage reached = stage::connect;
    failure failed = co_await self->connect(*c, to);
    if (!failed) {
      reached = stage::handshake;
      failed = co_await self->handshake_in_turn(c);
    }
    self->handle_result(*c, reached, failed, to);
    if (failed) co_await self->builder_->reject(c, failed.code);
  }

  asio::awaitable<failure> connect(connection& c, const address& to) {
    failure failed;
    try {
      c.set_deadline(configuration_->options.handshake_timeout);
      failed = co_await c.over().connect(to);
    } catch (...) {
      failed = failure_of(std::current_exception());
    }
    if (!c.is_open()) {
      failed = c.timed_out() ? asio::error::timed_out : asio::error::operation_aborted;
    }
    co_return failed;
  }

  /// A handshake that takes its time does not hold up the others for ever.
  asio::awaitable<failure> handshake_in_turn(std::shared_ptr<connection> c) {
    while (c->is_open() && clock::now() < next_handshake_at_) co_await turn_.wait();
    if (c->timed_out()) co_return tcp_error::handshake_timeout;
    if (!c->is_open()) co_return asio::error::operation_aborted;
    next_handshake_at_ = clock::now() + handshake_head_start;
    in_handshake_ = c.get();
    changed_->notify_all();
    c->set_deadline(configuration_->options.handshake_timeout);
    std::optional<byte_string> peer = peer_;
    failure failed = co_await builder_->establish(c, peer);
    if (in_handshake_ == c.get()) {
      in_handshake_ = nullptr;
      next_handshake_at_ = {};
      turn_.notify_all();
    }
    co_return failed;
  }

  void handle_result(const connection& c, stage reached, const failure& failed, const address& to) {
    std::erase_if(attempts_, [&](const auto& a) { return a.get() == &c; });
    if (!failed) {
      won_ = true;
      where_->last_good = to;
      close();
      return;
    }
    if (!closed_) note_failure(reached, failed, to);
    order_.handle_failed_attempt();
    changed_->notify_all();
  }

  void note_failure(stage reached, failure failed, const address& with) {
    if (reached <= why_at_) return;
    why_at_ = reached;
    if (failed.text.empty()) failed.text = failed.code.message();
    why_ = failure(failed.code, to_text(with) + ": " + failed.text);
  }

  asio::any_io_executor executor_;
  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<event_source> events_;
  std::shared_ptr<resolver> names_;
  std::shared_ptr<session_builder> builder_;
  const byte_string peer_;
  std::shared_ptr<peer_addresses> where_;
  attempt_order order_;
  std::vector<waiting_lookup> waiting_;
  std::vector<std::shared_ptr<connection>> attempts_;
  std::shared_ptr<async_condition> changed_;
  async_condition turn_;  ///< of the handshakes
  const connection* in_handshake_ = nullptr;
  clock::time_point next_handshake_at_{};
  clock::time_point last_names_at_{};
  clock::time_point names_late_at_{};
  clock::time_point names_end_at_{};
  failure why_;
  stage why_at_ = stage::none;
  bool won_ = false;
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
