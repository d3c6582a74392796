#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/support.hpp>
#include <ilm/protocol/time.hpp>

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace ilm::inline v0::protocol {

/// Proves that a hello is fresh. Hand it session events and hellos; ask it which hello to send.
///
/// A *candidate* is a nonce of ours that waits to be echoed. A hello that echoes it is younger
/// than it, so its cursors are no older than that moment. The pair (candidate, the hello's
/// nonce) then becomes the session, whose tag every other frame must carry. A hello with an unknown
/// nonce is answered with a candidate of ours and changes nothing else, so a late or repeated one
/// never ends a session by itself.
class handshake {
 public:
  enum class result : std::uint8_t { ignored, challenged, proven };

  explicit handshake(const options& o, const protocol_support& support = {}) noexcept
      : first_wait_(o.initial_timeout), longest_wait_(o.maximum_timeout), support_(support) {}

  bool established() const noexcept { return session_tag_ != 0; }
  /// Whether a nonce of ours waits for its echo. Acks and data of an earlier session are ignored
  /// meanwhile, since the hello under way promised the cursors as they were.
  bool pending() const noexcept { return candidate_ != 0; }
  std::uint32_t session_tag() const noexcept { return session_tag_; }
  /// What the two sides of the session have in common; nothing without a session.
  const agreement& agreed() const noexcept { return agreed_; }

  void begin(timestamp now, random_source& random) noexcept {
    end();
    challenge(now, random);
  }

  void end() noexcept {
    retire(peer_nonce_);
    candidate_ = local_nonce_ = peer_nonce_ = echo_ = 0;
    session_tag_ = 0;
    agreed_ = {};
    due_ = never;
    answer_ = false;
  }

  result handle_hello(const hello_record& h, timestamp now, random_source& random) noexcept {
    assert(h.nonce != 0);
    if (established() && h.nonce == peer_nonce_) {
      if (!h.proven) answer_ = true;
      return result::ignored;
    }
    // A peer may keep its nonce while our session ended and began, so an echo of our candidate
    // counts for more than the nonce's age.
    if (candidate_ == 0 || h.echo != candidate_) {
      for (std::uint64_t old : retired_) {
        if (h.nonce == old) return result::ignored;
      }
    }
    if (candidate_ == 0) challenge(now, random);
    if (h.echo != candidate_) {
      echo_ = h.nonce;
      due_ = now;
      return result::challenged;
    }
    retire(peer_nonce_);
    local_nonce_ = candidate_;
    peer_nonce_ = h.nonce;
    session_tag_ = session_tag_of(local_nonce_, peer_nonce_);
    agreed_ = agree(support_, h.support);
    candidate_ = 0;
    due_ = never;
    answer_ = !h.proven;
    return result::proven;
  }

  timestamp deadline() const noexcept { return due_; }

  /// Fills in nonce, echo and proof if a hello is to be sent now.
  bool poll_hello(hello_record& h, timestamp now, random_source& random) noexcept {
    if (answer_) {
      answer_ = false;
      h.nonce = local_nonce_;
      h.echo = peer_nonce_;
      h.proven = true;
      return true;
    }
    if (due_ > now) return false;
    assert(pending());
    h.nonce = candidate_;
    h.echo = echo_;
    h.proven = false;
    due_ = after(now, random.jitter(wait_));
    wait_ = std::min(wait_ * 2, longest_wait_);
    return true;
  }

  bool invariants_hold() const noexcept {
    bool tagged = established() ? local_nonce_ != 0 && peer_nonce_ != 0 &&
                                      session_tag_ == session_tag_of(local_nonce_, peer_nonce_)
                                : local_nonce_ == 0 && peer_nonce_ == 0 && !answer_;
    return tagged && (pending() ? wait_ > duration::zero() : due_ == never);
  }

 private:
  void challenge(timestamp now, random_source& random) noexcept {
    candidate_ = random.next_nonzero();
    wait_ = first_wait_;
    due_ = now;
    answer_ = false;
  }

  void retire(std::uint64_t nonce) noexcept {
    if (nonce != 0) retired_[retired_at_++ % retired_.size()] = nonce;
  }

  duration first_wait_, longest_wait_;
  duration wait_{};
  timestamp due_ = never;
  std::uint64_t candidate_ = 0;
  std::uint64_t echo_ = 0;
  std::uint64_t local_nonce_ = 0;
  std::uint64_t peer_nonce_ = 0;
  std::uint32_t session_tag_ = 0;
  protocol_support support_;
  agreement agreed_;
  bool answer_ = false;
  std::array<std::uint64_t, retired_nonces> retired_{};
  std::size_t retired_at_ = 0;
};

}  // namespace ilm::inline v0::protocol
