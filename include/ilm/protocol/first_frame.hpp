#pragma once

#include <ilm/error.hpp>
#include <ilm/protocol/association_setup.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/frame_builder.hpp>
#include <ilm/protocol/frame_reader.hpp>

#include <cstddef>
#include <span>
#include <system_error>

namespace ilm::inline v0::protocol {

/// A frame in the name of a peer that nothing is known of, and for which there is no association.
struct first_frame {
  std::error_code wrong;    ///< the frame is to be rejected
  bool challenges = false;  ///< it asks for a hello: an association is due
};

/// A frame of a session is stale then, and a hello old: neither says anything of the peer.
inline first_frame read_first_frame(std::span<const std::byte> in, const association_setup& setup) {
  first_frame result;
  frame f;
  if (in.size() > setup.frame_limit) {
    result.wrong = error::frame_too_large;
  } else {
    result.wrong = read_frame(in, setup.support, f);
  }
  if (!result.wrong && f.hello) result.wrong = check_hello(f, setup);
  result.challenges = !result.wrong && f.challenge;
  return result;
}

}  // namespace ilm::inline v0::protocol
