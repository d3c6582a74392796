#pragma once

#include <ilm/error.hpp>
#include <ilm/networks/tcp/interface.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/lookup.hpp>
#include <ilm/networks/tcp/options.hpp>
#include <ilm/networks/tcp/transport.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// From the system's generator, unpredictable.
template <std::size_t Size>
std::array<std::byte, Size> random_bytes() {
  std::random_device device;
  std::array<std::byte, Size> drawn;
  for (std::size_t i = 0; i < Size; i += 4) {
    std::uint32_t word = device();
    for (std::size_t j = i; j < std::min(Size, i + 4); ++j, word >>= 8) {
      drawn[j] = static_cast<std::byte>(word);
    }
  }
  return drawn;
}

/// All that does not change while a network lives.
struct configuration {
  configuration(std::shared_ptr<const transport> via_, byte_string local_id_, tcp_options options_,
                peer_id_check is_peer_id_)
      : via(std::move(via_)),
        local_id(std::move(local_id_)),
        options(std::move(options_)),
        is_peer_id(std::move(is_peer_id_)) {
    if (!has_id_size(local_id)) {
      throw std::system_error(error::invalid_peer_id);
    }
    if (std::string wrong = validation_error(options); !wrong.empty()) {
      throw std::system_error(make_error_code(error::invalid_options), wrong);
    }
  }

  /// Whether a peer may claim these bytes as its id.
  bool is_valid_id(byte_view encoded) const { return has_id_size(encoded) && is_peer_id(encoded); }

  const std::shared_ptr<const transport> via;
  const byte_string local_id;
  const tcp_options options;
  const peer_id_check is_peer_id;
  const lookup_function look_up = default_lookup();
  /// Tells this process from its predecessor and its successor.
  const std::array<std::byte, 16> instance = random_bytes<16>();
};

}  // namespace ilm::inline v0::detail::tcp
