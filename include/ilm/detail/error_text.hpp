#pragma once

#include <ilm/error.hpp>

#include <string>
#include <system_error>

namespace ilm::inline v0::detail {

ILM_INLINE std::string error_category_impl::message(int value) const {
  switch (static_cast<error>(value)) {
    case error::shut_down:
      return "the messenger is shut down; make a new one on the same store to send again";
    case error::would_block:
      return "too much waits for the store; try again later, or use send_to, which waits";
    case error::outbox_full:
      return "the outbox of this peer is at options::outbox_limit; wait until the peer has taken "
             "messages, or raise the limit";
    case error::message_too_large:
      return "the contents exceed the limit; raise options::maximum_message_size and the "
             "network's maximum_frame_size, or split the contents";
    case error::send_to_self:
      return "a messenger does not send to its own peer id; hand the message over directly";
    case error::invalid_options:
      return "the options contradict one another; change one of them";
    case error::invalid_peer_id:
      return "a peer id must encode to 1 to 255 bytes; check its codec";
    case error::unknown_sequence:
      return "no message with this sequence was sent to this peer; pass a number that send_to "
             "returned";
    case error::store_in_use:
      return "another messenger uses this store; end it first, or give each its own store";
    case error::store_closed:
      return "the store is closed; open it before using it";
    case error::store_corrupt:
      return "the store is damaged; save what is whole (examples/repair), and start with a new "
             "one";
    case error::network_ended:
      return "the network has ended; make a new messenger with a working network";
    case error::inbox_closed:
      return "the inbox is closed; nothing more will arrive in it";
    case error::undecodable_contents:
      return "the contents are not of the expected type; check that both sides use one codec";
    case error::malformed_frame:
      return "a frame does not follow the wire format; check what the network hands over";
    case error::frame_too_large:
      return "a frame exceeds the network's maximum_frame_size; both sides must agree on it";
    case error::unsupported_version:
      return "a frame is of a version of the protocol that this side does not speak; upgrade the "
             "older side";
    case error::checksum_mismatch:
      return "a frame was corrupted on its way; it is dropped and will be sent again";
    case error::wrong_destination:
      return "a frame names another destination; check how the network addresses peers";
    case error::mismatched_source:
      return "a frame names another source than the network does; check how it identifies peers";
    case error::acknowledged_unsent:
      return "the peer acknowledged what was never sent; its frame is dropped";
    case error::cursor_out_of_range:
      return "the peer's cursors contradict one another; its frame is dropped";
    case error::credit_out_of_range:
      return "the peer's credit is beyond any bound; its frame is dropped";
    case error::credit_exceeded:
      return "the peer sent more than its credit allows; the excess is dropped";
    case error::stream_diverged:
      return "a message does not follow those received so far; the two sides compare their "
             "histories, and an event says which one went back";
    case error::unknown_record:
      return "a frame has a record that this version does not know and may not skip; upgrade "
             "this side";
    case error::unknown_attribute:
      return "a message has an attribute that this version does not know and may not skip; "
             "upgrade this side";
    case error::invalid_attributes:
      return "a message takes up to 32 attributes of 4,096 bytes in all, and the key of a header "
             "has 1 to 64 bytes and occurs once; shorten them, or put them into the contents";
    case error::peer_version_too_new:
      return "the peer speaks only later versions of the protocol; upgrade this side";
    case error::peer_version_too_old:
      return "the peer speaks only earlier versions of the protocol; upgrade the peer";
    case error::feature_missing_here:
      return "the peer requires a feature that this side does not understand; upgrade this side";
    case error::feature_missing_at_peer:
      return "this side requires a feature that the peer does not understand; upgrade the peer";
    case error::exception_without_code:
      return "a handler, store, network or codec threw an exception that has no error code; read "
             "its text in the event, and mend the part that threw it";
    case error::delivery_ended:
      return "the delivery of the message is over, or the message was given again; use the "
             "context while the handler runs, and messenger().send_to afterwards";
    case error::shutdown_in_delivery:
      return "a shutdown that a handler waits for would wait for the handler; return first, and "
             "shut down from a coroutine that runs on the context, not on the handler's executor";
    case error::message_returned:
      return "the message is not with this reader: it was consumed, or given back and will come "
             "again; receive it";
    case error::store_of_another:
      return "the store was made under another peer id; open it under that id, or give this "
             "messenger a store of its own";
    case error::peer_forgotten:
      return "the peer was forgotten, or is just being forgotten; what waited for it is dropped. "
             "Send again for a new beginning";
    case error::batch_too_large:
      return "the batch exceeds options::uncommitted_messages or uncommitted_bytes; raise them, "
             "or send it in parts";
    case error::no_transaction:
      return "the store lends no transaction of this type; name the type that its backend lends "
             "(sqlite_transaction, say), or take a backend that lends one";
    case error::effect_failed:
      return "an effect of a message failed, and its transaction was rolled back; read the event "
             "delivery_failed, and mend the effect";
    case error::delivery_postponed:
      return "the application asked for the message again, later; nothing is to be done unless "
             "that "
             "goes on";
  }
  return "unknown ILM error " + std::to_string(value);
}

ILM_INLINE std::error_condition error_category_impl::default_error_condition(
    int value) const noexcept {
  switch (static_cast<error>(value)) {
    case error::would_block:
      return std::errc::resource_unavailable_try_again;
    case error::outbox_full:
      return std::errc::no_buffer_space;
    case error::message_too_large:
    case error::batch_too_large:
      return std::errc::message_size;
    case error::invalid_options:
    case error::invalid_peer_id:
    case error::invalid_attributes:
    case error::send_to_self:
      return std::errc::invalid_argument;
    case error::store_in_use:
      return std::errc::device_or_resource_busy;
    default:
      return {value, *this};
  }
}

}  // namespace ilm::inline v0::detail
