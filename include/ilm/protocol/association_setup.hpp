#pragma once

#include <ilm/bytes.hpp>
#include <ilm/protocol/entropy.hpp>
#include <ilm/protocol/support.hpp>

#include <cstddef>
#include <cstdint>

namespace ilm::inline v0::protocol {

/// The constants of an association.
struct association_setup {
  bytes local_id;
  bytes peer_id;
  protocol::entropy* entropy = nullptr;
  std::uint64_t seed = 0;  ///< of what need not be secret: jitter
  std::size_t frame_limit = 0;
  std::size_t maximum_message = 0;
  protocol_support support;
  bool reliable = false;  ///< the network loses and reorders nothing within a session
};

}  // namespace ilm::inline v0::protocol
