#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/entropy.hpp>
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

namespace ilm::inline v0::protocol {

/// Where the session with a peer stands.
enum class phase : std::uint8_t {
  absent,            ///< the network has no session with the peer
  handshaking,       ///< a fresh hello of the peer is awaited
  verifying,         ///< the peer's last message is looked up: do both mean the same one?
  established,       ///< data flows
  incompatible,      ///< no common version, or a required feature is missing; nothing flows
  renewing_history,  ///< this side's store went back, or may have; no session opens meanwhile
  closed,            ///< this side has ended the session for good
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

  explicit session(const options& o, entropy& e, const protocol_support& support = {}) noexcept
      : handshake_(o, e, support),
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
  /// The network's last word was that it has no session with the peer.
  bool is_down() const noexcept { return presence_ == presence::down; }
  /// From when on nothing is known that the next session would have to know, but `is_down`; `never`
  /// while there is a session, or one is awaited.
  timestamp forgotten_at() const noexcept {
    bool idle = state() == phase::absent && !conflict_ && !versions_due_;
    return idle ? versions_after_ : never;
  }
  session_key key() const noexcept {
    return {handshake_.session_tag(), handshake_.agreed().version};
  }
  /// The features that both sides of the session understand; none without a session.
  std::uint64_t features() const noexcept { return handshake_.agreed().features; }
  /// What the hello that opened the session said; with a session only.
  const common_ground& ground() const noexcept { return ground_; }
  /// The hello to verify; only in that phase.
  const verifying& verification() const noexcept { return std::get<verifying>(state_); }

  /// Whether a frame belongs to the session.
  bool owns(const frame_header& h) const noexcept {
    return handshake_.established() && state() != phase::absent &&
           h.session == handshake_.session_tag() && h.version == handshake_.agreed().version;
  }

  // Inputs. After one that ends a session comes the next one that begins one: `end` first.

  /// Ends the session, if there is one. True if it had been established: then report its end.
  bool end() noexcept {
    bool had_session = std::exchange(announced_, false);
    handshake_.end();
    ack_due_ = ping_due_ = versions_due_ = false;
    if (is_closed()) {
      state_ = closed{};
    } else if (state() != phase::renewing_history) {
      state_ = absent{};
    }
    return had_session;
  }
  void handle_up(timestamp now) noexcept {
    assert(!is_open() && !handshake_.established());
    presence_ = presence::up;
    if (!is_closed() && state() != phase::renewing_history) start_handshake(now);
  }
  void handle_down() noexcept {
    assert(!is_open() && !handshake_.established());
    presence_ = presence::down;
  }

  /// `again`: since the two sides do not agree.
  void start_handshake(timestamp now, bool again = false) noexcept {
    assert(!is_closed() && !is_open());
    presence_ = presence::up;
    state_ = handshaking{};
    handshake_.begin(now, again);
  }

  /// The peer asks for a hello. A session that is open goes on.
  void handle_challenge(std::uint64_t nonce, timestamp now) noexcept {
    assert(listens());
    if (state() == phase::renewing_history) return;
    if (state() == phase::absent) start_handshake(now);
    handshake_.handle_challenge(nonce);
  }
  /// Whether the hello shows that the peer is in another session, and will not open this one.
  bool contradicts(const hello_record& h) const noexcept {
    return handshake_.contradicts_session(h);
  }
  /// Whether `handle_hello` would find the hello fresh. A look: nothing changes.
  bool is_fresh(const hello_record& h, timestamp now) const noexcept {
    return state() != phase::renewing_history && handshake_.is_fresh(h, now);
  }
  /// Whether the hello is fresh: then it is to be judged. The session before it has ended.
  bool handle_hello(const hello_record& h, timestamp now) noexcept {
    assert(listens());
    if (state() == phase::renewing_history) return false;
    // A peer that says again that it opened the session has not heard this side yet.
    if (handshake_.repeats_session(h) && is_open()) ack_due_ = true;
    return handshake_.handle_hello(h, now);
  }

  /// A frame of the session arrived.
  void handle_heard(timestamp now) noexcept {
    assert(handshake_.established());
    handshake_.handle_heard();
    heard_at_ = now;
  }

  /// A fresh hello opens a session, which carries data once the peer's last message is verified.
  void handle_reconciled(const hello_record& hello, const reconciliation& agreed, timestamp now) {
    assert(agreed.opens_session() && handshake_.established());
    conflict_.reset();
    ground_ = agreed.ground;
    state_ = verifying{hello, agreed, false};
    heard_at_ = now;
    ack_due_ = true;
  }
  /// True if the session is new: report it.
  bool handle_verified(timestamp now) noexcept {
    assert(state() == phase::verifying);
    ack_due_ = true;
    // An ack that could not be believed before is asked for again.
    ping_due_ = verification().ack_ignored;
    pinged_at_ = now;
    state_ = established{};
    return !std::exchange(announced_, true);
  }
  /// The two sides cannot work together, as the event says. Then `repeats_conflict` tells whether
  /// it is known. True if a session had been established: then report its end.
  bool handle_incompatible() noexcept {
    assert(handshake_.established());
    handshake_.answer_once();
    state_ = incompatible{};
    return std::exchange(announced_, false);
  }
  /// Whether this is the conflict that was reported last, since a session opened.
  bool repeats_conflict(const event_record& e) noexcept {
    bool same = is_known_conflict(e);
    conflict_ = e;
    return same;
  }
  /// The same, as a look: nothing changes.
  bool is_known_conflict(const event_record& e) const noexcept {
    return conflict_ && conflict_->error == e.error && conflict_->features == e.features &&
           conflict_->peer_versions == e.peer_versions;
  }
  /// A conflict that nothing proves. True if none was reported since a session opened: report it.
  bool handle_claimed_conflict(const event_record& e) noexcept {
    return !conflict_ && !repeats_conflict(e);
  }
  /// A frame of a version that this side does not speak: it is answered with those that it does,
  /// once in a while.
  void handle_unspoken_version(timestamp now) noexcept {
    if (now < versions_after_) return;
    versions_after_ = after(now, versions_interval);
    versions_due_ = true;
  }
  /// This side's store went back, or may have: after `end`, nothing goes out before its history is
  /// in order.
  void handle_renewing() noexcept {
    assert(state() == phase::absent);
    state_ = renewing{};
  }
  /// The history is in order. True if a handshake should start.
  bool handle_renewed() noexcept {
    if (state() != phase::renewing_history) return false;
    state_ = absent{};
    return presence_ == presence::up;
  }

  void handle_close() noexcept {
    assert(!is_closed());
    state_ = closed{handshake_.established()};
  }

  /// False if the peer has been silent for too long, or never opened the session: end the session,
  /// and start a handshake.
  bool handle_timeout(timestamp now) noexcept {
    handshake_.handle_timeout(now);
    if (!is_open()) return true;
    if (handshake_.unanswered(now)) return false;
    if (keepalive_interval_ == duration::zero()) return true;
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

  // Outputs.

  std::uint64_t poll_challenge(timestamp now, random_source& random) noexcept {
    return handshake_.poll_challenge(now, random);
  }
  bool hello_due(timestamp now) const noexcept { return handshake_.hello_due(now); }
  /// Whether this side has opened the session, and has not heard yet that the peer did.
  bool awaits_peer() const noexcept { return handshake_.awaits_peer(); }
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

  timestamp handshake_deadline() const noexcept { return handshake_.deadline(); }
  timestamp deadline() const noexcept {
    return is_open() && keepalive_interval_ != duration::zero() ? keepalive_at() : never;
  }

  bool invariants_hold() const noexcept {
    if (!handshake_.invariants_hold()) return false;
    bool proven = handshake_.established(), challenging = handshake_.challenging();
    if (announced_ && !is_open() && !is_closed()) return false;
    switch (state()) {
      case phase::absent:
      case phase::renewing_history:
        return !proven && !challenging;
      case phase::handshaking:
        return !proven && challenging && presence_ == presence::up;
      case phase::verifying:
      case phase::established:
      case phase::incompatible:
        return proven && presence_ == presence::up;
      case phase::closed:
        return true;
    }
    return false;
  }

 private:
  struct absent {};
  struct handshaking {};
  struct established {};
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
  std::variant<absent, handshaking, verifying, established, incompatible, renewing, closed> state_;
  presence presence_ = presence::unknown;
  handshake handshake_;
  common_ground ground_;
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
