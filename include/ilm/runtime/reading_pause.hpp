#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>

namespace ilm::inline v0::runtime {

/// Decides when the network is not read, because messages that came wait for the store and take all
/// the memory that they may. A store that goes on ends the pause soon. One that does not must not
/// hide how sessions and other peers fare: after `longest_reading_pause` the network is read again,
/// and messages are not taken, until there is room.
class reading_pause {
 public:
  bool may_read(bool has_room, protocol::timestamp now) noexcept {
    if (has_room) {
      until_ = protocol::never;
    } else if (until_ == protocol::never) {
      until_ = protocol::after(now, longest_reading_pause);
    }
    return has_room || until_ <= now;
  }

  /// When to ask again; `never` if there is no pause, or it is over.
  protocol::timestamp deadline(protocol::timestamp now) const noexcept {
    return until_ <= now ? protocol::never : until_;
  }

 private:
  protocol::timestamp until_ = protocol::never;  ///< since there is no room: when the pause ends
};

}  // namespace ilm::inline v0::runtime
