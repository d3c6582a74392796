#pragma once

#include <cstdint>
#include <string_view>

namespace ilm::inline v0::testing {

/// The contract of the concept ilm::network, clause by clause, in the order in which the kit tries
/// them.
enum class network_clause : std::uint8_t {
  local_id,
  maximum_frame_size,
  up,
  frame_arrives,
  from,
  destination,
  whole_frames,
  frame_sizes,
  own_buffer,
  up_before_frames,
  up_and_down_alternate,
  nothing_of_oneself,
  no_strangers,
  no_loss,
  order,
  no_repetition,
  many_frames,
  several_peers,
  absent_peer,
  slow_peer,
  receive_waits,
  executor,
  receive_cancelled,
  send_cancelled,
  down,
  no_frames_after_down,
  successor,
  no_old_frames,
  moved_handle,
  next_session,
  ended_network,
};

inline std::string_view text_of(network_clause c) noexcept {
  switch (c) {
    case network_clause::local_id:
      return "local_id: the name of this peer, constant, and another for each peer";
    case network_clause::maximum_frame_size:
      return "maximum_frame_size: at least ilm::minimum_frame_size, constant, and the same on both "
             "sides";
    case network_clause::up:
      return "receive: gives `up` with the other's local_id, on both sides, when a session begins";
    case network_clause::frame_arrives:
      return "send, receive: a frame to a peer with which there is a session arrives there, sooner "
             "or later one of many on a network that is not reliable";
    case network_clause::from:
      return "receive: gives a frame with the local_id of the peer that sent it";
    case network_clause::destination:
      return "send: gives a frame to the peer that it is for, and to nobody else";
    case network_clause::whole_frames:
      return "receive: gives a frame as it was sent, whole and bit by bit, or not at all";
    case network_clause::frame_sizes:
      return "send, receive: take frames of all sizes from 1 to maximum_frame_size";
    case network_clause::own_buffer:
      return "send: has the frame for itself: frames that are sent at the same time do not mix";
    case network_clause::up_before_frames:
      return "receive: gives `up` before the first frame of a session";
    case network_clause::up_and_down_alternate:
      return "receive: gives `up` once when a session begins, and `down` once when it ends";
    case network_clause::nothing_of_oneself:
      return "receive: gives neither sessions with nor frames from this peer itself";
    case network_clause::no_strangers:
      return "receive: gives frames that a peer sent, and no others";
    case network_clause::no_loss:
      return "reliable: no frame is lost within a session";
    case network_clause::order:
      return "reliable: no frame is overtaken within a session";
    case network_clause::no_repetition:
      return "reliable: no frame is repeated within a session";
    case network_clause::many_frames:
      return "send, receive: take thousands of frames, whether or not somebody receives them yet";
    case network_clause::several_peers:
      return "send: runs to several peers at once";
    case network_clause::absent_peer:
      return "send: drops a frame to a peer that is not there or not known; it may throw, but it "
             "completes, and disturbs nobody";
    case network_clause::slow_peer:
      return "send: a peer that does not receive delays itself alone";
    case network_clause::receive_waits:
      return "receive: waits for the next event, and does nothing meanwhile";
    case network_clause::executor:
      return "send, receive: resume their caller on the executor on which they were called";
    case network_clause::receive_cancelled:
      return "receive: ends with an error on terminal cancellation";
    case network_clause::send_cancelled:
      return "send: ends on terminal cancellation";
    case network_clause::down:
      return "receive: gives `down` when a session ends, as when the peer's network is destroyed";
    case network_clause::no_frames_after_down:
      return "receive: gives no frame of a session after its `down`";
    case network_clause::successor:
      return "destroying it leaves the network: a successor of the same name can take its place, "
             "and has sessions of its own";
    case network_clause::no_old_frames:
      return "reliable: frames of a session that has ended come neither in the next one nor to the "
             "successor of a network that was destroyed";
    case network_clause::moved_handle:
      return "a network that was moved goes on, and destroying what it was moved from has no "
             "effect";
    case network_clause::next_session:
      return "receive: gives `down` when a session is cut and `up` when the next one begins, and "
             "frames arrive again";
    case network_clause::ended_network:
      return "receive: throws when the network has ended for good, each time";
  }
  return "an unknown clause";
}

}  // namespace ilm::inline v0::testing
