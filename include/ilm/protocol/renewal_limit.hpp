#pragma once

#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>

namespace ilm::inline v0::protocol {

/// How often the hellos of one peer may begin a history anew, on either side, or fall out with this
/// side. Each costs events, commits and the present session; and where nobody authenticates the
/// peer, anyone can say such a hello. A number of them are admitted at once, and each further one
/// after a wait that doubles, up to a bound. Quiet beyond the wait gives the number back, one at a
/// time.
class renewal_limit {
 public:
  /// Whether a hello of this kind is admitted now; it then counts. One that is not is to be
  /// ignored: the peer says it again.
  bool admit(timestamp now) noexcept {
    if (now < opens_at_) return false;
    if (used_ > 0) used_ -= std::min(used_, (now - opens_at_) / renewal_returns_after);
    if (used_ < renewals_at_once) ++used_;
    bool waits = used_ == renewals_at_once;
    wait_ = waits ? std::clamp<duration>(wait_ * 2, shortest_renewal_wait, longest_renewal_wait)
                  : duration::zero();
    opens_at_ = after(now, wait_);
    assert(invariants_hold());
    return true;
  }

  /// From when on the limit is as one that admitted none.
  timestamp forgotten_at() const noexcept {
    return used_ == 0 ? opens_at_ : after(opens_at_, used_ * renewal_returns_after);
  }

  bool invariants_hold() const noexcept {
    return used_ >= 0 && used_ <= renewals_at_once && wait_ <= longest_renewal_wait &&
           (wait_ > duration::zero()) == (used_ == renewals_at_once);
  }

 private:
  std::int64_t used_ = 0;  ///< of those that are admitted at once
  duration wait_{};        ///< after the last one
  timestamp opens_at_ = timestamp::min();
};

}  // namespace ilm::inline v0::protocol
