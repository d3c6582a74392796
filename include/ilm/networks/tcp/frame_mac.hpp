#pragma once

#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/sha256.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Takes as long whatever the bytes are, so that its time tells nothing of them.
inline bool same_in_constant_time(byte_view a, byte_view b) noexcept {
  if (a.size() != b.size()) return false;
  std::byte difference{};
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{0};
}

using frame_tag = std::array<std::byte, frame_tag_size>;

/// The tags of one direction of a session: a truncated HMAC-SHA-256 under a key of this direction,
/// over a counter that no two frames share. "The wire" in ilm/networks/README.md has the form.
class frame_mac {
 public:
  explicit frame_mac(const sha256::digest& key) noexcept : keyed_(key) {}

  /// Of the present frame: its head alone, or with its body.
  frame_tag tag(byte_view head, byte_view body = {}) const noexcept {
    hmac_sha256 h = keyed_;
    std::array<std::byte, 8> counter;
    for (std::size_t i = 0; i < counter.size(); ++i) {
      counter[i] = static_cast<std::byte>(counter_ >> (56 - 8 * i));
    }
    h.update(counter);
    h.update(head);
    h.update(body);
    frame_tag out;
    std::ranges::copy_n(h.finish().begin(), out.size(), out.begin());
    return out;
  }

  bool matches(byte_view expected, byte_view head, byte_view body = {}) const noexcept {
    return same_in_constant_time(expected, tag(head, body));
  }

  void next_frame() noexcept { ++counter_; }

 private:
  hmac_sha256 keyed_;
  std::uint64_t counter_ = 0;
};

/// Both directions of a session; none without keys.
struct frame_macs {
  frame_macs() = default;
  /// `session_key` is of this session alone, since both nonces are in it.
  frame_macs(const sha256::digest& session_key, bool dialed) {
    frame_mac of_dialer(hkdf_expand(session_key, "ilm tcp frames of the dialer"));
    frame_mac of_acceptor(hkdf_expand(session_key, "ilm tcp frames of the acceptor"));
    outgoing = dialed ? of_dialer : of_acceptor;
    incoming = dialed ? of_acceptor : of_dialer;
  }

  std::optional<frame_mac> outgoing;
  std::optional<frame_mac> incoming;
};

}  // namespace ilm::inline v0::detail::tcp
