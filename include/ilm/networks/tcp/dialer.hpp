#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/peer_addresses.hpp>
#include <ilm/networks/tcp/race.hpp>
#include <ilm/networks/tcp/redial_delay.hpp>
#include <ilm/networks/tcp/resolver.hpp>
#include <ilm/networks/tcp/session_builder.hpp>
#include <ilm/networks/tcp/types.hpp>

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
    contact(byte_string id_, const asio::any_io_executor& executor, const tcp_options& o)
        : id(std::move(id_)),
          delay(o.minimum_reconnect_delay, o.maximum_reconnect_delay),
          changed(executor) {}

    const byte_string id;
    std::shared_ptr<peer_addresses> where;  ///< none once it is removed
    std::shared_ptr<race> attempt;
    bool reconnect_requested = false;  ///< the attempt under way is out of date
    clock::time_point dial_at{};
    redial_delay delay;
    std::error_code last_error;
    async_condition changed;
  };
  using contact_pointer = std::shared_ptr<contact>;

 public:
  dialer(asio::any_io_executor executor, std::shared_ptr<const configuration> c,
         std::shared_ptr<event_source> events, std::shared_ptr<sessions> s,
         std::shared_ptr<session_builder> builder, std::shared_ptr<resolver> names)
      : executor_(std::move(executor)),
        configuration_(std::move(c)),
        events_(std::move(events)),
        sessions_(std::move(s)),
        builder_(std::move(builder)),
        names_(std::move(names)) {}

  void add_peer(const byte_string& id, std::vector<address> where) {
    assert(!where.empty() && !closed_);
    auto at = contacts_.find(id);
    bool is_new = at == contacts_.end();
    contact_pointer place =
        is_new ? std::make_shared<contact>(id, executor_, configuration_->options) : at->second;
    if (is_new) contacts_.emplace(id, place);
    if (!place->where) place->where = std::make_shared<peer_addresses>();
    if (place->where->entries() == where) return;
    place->where->assign(std::move(where));
    dial_at_once(*place);
    sessions_->handle_known(id);
    sessions_->probe(id);
    if (is_new) {
      events_->spawn(dial_repeatedly(shared_from_this(), place));
    }
  }

  void remove_peer(const byte_string& id) {
    auto at = contacts_.find(id);
    if (at == contacts_.end()) return;
    at->second->where.reset();
    dial_at_once(*at->second);
  }

  /// A hint that the peer may be reachable, and that its session may be dead.
  void reconnect(const byte_string& id) {
    auto at = contacts_.find(id);
    if (at != contacts_.end() && !sessions_->connected(id)) dial_at_once(*at->second);
    sessions_->probe(id);
  }

  bool in_address_book(const byte_string& id) const override {
    auto at = contacts_.find(id);
    return at != contacts_.end() && at->second->where;
  }

  void handle_session_began(const byte_string& peer, const connection& over) override {
    auto at = contacts_.find(peer);
    if (at == contacts_.end()) return;
    contact& c = *at->second;
    if (c.attempt) c.attempt->close_all_but(&over);
    c.last_error.clear();
  }

  void handle_session_ended(const byte_string& peer, std::error_code why,
                            clock::duration lasted) override {
    auto at = contacts_.find(peer);
    if (at == contacts_.end()) return;
    contact& c = *at->second;
    if (why == tcp_error::no_answer) return dial_at_once(c);
    // Whoever alters frames is not helped by new sessions at close intervals.
    if (why != tcp_error::frame_altered) c.delay.handle_session_ended(lasted);
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
  /// Gives up the attempt that is under way; the next one is due at once.
  static void dial_at_once(contact& c) {
    c.reconnect_requested = true;
    c.delay.reset();
    c.dial_at = {};
    c.last_error.clear();
    if (c.attempt) c.attempt->close();
    c.changed.notify_all();
  }

  void back_off(contact& c) { c.dial_at = later(clock::now(), c.delay.grow(jitter_)); }

  static asio::awaitable<void> dial_repeatedly(std::shared_ptr<dialer> self, contact_pointer c) {
    while (!self->closed_ && c->where) {
      if (self->sessions_->connected(c->id)) {
        co_await c->changed.wait_until(clock::time_point::max());
      } else if (clock::now() < c->dial_at) {
        co_await c->changed.wait_until(c->dial_at);
      } else {
        c->reconnect_requested = false;
        c->attempt = std::make_shared<race>(self->executor_, self->configuration_, self->events_,
                                            self->names_, self->builder_, c->id, c->where);
        failure failed = co_await c->attempt->run();
        c->attempt.reset();
        if (failed) self->handle_failure(*c, std::move(failed));
      }
    }
    if (!self->closed_) self->contacts_.erase(c->id);
  }

  void handle_failure(contact& c, failure why) {
    if (closed_ || c.reconnect_requested || sessions_->connected(c.id)) return;
    back_off(c);
    bool is_news = why.code != tcp_error::already_connected &&
                   why.code != asio::error::operation_aborted && why.code != c.last_error;
    // Without room it is told when it fails again.
    if (!is_news || !events_->has_room_for_problem()) return;
    c.last_error = why.code;
    events_->add_problem(c.id, std::move(why));
  }

  asio::any_io_executor executor_;
  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<event_source> events_;
  std::shared_ptr<sessions> sessions_;
  std::shared_ptr<session_builder> builder_;
  std::shared_ptr<resolver> names_;
  map_by_id<contact_pointer> contacts_;
  std::minstd_rand jitter_{std::random_device()()};
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
