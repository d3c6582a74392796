#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace ilm::inline v0 {

/// Why there is no session over TCP. Every message says how to mend it. Errors of the operating
/// system (connection refused, host not found) keep their own category. The values up to
/// name_in_use are also the reasons in a refusal on the wire: see ilm/networks/README.md.
enum class tcp_error {
  refused = 1,
  not_ilm,
  unsupported_version,
  malformed_handshake,
  wrong_destination,
  own_id,
  frame_size_mismatch,
  key_required,
  key_not_expected,
  no_key_for_peer,
  wrong_key,
  too_many_connections,
  already_connected,
  peer_not_accepted,
  name_in_use,
  handshake_timeout,
  handshake_cut,
  frame_too_large,
  peer_silent,
  bad_address,
  accepting_again,
  lookup_timeout,
  no_answer,
  frame_altered,
};

namespace detail {

class tcp_category_impl final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ilm.tcp"; }

  std::string message(int value) const override {
    switch (static_cast<tcp_error>(value)) {
      case tcp_error::refused:
        return "the peer refused for a reason that this version does not know; see what it "
               "reports, and update the older side";
      case tcp_error::not_ilm:
        return "the other side does not speak ILM over TCP; check the address and the port";
      case tcp_error::unsupported_version:
        return "the other side speaks another version of ILM over TCP; update the older side";
      case tcp_error::malformed_handshake:
        return "a handshake does not follow the wire format; check what runs on the other side";
      case tcp_error::wrong_destination:
        return "a connection reached another peer than was meant; check the id and the address "
               "given to add_peer";
      case tcp_error::own_id:
        return "a peer uses this side's own id; give every peer an id of its own";
      case tcp_error::frame_size_mismatch:
        return "the two sides differ in tcp_options::maximum_frame_size; set the same on both";
      case tcp_error::key_required:
        return "one side has a pre-shared key and the other has none; set tcp_options::prove on "
               "the side that lacks it";
      case tcp_error::key_not_expected:
        return "the connecting side has a pre-shared key and the other has none; set "
               "tcp_options::prove on both or on neither";
      case tcp_error::no_key_for_peer:
        return "there is no pre-shared key for the id that the peer claims; add one, or keep it "
               "out";
      case tcp_error::wrong_key:
        return "a proof of the pre-shared key failed, so this is not the peer, or the keys "
               "differ; give both sides the same key";
      case tcp_error::too_many_connections:
        return "a connection was turned away because there are too many; raise "
               "tcp_options::maximum_connections, maximum_unauthenticated or their maximum per "
               "address, or find who opens them";
      case tcp_error::already_connected:
        return "there is a session with the peer already; nothing needs to be done";
      case tcp_error::peer_not_accepted:
        return "the peer may not connect: it is not in the address book of a side with "
               "tcp_options::address_book_only, or tcp_options::accept rejects it; add it, or keep "
               "it out";
      case tcp_error::name_in_use:
        return "two processes run under one peer id and take its session from each other; give "
               "each an id of its own";
      case tcp_error::handshake_timeout:
        return "a handshake took longer than tcp_options::handshake_timeout; check what runs on "
               "the other side, or allow more time";
      case tcp_error::handshake_cut:
        return "the other side closed the connection before the handshake was done; see what it "
               "reports";
      case tcp_error::frame_too_large:
        return "the peer sent a frame beyond tcp_options::maximum_frame_size, so its session was "
               "ended; check what runs on the other side";
      case tcp_error::peer_silent:
        return "nothing was heard from the peer for tcp_options::keepalive_timeout, so its "
               "session was ended; check the network between";
      case tcp_error::bad_address:
        return "an address must be host:port or [IPv6 address]:port; correct its text";
      case tcp_error::accepting_again:
        return "the system accepts connections again; nothing needs to be done";
      case tcp_error::lookup_timeout:
        return "the look-up of a name took longer than tcp_options::handshake_timeout; check the "
               "name server, or allow more time";
      case tcp_error::no_answer:
        return "the peer did not answer within 1 s of a hint that its session may be dead, so the "
               "session was ended and the peer is dialed; nothing needs to be done";
      case tcp_error::frame_altered:
        return "a frame from the peer was changed, dropped, repeated or moved on its way, so its "
               "session was ended and nothing of the frame was taken; find out who is on the path";
    }
    return "unknown error of ILM over TCP " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<tcp_error>(value)) {
      case tcp_error::handshake_timeout:
      case tcp_error::peer_silent:
      case tcp_error::lookup_timeout:
      case tcp_error::no_answer:
        return std::errc::timed_out;
      case tcp_error::key_required:
      case tcp_error::key_not_expected:
      case tcp_error::no_key_for_peer:
      case tcp_error::wrong_key:
      case tcp_error::frame_altered:
      case tcp_error::peer_not_accepted:
        return std::errc::permission_denied;
      case tcp_error::bad_address:
        return std::errc::invalid_argument;
      default:
        return {value, *this};
    }
  }
};

}  // namespace detail

/// The category of ilm::tcp_error.
inline const std::error_category& tcp_category() noexcept {
  static const detail::tcp_category_impl category;
  return category;
}

inline std::error_code make_error_code(tcp_error e) noexcept {
  return {static_cast<int>(e), tcp_category()};
}

namespace detail::tcp {

/// Whether an error is of a category of ours, whose texts say what to do. Others are the dialer's
/// business, or a peer that has gone.
inline bool is_explained(std::error_code e) noexcept {
  return std::string_view(e.category().name()).starts_with("ilm.");
}

/// Whether an error comes from below the handshake and the frames.
inline bool is_of_transport(std::error_code e) noexcept {
  return is_explained(e) && e.category() != tcp_category();
}

}  // namespace detail::tcp

}  // namespace ilm::inline v0

template <>
struct std::is_error_code_enum<ilm::tcp_error> : std::true_type {};
