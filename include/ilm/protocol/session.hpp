#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/handshake.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/reconcile.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace ilm::inline v0::protocol {

/// Where the session with a peer stands.
enum class phase : std::uint8_t {
  absent,                ///< the network has no session with the peer
  handshaking,           ///< hellos are exchanged; freshness is not proven
  verifying,             ///< the peer's last message is looked up: do both mean the same one?
  established,           ///< data flows
  refused,               ///< the peer was rolled back; nothing flows until it is a new incarnation
  incompatible,          ///< no common version, or a required feature is missing; nothing flows
  renewing_incarnation,  ///< this side was rolled back; its new incarnation is being stored
  closed,                ///< this side has ended the session for good
};

/// The handshake with a peer, and where the session stands: one state, each with its own data.
/// Inputs return their consequences; the caller brings them about.
class session {
 public:
  struct verifying {
    hello_record hello;  ///< the proven one, without names
    reconciliation agreed;
    bool ack_ignored = false;  ///< an ack came that could not be believed yet
  };

  explicit session(const options& o, const protocol_support& support = {}) noexcept
      : handshake_(o, support),
        keepalive_interval_(o.keepalive_interval),
        keepalive_timeout_(o.keepalive_timeout) {}

  phase state() const noexcept { return static_cast<phase>(state_.index()); }
  /// Whether a proven session is open.
  bool is_open() const noexcept {
    return state() == phase::established || state() == phase::verifying;
  }
  bool is_closed() const noexcept { return state() == phase::closed; }
  /// Whether frames are read: not after the close, nor after the network said that it has none.
  bool listens() const noexcept { return !is_closed() && presence_ != presence::down; }
  /// Whether a nonce of this side waits for its echo. The hello under way promises the cursors as
  /// they were, so acks and data of the session before are ignored meanwhile.
  bool proof_pending() const noexcept { return handshake_.pending(); }
  session_key key() const noexcept {
    return {handshake_.session_tag(), handshake_.agreed().version};
  }
  /// The features that both sides of the session understand; none without a session.
  std::uint64_t features() const noexcept { return handshake_.agreed().features; }
  const watermarks& at_nonce() const noexcept { return at_nonce_; }
  /// The hello to verify; only in that phase.
  const verifying& verification() const noexcept { return std::get<verifying>(state_); }

  /// Whether a frame belongs to the session.
  bool owns(const frame_header& h, const incarnation& local,
            const incarnation& peer) const noexcept {
    return handshake_.established() && state() != phase::absent && h.source_tag == tag_of(peer) &&
           h.destination_tag == tag_of(local) && h.session_tag == handshake_.session_tag() &&
           h.version == handshake_.agreed().version;
  }

  // Inputs. After one that ends a session comes the next one that begins one: `end` first.

  /// Ends the session, if there is one. True if it had been established: then report its end.
  bool end() noexcept {
    bool had_session = std::exchange(announced_, false);
    handshake_.end();
    ack_due_ = ping_due_ = versions_due_ = false;
    final_hello_.clear();
    if (is_closed()) {
      state_ = closed{};
    } else if (state() != phase::renewing_incarnation) {
      state_ = absent{};
    }
    return had_session;
  }
  void handle_up(timestamp now, random_source& random, const watermarks& here) noexcept {
    assert(!is_open() && !handshake_.established() && !handshake_.pending());
    presence_ = presence::up;
    if (!is_closed() && state() != phase::renewing_incarnation) start_handshake(now, random, here);
  }
  void handle_down() noexcept {
    assert(!is_open() && !handshake_.established() && !handshake_.pending());
    presence_ = presence::down;
  }

  void start_handshake(timestamp now, random_source& random, const watermarks& here) noexcept {
    assert(!is_closed());
    presence_ = presence::up;
    state_ = handshaking{};
    handshake_.begin(now, random);
    at_nonce_ = here;
  }

  handshake::result handle_hello(const hello_record& h, timestamp now, random_source& random,
                                 const watermarks& here) noexcept {
    assert(listens());
    if (state() == phase::renewing_incarnation) return handshake::result::ignored;
    if (state() == phase::absent) start_handshake(now, random, here);
    bool was_pending = handshake_.pending();
    handshake::result r = handshake_.handle_hello(h, now, random);
    if (!was_pending && r == handshake::result::challenged) at_nonce_ = here;
    return r;
  }

  /// A frame of the session arrived.
  void handle_heard(timestamp now) noexcept {
    assert(handshake_.established());
    heard_at_ = now;
  }

  /// A proven hello opened a session, which carries data once the peer's last message is verified.
  void handle_reconciled(const hello_record& hello, const reconciliation& agreed) {
    assert(agreed.opens_session() && handshake_.established());
    conflict_.reset();
    state_ = verifying{hello, agreed, false};
    ack_due_ = true;
  }
  /// True if the session is new: report it.
  bool handle_verified(timestamp now) noexcept {
    assert(state() == phase::verifying);
    // An ack that could not be believed before is asked for again.
    ping_due_ = verification().ack_ignored;
    pinged_at_ = now;
    state_ = established{};
    return !std::exchange(announced_, true);
  }
  /// The peer was rolled back. True if a session had been established: then report its end.
  bool handle_peer_rolled_back() noexcept {
    assert(handshake_.established());
    state_ = refused{};
    return std::exchange(announced_, false);
  }
  /// The two sides cannot work together, as the event says. Then `repeats_conflict` tells whether
  /// it is known. True if a session had been established: then report its end.
  bool handle_incompatible() noexcept {
    assert(handshake_.established());
    state_ = incompatible{};
    return std::exchange(announced_, false);
  }
  /// Whether this is the conflict that was reported last, since a session opened.
  bool repeats_conflict(const event_record& e) noexcept {
    bool same = conflict_ && conflict_->error == e.error && conflict_->features == e.features &&
                conflict_->peer_versions == e.peer_versions;
    conflict_ = e;
    return same;
  }
  /// A frame of a version that this side does not speak: it is answered with those that it does,
  /// once in a while.
  void handle_unspoken_version(timestamp now) noexcept {
    if (now < versions_after_) return;
    versions_after_ = after(now, versions_interval);
    versions_due_ = true;
  }
  /// This side was rolled back: after `end`, nothing but this last hello of the ended session goes
  /// out before the new incarnation is stored. From it the peer learns of the rollback.
  void handle_rolled_back(std::vector<std::byte> final_hello) noexcept {
    assert(state() == phase::absent);
    state_ = renewing{};
    final_hello_ = std::move(final_hello);
  }
  /// The store has the new incarnation. True if a handshake should start.
  bool handle_renewed() noexcept {
    if (state() != phase::renewing_incarnation) return false;
    state_ = absent{};
    return presence_ == presence::up;
  }
  /// The cursors in the store moved. True if a handshake should start: a peer that seemed to have
  /// forgotten messages that were not stored yet deserves a second look.
  bool handle_acks_changed() noexcept {
    ack_due_ = true;
    return state() == phase::refused;
  }

  void handle_close() noexcept {
    assert(!is_closed());
    state_ = closed{handshake_.established()};
  }

  /// False if the peer has been silent for too long: end the session, and start a handshake.
  bool handle_timeout(timestamp now) noexcept {
    if (!is_open() || keepalive_interval_ == duration::zero()) return true;
    if (now >= after(heard_at_, keepalive_timeout_)) return false;
    if (now >= keepalive_at()) {
      pinged_at_ = now;
      ping_due_ = true;
    }
    return true;
  }

  void require_ack() noexcept {
    assert(is_open());
    ack_due_ = true;
  }
  void handle_ignored_ack() noexcept {
    assert(state() == phase::verifying);
    if (verifying* v = std::get_if<verifying>(&state_)) v->ack_ignored = true;
  }

  /// Messages received above this were forgotten since.
  void lower_received(std::uint64_t received) noexcept {
    assert(proof_pending());
    at_nonce_.received = std::min(at_nonce_.received, received);
  }

  // Outputs.

  /// A hello of the session before, which a rollback ended. It goes first.
  bool poll_final_hello(std::vector<std::byte>& out) noexcept {
    if (final_hello_.empty()) return false;
    out = std::exchange(final_hello_, {});
    return true;
  }
  bool poll_hello(hello_record& h, timestamp now, random_source& random) noexcept {
    return handshake_.poll_hello(h, now, random);
  }
  bool poll_bye() noexcept {
    closed* c = std::get_if<closed>(&state_);
    return c != nullptr && std::exchange(c->bye_due, false);
  }
  bool poll_versions() noexcept { return std::exchange(versions_due_, false); }
  bool ack_due() const noexcept { return ack_due_; }
  void handle_ack_sent() noexcept {
    assert(ack_due_);
    ack_due_ = false;
  }
  bool poll_ping() noexcept { return std::exchange(ping_due_, false); }

  timestamp hello_deadline() const noexcept { return handshake_.deadline(); }
  timestamp deadline() const noexcept {
    return is_open() && keepalive_interval_ != duration::zero() ? keepalive_at() : never;
  }

  bool invariants_hold() const noexcept {
    if (!handshake_.invariants_hold()) return false;
    bool proven = handshake_.established(), pending = proof_pending();
    if (announced_ && !is_open() && !is_closed()) return false;
    switch (state()) {
      case phase::absent:
        return !proven && !pending;
      case phase::handshaking:
        return !proven && pending && presence_ == presence::up;
      case phase::verifying:
      case phase::established:
      case phase::refused:
      case phase::incompatible:
        return proven && presence_ == presence::up;
      case phase::renewing_incarnation:
        return !proven && !pending;
      case phase::closed:
        return final_hello_.empty() || !proven;
    }
    return false;
  }

 private:
  struct absent {};
  struct handshaking {};
  struct established {};
  struct refused {};
  struct incompatible {};
  struct renewing {};
  struct closed {
    bool bye_due = false;
  };

  /// The network's last word.
  enum class presence : std::uint8_t { unknown, up, down };

  timestamp keepalive_at() const noexcept {
    return after(std::max(heard_at_, pinged_at_), keepalive_interval_);
  }

  /// In the order of `phase`.
  std::variant<absent, handshaking, verifying, established, refused, incompatible, renewing, closed>
      state_;
  presence presence_ = presence::unknown;
  handshake handshake_;
  watermarks at_nonce_;
  std::vector<std::byte> final_hello_;
  duration keepalive_interval_, keepalive_timeout_;
  timestamp heard_at_{};
  timestamp pinged_at_{};
  bool announced_ = false;  ///< a session was established, and its end is not reported yet
  bool ack_due_ = false;
  bool ping_due_ = false;
  bool versions_due_ = false;
  timestamp versions_after_ = timestamp::min();
  std::optional<event_record> conflict_;
};

}  // namespace ilm::inline v0::protocol
