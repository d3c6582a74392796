#pragma once

#include <ilm/message.hpp>
#include <ilm/networks/tcp/options.hpp>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Pre-shared keys for tcp_options::prove. They prove the identity of the peer that opened a
// connection, and protect all that follows from change; they do not encrypt it.

namespace ilm::inline v0 {

/// The least size of a pre-shared key in bytes. Draw keys at random: whoever sees a handshake can
/// try guesses at leisure.
inline constexpr std::size_t minimum_key_size = 16;

namespace detail {

inline void check_key(const std::string& key) {
  if (key.size() >= minimum_key_size) return;
  throw std::invalid_argument("a pre-shared key of " + std::to_string(key.size()) +
                              " bytes is too short; draw at least " +
                              std::to_string(minimum_key_size) + " at random");
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::optional<tcp_proof> hmac_sha256(const std::string& key,
                                            std::span<const std::byte> data) {
  tcp_proof proof{};
  unsigned size = 0;
  const unsigned char* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                   reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                                   reinterpret_cast<unsigned char*>(proof.data()), &size);
  if (made == nullptr || size != proof.size()) return std::nullopt;
  return proof;
}

}  // namespace detail

/// One key for all peers: whoever holds it can take any name.
/// Throws std::invalid_argument if it is too short.
inline auto pre_shared_key(std::string key) {
  detail::check_key(key);
  return [k = std::move(key)](std::span<const std::byte>, std::span<const std::byte> transcript) {
    return detail::hmac_sha256(k, transcript);
  };
}

/// A key for each peer, known to the two of them alone; peers without one are refused.
/// Throws std::invalid_argument if one is too short.
template <encodable PeerId>
auto pre_shared_keys(const std::map<PeerId, std::string>& keys) {
  std::map<std::string, std::string, std::less<>> named;
  for (const auto& [id, key] : keys) {
    detail::check_key(key);
    std::vector<std::byte> name;
    codec<PeerId>::encode(id, name);
    named.emplace(detail::text_of(name), key);
  }
  return [held = std::move(named)](std::span<const std::byte> peer,
                                   std::span<const std::byte> transcript) {
    auto at = held.find(detail::text_of(peer));
    return at != held.end() ? detail::hmac_sha256(at->second, transcript) : std::nullopt;
  };
}

}  // namespace ilm::inline v0
