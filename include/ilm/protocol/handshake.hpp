#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/entropy.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/support.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace ilm::inline v0::protocol {

/// Proves that a hello is fresh. Hand it session events, challenges and hellos; ask it which
/// challenge and which hello to send.
///
/// A challenge has a nonce and promises nothing: whoever gets it answers with a hello that echoes
/// the nonce, and changes nothing. A *candidate* is a nonce of ours that waits for such a hello,
/// which is then younger than the candidate. The pair (candidate, the hello's nonce) becomes the
/// session, whose tag every other frame must carry. A hello that does not echo the candidate, or
/// echoes one of long ago, is old, and means nothing, whatever it says.
///
/// The side that opens the session first tells the other with a *proven* hello, again and again
/// until it hears a frame of the session.
class handshake {
 public:
  explicit handshake(const options& o, entropy& e, const protocol_support& support = {}) noexcept
      : first_wait_(o.initial_timeout),
        longest_wait_(o.maximum_timeout),
        entropy_(&e),
        support_(support) {}

  bool established() const noexcept { return session_tag_ != 0; }
  /// Whether challenges are sent until a hello comes.
  bool challenging() const noexcept { return due_ != never && !established(); }
  /// Whether this side has opened the session, and has not heard yet that the peer did.
  bool awaits_peer() const noexcept { return due_ != never && established(); }
  std::uint64_t session_tag() const noexcept { return session_tag_; }
  /// What the two sides of the session have in common; nothing without a session.
  const agreement& agreed() const noexcept { return agreed_; }

  /// Ends the session, if there is one, and challenges the peer: at once, or, `again`, not so soon
  /// after the last time, lest two sides that do not agree keep each other busy.
  void begin(timestamp now, bool again = false) noexcept {
    end();
    draw(now);
    wait_ = first_wait_;
    due_ = again ? std::max(now, began_at_ == never ? now : after(began_at_, first_wait_)) : now;
    began_at_ = due_;
  }

  void end() noexcept {
    candidate_ = local_nonce_ = peer_nonce_ = answer_ = 0;
    session_tag_ = 0;
    agreed_ = {};
    due_ = never;
  }

  /// The peer asks for a hello: the next one answers. Nothing else changes.
  void handle_challenge(std::uint64_t nonce) noexcept {
    assert(nonce != 0);
    answer_ = nonce;
  }

  /// Whether the hello is fresh: `handle_hello` would open a session. A look: nothing changes.
  bool is_fresh(const hello_record& h, timestamp now) const noexcept {
    return !repeats_session(h) && candidate_ != 0 && h.echo == candidate_ && !lapsed(now);
  }
  /// Whether the hello is fresh. Then it opens the session, and is answered, unless it is
  /// itself the answer.
  bool handle_hello(const hello_record& h, timestamp now) noexcept {
    assert(h.nonce != 0);
    if (repeats_session(h)) {
      if (!h.proven) answer_ = peer_nonce_;
      return false;
    }
    if (!is_fresh(h, now)) return false;
    local_nonce_ = candidate_;
    peer_nonce_ = h.nonce;
    opened_at_ = now;
    session_tag_ = session_tag_of(local_nonce_, peer_nonce_);
    agreed_ = agree(support_, h.support);
    candidate_ = 0;
    wait_ = first_wait_;
    due_ = h.proven ? never : now;
    return true;
  }
  /// Whether the hello shows that the peer has opened another session with one of the two nonces of
  /// this one. A nonce opens a single session on each side: so the two will never agree on this
  /// one. A hello does so once, as no later session has that nonce.
  bool contradicts_session(const hello_record& h) const noexcept {
    return established() && h.proven && (h.nonce == peer_nonce_) != (h.echo == local_nonce_);
  }
  /// Whether the hello is of the session that is open: the peer opened it, too.
  bool repeats_session(const hello_record& h) const noexcept {
    return established() && h.nonce == peer_nonce_;
  }
  /// The session will carry nothing: the hello that proves it goes out once.
  void answer_once() noexcept {
    assert(established());
    if (due_ == never) return;
    answer_ = peer_nonce_;
    due_ = never;
  }
  /// A frame of the session arrived: the peer has opened it.
  void handle_heard() noexcept {
    assert(established());
    due_ = never;
  }

  /// Whether the proven hello was not answered for so long that the peer will never open the
  /// session: its nonce has lapsed.
  bool unanswered(timestamp now) const noexcept {
    return awaits_peer() && now >= after(opened_at_, nonce_lifetime);
  }

  /// Once the time of a frame has come, `deadline` does not name it again: the frame may have to
  /// wait for a network that is busy.
  void handle_timeout(timestamp now) noexcept {
    if (due_ <= now) due_ = overdue;
  }
  timestamp deadline() const noexcept { return due_ == overdue ? never : due_; }

  /// The nonce of a challenge if one is to be sent now, else 0.
  std::uint64_t poll_challenge(timestamp now, random_source& random) noexcept {
    if (due_ > now || established()) return 0;
    if (lapsed(now)) draw(now);
    wait(now, random);
    return candidate_;
  }
  bool hello_due(timestamp now) const noexcept {
    return answer_ != 0 || (established() && due_ <= now);
  }
  /// Fills in nonce, echo and proof if a hello is to be sent now.
  bool poll_hello(hello_record& h, timestamp now, random_source& random) noexcept {
    if (!hello_due(now)) return false;
    h.echo = answer_ != 0 ? answer_ : peer_nonce_;
    answer_ = 0;
    h.proven = established() && h.echo == peer_nonce_;
    if (h.proven) {
      if (due_ != never) wait(now, random);
    } else if (candidate_ == 0 || lapsed(now)) {
      draw(now);
    }
    h.nonce = h.proven ? local_nonce_ : candidate_;
    return true;
  }

  bool invariants_hold() const noexcept {
    bool tagged = established() ? local_nonce_ != 0 && peer_nonce_ != 0 &&
                                      session_tag_ == session_tag_of(local_nonce_, peer_nonce_)
                                : local_nonce_ == 0 && peer_nonce_ == 0;
    return tagged && (!challenging() || candidate_ != 0) &&
           (due_ == never || wait_ > duration::zero());
  }

 private:
  static constexpr timestamp overdue = timestamp::min();

  void draw(timestamp now) noexcept {
    candidate_ = next_nonzero(*entropy_);
    drawn_at_ = now;
  }
  bool lapsed(timestamp now) const noexcept { return now >= after(drawn_at_, nonce_lifetime); }
  void wait(timestamp now, random_source& random) noexcept {
    due_ = after(now, random.jitter(wait_));
    wait_ = std::min(doubled(wait_), longest_wait_);
  }

  duration first_wait_, longest_wait_;
  duration wait_{};
  timestamp due_ = never;
  entropy* entropy_;
  std::uint64_t candidate_ = 0;  ///< 0: none was shown to the peer since the session began
  timestamp drawn_at_{};
  timestamp opened_at_{};
  timestamp began_at_ = never;
  std::uint64_t answer_ = 0;  ///< the peer's nonce that the next hello echoes; 0: none is due
  std::uint64_t local_nonce_ = 0;
  std::uint64_t peer_nonce_ = 0;
  std::uint64_t session_tag_ = 0;
  protocol_support support_;
  agreement agreed_;
};

}  // namespace ilm::inline v0::protocol
