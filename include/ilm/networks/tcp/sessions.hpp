#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/remote_address.hpp>
#include <ilm/networks/tcp/session.hpp>
#include <ilm/networks/tcp/strangers.hpp>
#include <ilm/networks/tcp/takeovers.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <cassert>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// The address book, which hears of sessions, so that a peer with one is not dialed.
class session_observer {
 public:
  virtual bool in_address_book(const byte_string& peer) const = 0;
  virtual void handle_session_began(const byte_string& peer, const connection& over) = 0;
  virtual void handle_session_ended(const byte_string& peer, std::error_code why,
                                    clock::duration lasted) = 0;

 protected:
  ~session_observer() = default;
};

/// The sessions, at most one a peer.
class sessions : public std::enable_shared_from_this<sessions> {
 public:
  sessions(asio::any_io_executor executor, std::shared_ptr<const configuration> c,
           std::shared_ptr<event_source> events)
      : executor_(std::move(executor)), configuration_(std::move(c)), events_(std::move(events)) {}

  void observe(std::weak_ptr<session_observer> o) { observer_ = std::move(o); }

  bool connected(const byte_string& peer) const { return sessions_.contains(peer); }

  bool in_address_book(const byte_string& peer) const {
    auto observer = observer_.lock();
    return observer && observer->in_address_book(peer);
  }

  /// Whether there is no room for a session with `peer` over `c`. A peer with a session takes its
  /// own place, and one in the address book always has one.
  bool is_full_for(const byte_string& peer, const connection& c) const {
    if (in_address_book(peer)) return false;
    if (is_full() && !connected(peer)) return true;
    const tcp_options& o = configuration_->options;
    return !o.prove && strangers_.count_besides(peer, group_of(c.remote())) >=
                           o.maximum_connections_per_address;
  }

  /// The peer is in the address book from now on.
  void handle_known(const byte_string& peer) { strangers_.remove(peer); }

  /// Whether both sides dialed at once and `c` is the second of two connections (RFC 4271, 6.8).
  bool collides(const byte_string& peer, const connection& c,
                const session::instance_id& peer_instance) const {
    auto at = sessions_.find(peer);
    if (at == sessions_.end()) return false;
    const session& s = *at->second;
    return s.over().dialed() != c.dialed() && s.peer_instance() == peer_instance &&
           clock::now() - s.began_at() < collision_window;
  }

  /// Why `c`, a connection of a process under a name whose session another process has, may not
  /// take it over now.
  failure check_takeover(const byte_string& peer, connection& c,
                         const session::instance_id& peer_instance) {
    auto at = sessions_.find(peer);
    if (at == sessions_.end() || at->second->peer_instance() == peer_instance ||
        !takeovers_.refuses(peer, clock::now())) {
      return {};
    }
    // One that is dead does not keep the name until its timeout.
    probe(peer);
    at = sessions_.find(peer);
    return at == sessions_.end() ? failure() : name_in_use(c, *at->second);
  }

  /// Begins a session over a proven connection, in place of an earlier one. `first_message` goes
  /// ahead of its frames; if that fails, nothing has changed.
  failure begin(const byte_string& peer, std::shared_ptr<connection> c,
                const session::instance_id& peer_instance, byte_view first_message,
                frame_macs macs = {}) {
    assert(!closed_ && c->is_open() && !peer.empty());
    auto at = sessions_.find(peer);
    if (at != sessions_.end() && at->second->predecessor() == peer_instance) {
      // The process that had to give up the name is alive, since it returns.
      return keep_name(peer, *c, *at->second);
    }
    auto made =
        std::make_shared<session>(configuration_, events_, c, peer_instance, std::move(macs));
    if (!first_message.empty()) {
      if (std::error_code failed = made->send(first_message)) return failed;
    }
    try {
      if (at != sessions_.end()) {
        replace(peer, *at->second, *made);
      } else if (is_full()) {
        end_a_stranger();
      }
      sessions_[peer] = made;
      strangers_.remove(peer);
      if (!in_address_book(peer)) strangers_.add(peer, group_of(c->remote()));
      if (auto observer = observer_.lock()) observer->handle_session_began(peer, *c);
      made->begin(peer);
      spawn_loops(peer, made);
    } catch (...) {
      // A session that stays without its loops would never end.
      end(peer, made, {});
      events_->guard().fail(std::current_exception());
      throw;
    }
    return {};
  }

  /// Ends the session with `peer`, if there is one.
  void end(const byte_string& peer) {
    auto at = sessions_.find(peer);
    if (at != sessions_.end()) end(peer, at->second, {});
  }

  /// Ends the session with `peer`, if there is one, for something failed on this side.
  void fail(const byte_string& peer, failure why) {
    auto at = sessions_.find(peer);
    if (at != sessions_.end()) fail(peer, at->second, std::move(why));
  }

  /// Ends the session with `peer` soon, if there is one that is dead.
  void probe(const byte_string& peer) {
    auto at = sessions_.find(peer);
    if (at == sessions_.end()) return;
    if (std::error_code failed = at->second->probe()) end(peer, at->second, failed);
  }

  /// Sends a frame, or drops it if `receive` has not given the `up` of the session: then it belongs
  /// to an earlier one. Returns the session if its queue is full.
  std::shared_ptr<session> send(const byte_string& peer, byte_string frame) {
    auto at = sessions_.find(peer);
    if (frame.empty() || at == sessions_.end() || !at->second->announced()) return nullptr;
    std::shared_ptr<session> s = at->second;
    if (std::error_code failed = s->send_frame(std::move(frame))) {
      end(peer, s, failed);
      return nullptr;
    }
    return s->has_room_to_send() ? nullptr : s;
  }

  void close() {
    closed_ = true;
    strangers_ = {};
    for (auto& [peer, s] : std::exchange(sessions_, {})) s->close();
    for (const auto& c : std::exchange(dismissed_, {})) c->close();
  }

 private:
  using sessions_pointer = std::shared_ptr<sessions>;
  using session_pointer = std::shared_ptr<session>;

  bool is_full() const { return sessions_.size() >= configuration_->options.maximum_connections; }

  /// Makes room: of the address with most strangers the one goes that was longest without a frame.
  void end_a_stranger() {
    if (strangers_.empty()) return;
    session_pointer idle;
    byte_string name;
    for (const byte_string& n : strangers_.crowd()) {
      const session_pointer& s = sessions_.at(n);
      if (idle && idle->frame_at() <= s->frame_at()) continue;
      idle = s;
      name = n;
    }
    std::error_code why = tcp_error::too_many_connections;
    remove(name, idle, why);
    events_->add_refusal(name, failure_from(idle->over().remote(), why));
    tell_observer(name, *idle, why);
  }

  static failure name_in_use(connection& c, const session& holder) {
    std::string address = holder.over().remote();
    c.set_other_address(address);
    return {tcp_error::name_in_use, "another process of this name, from " + address +
                                        ", has the session; give each process an id of its own"};
  }

  failure keep_name(const byte_string& peer, connection& c, session& holder) {
    takeovers_.record(peer, clock::now());
    holder.set_predecessor({});  // known to be alive; its turn comes after the wait
    return name_in_use(c, holder);
  }

  /// Ends a session for its successor. Another process is told that it lost the name, and if it is
  /// alive then two of them have it.
  void replace(const byte_string& peer, session& old, session& successor) {
    bool other_process = old.peer_instance() != successor.peer_instance();
    if (!other_process || dismissed_.size() >= dismissed_limit) return old.close();
    successor.set_predecessor(old.peer_instance());
    std::shared_ptr<connection> left = old.release();
    if (!left) return;
    left->set_other_address(successor.over().remote());
    dismissed_.insert(left);
    spawn(part_from(shared_from_this(), peer, left, successor.over().remote()));
  }

  static asio::awaitable<void> part_from(sessions_pointer self, byte_string peer,
                                         std::shared_ptr<connection> old, std::string by) {
    bool alive = co_await tell(self, old, tcp_error::name_in_use, reads_after_takeover);
    if (!alive || self->closed_) co_return;
    self->takeovers_.record(peer, clock::now());
    if (auto at = self->sessions_.find(peer); at != self->sessions_.end()) {
      at->second->set_predecessor({});
    }
    std::string text = by + " took the session over from " + old->remote() +
                       ", which was alive; give each process an id of its own";
    self->events_->add_problem(peer, failure(tcp_error::name_in_use, std::move(text)));
  }

  /// Has the other side read why, which it may not if there is something that was not read here.
  void dismiss(std::shared_ptr<connection> left, std::error_code why) {
    if (!left) return;
    if (dismissed_.size() >= dismissed_limit) return left->close(why);
    dismissed_.insert(left);
    spawn(tell_and_forget(shared_from_this(), std::move(left), why));
  }

  static asio::awaitable<void> tell_and_forget(sessions_pointer self,
                                               std::shared_ptr<connection> left,
                                               std::error_code why) {
    co_await tell(self, std::move(left), why, reads_after_refusal);
  }

  /// Completes with whether the other side closed its own.
  static asio::awaitable<bool> tell(sessions_pointer self, std::shared_ptr<connection> left,
                                    std::error_code why, int most_reads) {
    bool alive = false;
    try {
      alive = co_await left->refuse(why, most_reads);
    } catch (...) {
      // It goes without a word.
    }
    left->close(why);
    self->dismissed_.erase(left);
    co_return alive;
  }

  void spawn_loops(const byte_string& peer, const session_pointer& s) {
    spawn(peer, s, s->read_frames());
    spawn(peer, s, s->write_frames());
    spawn(peer, s, s->watch());
  }

  void spawn(const byte_string& peer, const session_pointer& s,
             asio::awaitable<std::error_code> loop) {
    spawn(run(shared_from_this(), peer, s, std::move(loop)));
  }

  void spawn(asio::awaitable<void> loop) { events_->spawn(std::move(loop)); }

  /// `loop` is one of the session's; its end ends the session.
  static asio::awaitable<void> run(sessions_pointer self, byte_string peer, session_pointer s,
                                   asio::awaitable<std::error_code> loop) {
    failure thrown;
    std::error_code why;
    try {
      why = co_await std::move(loop);
    } catch (...) {
      thrown = failure_of(std::current_exception());
    }
    thrown ? self->fail(peer, s, std::move(thrown)) : self->end(peer, s, why);
  }

  /// Without effect if the session has been ended or replaced.
  void end(const byte_string& peer, session_pointer s, std::error_code why) noexcept {
    if (why == std::errc::not_enough_memory) return fail(peer, std::move(s), why);
    events_->guard().run([&] {
      if (!remove(peer, s, why)) return;
      if (!s->refusal().empty()) {
        events_->add_problem(peer, failure_of_refusal(s->over().remote(), s->refusal()));
      } else if (is_explained(why)) {
        events_->add_problem(peer, failure(why, s->over().remote() + ": " + why.message()));
      }
      tell_observer(peer, *s, why);
    });
  }

  /// As `end`, but tells any reason.
  void fail(const byte_string& peer, session_pointer s, failure why) noexcept {
    events_->guard().run([&] {
      if (!remove(peer, s, why.code)) return;
      if (why.text.empty()) why.text = why.code.message();
      events_->add_problem(peer, failure(why.code, s->over().remote() + ": " + why.text));
      tell_observer(peer, *s, why.code);
    });
  }

  bool remove(const byte_string& peer, const session_pointer& s, std::error_code why) {
    auto at = sessions_.find(peer);
    if (closed_ || at == sessions_.end() || at->second != s) return false;
    sessions_.erase(at);
    strangers_.remove(peer);
    bool is_to_be_told = is_of_transport(why) || why == tcp_error::too_many_connections;
    if (is_to_be_told && s->refusal().empty()) dismiss(s->release(why), why);
    s->close(why);
    assert(!connected(peer));
    return true;
  }

  void tell_observer(const byte_string& peer, const session& s, std::error_code why) {
    if (auto observer = observer_.lock()) {
      observer->handle_session_ended(peer, why, clock::now() - s.began_at());
    }
  }

  asio::any_io_executor executor_;
  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<event_source> events_;
  std::weak_ptr<session_observer> observer_;
  map_by_id<session_pointer> sessions_;
  strangers strangers_;
  takeovers takeovers_;
  /// Of sessions that ended, until the other side has heard why.
  std::set<std::shared_ptr<connection>> dismissed_;
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
