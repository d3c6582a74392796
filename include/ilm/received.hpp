#pragma once

#include <ilm/delivery_context.hpp>
#include <ilm/message.hpp>

#include <utility>

namespace ilm::inline v0 {

/// A message that an inbox gave, and the context of its delivery. A reader that needs only
/// the message may take it as a plain `message<PeerId>`.
template <class PeerId>
struct received : message<PeerId> {
  received() = default;
  received(message<PeerId> m, delivery_context<PeerId> c)
      : message<PeerId>(std::move(m)), context(std::move(c)) {}

  /// To send with the consumption of the message.
  delivery_context<PeerId> context;
};

}  // namespace ilm::inline v0
