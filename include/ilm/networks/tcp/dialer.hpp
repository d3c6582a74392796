#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/session_builder.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>

#include <algorithm>
#include <cassert>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

/// The address book, and a loop for each peer in it that dials whenever there is no session.
class dialer final : public session_observer, public std::enable_shared_from_this<dialer> {
  /// A peer in the address book, until its loop has ended.
  struct contact {
    contact(byte_string id_, const asio::any_io_executor& executor)
        : id(std::move(id_)), changed(executor) {}

    const byte_string id;
    std::optional<address> where;  ///< none once it is removed
    std::shared_ptr<connection> attempt;
    bool reconnect_requested = false;  ///< the attempt under way is out of date
    clock::time_point dial_at{};
    tcp_options::duration delay{};
    std::error_code last_error;
    async_condition changed;
  };
  using contact_pointer = std::shared_ptr<contact>;

 public:
  dialer(asio::any_io_executor executor, std::shared_ptr<const configuration> c,
         std::shared_ptr<event_source> events, std::shared_ptr<sessions> s,
         std::shared_ptr<session_builder> builder)
      : executor_(std::move(executor)),
        configuration_(std::move(c)),
        events_(std::move(events)),
        sessions_(std::move(s)),
        builder_(std::move(builder)) {}

  void add_peer(const byte_string& id, address where) {
    assert(where.port != 0 && !closed_);
    contact_pointer& place = contacts_[id];
    bool is_new = place == nullptr;
    if (is_new) place = std::make_shared<contact>(id, executor_);
    if (place->where == where) return;
    place->where = std::move(where);
    dial_at_once(*place);
    if (is_new) {
      asio::co_spawn(executor_, dial_repeatedly(shared_from_this(), place), asio::detached);
    }
  }

  void remove_peer(const byte_string& id) {
    auto at = contacts_.find(id);
    if (at == contacts_.end()) return;
    at->second->where.reset();
    dial_at_once(*at->second);
  }

  /// A hint that the peer may be reachable.
  void reconnect(const byte_string& id) {
    auto at = contacts_.find(id);
    if (at != contacts_.end() && !sessions_->connected(id)) dial_at_once(*at->second);
  }

  void handle_session_began(const byte_string& peer, const connection& over) override {
    auto at = contacts_.find(peer);
    if (at == contacts_.end()) return;
    contact& c = *at->second;
    if (c.attempt && c.attempt.get() != &over) c.attempt->close();
    c.last_error.clear();
  }

  void handle_session_ended(const byte_string& peer, clock::duration lasted) override {
    auto at = contacts_.find(peer);
    if (at == contacts_.end()) return;
    contact& c = *at->second;
    // A session that ends as soon as it began does not show that all is well.
    if (lasted >= c.delay) c.delay = {};
    back_off(c);
    c.changed.notify_all();
  }

  void close() {
    closed_ = true;
    for (auto& [id, c] : std::exchange(contacts_, {})) {
      if (c->attempt) c->attempt->close();
      c->changed.notify_all();
    }
  }

 private:
  using endpoint = asio::ip::tcp::endpoint;

  /// Gives up the attempt that is under way; the next one is due at once.
  static void dial_at_once(contact& c) {
    c.reconnect_requested = true;
    c.delay = {};
    c.dial_at = {};
    c.last_error.clear();
    if (c.attempt) c.attempt->close();
    c.changed.notify_all();
  }

  void back_off(contact& c) {
    const tcp_options& o = configuration_->options;
    c.delay = std::clamp(2 * c.delay, o.minimum_reconnect_delay, o.maximum_reconnect_delay);
    std::uniform_int_distribution<tcp_options::duration::rep> drawn(c.delay.count() / 2,
                                                                    c.delay.count());
    c.dial_at = clock::now() + to_ticks(tcp_options::duration(drawn(jitter_)));
    assert(o.minimum_reconnect_delay <= c.delay && c.delay <= o.maximum_reconnect_delay);
  }

  static asio::awaitable<void> dial_repeatedly(std::shared_ptr<dialer> self, contact_pointer c) {
    while (!self->closed_ && c->where) {
      if (self->sessions_->connected(c->id)) {
        co_await c->changed.wait_until(clock::time_point::max());
      } else if (clock::now() < c->dial_at) {
        co_await c->changed.wait_until(c->dial_at);
      } else {
        c->reconnect_requested = false;
        failure failed = co_await self->dial(*c);
        if (failed) self->handle_failure(*c, std::move(failed));
      }
    }
    if (!self->closed_) self->contacts_.erase(c->id);
  }

  void handle_failure(contact& c, failure why) {
    if (closed_ || c.reconnect_requested || sessions_->connected(c.id)) return;
    back_off(c);
    if (why.code != tcp_error::already_connected && why.code != asio::error::operation_aborted &&
        why.code != std::exchange(c.last_error, why.code)) {
      events_->add_problem(c.id, std::move(why));
    }
  }

  /// Dials the addresses of the peer, one after the other. The error of a handshake says more than
  /// that nobody listens at another address.
  asio::awaitable<failure> dial(contact& c) {
    address where = *c.where;
    std::vector<endpoint> endpoints;
    std::error_code not_found = co_await resolve(where, endpoints);
    failure why = not_found;
    for (const endpoint& to : endpoints) {
      if (closed_ || c.reconnect_requested || sessions_->connected(c.id)) {
        co_return asio::error::operation_aborted;
      }
      failure failed = co_await dial(c, to);
      if (!failed) co_return failed;
      if (why.code.category() != tcp_category()) why = std::move(failed);
    }
    co_return why;
  }

  asio::awaitable<failure> dial(contact& c, endpoint to) {
    assert(!c.attempt);
    auto attempt = std::make_shared<connection>(asio::ip::tcp::socket(executor_), true);
    c.attempt = attempt;
    attempt->set_deadline(configuration_->options.handshake_timeout);
    std::error_code cut;
    co_await attempt->socket().async_connect(to, asio::redirect_error(asio::use_awaitable, cut));
    if (!attempt->is_open()) {
      cut = attempt->timed_out() ? asio::error::timed_out : asio::error::operation_aborted;
    }
    failure failed = cut;
    if (!failed) {
      attempt->prepare();
      attempt->set_deadline(configuration_->options.handshake_timeout);
      std::optional<byte_string> peer = c.id;
      failed = co_await builder_->establish(attempt, peer);
    }
    if (c.attempt == attempt) c.attempt.reset();
    if (failed) co_await builder_->reject(attempt, failed.code);
    co_return failed;
  }

  asio::awaitable<std::error_code> resolve(const address& where, std::vector<endpoint>& found) {
    std::error_code failed;
    asio::ip::address numeric = asio::ip::make_address(where.host, failed);
    if (!failed) {
      found.emplace_back(numeric, where.port);
      co_return failed;
    }
    asio::ip::tcp::resolver resolver(executor_);
    asio::ip::tcp::resolver::results_type all = co_await resolver.async_resolve(
        where.host, std::to_string(where.port), asio::redirect_error(asio::use_awaitable, failed));
    for (const auto& entry : all) {
      if (found.size() < endpoint_limit) found.push_back(entry.endpoint());
    }
    co_return failed;
  }

  asio::any_io_executor executor_;
  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<event_source> events_;
  std::shared_ptr<sessions> sessions_;
  std::shared_ptr<session_builder> builder_;
  map_by_id<contact_pointer> contacts_;
  std::minstd_rand jitter_{std::random_device()()};
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
