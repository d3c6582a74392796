#pragma once

#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/protocol/support.hpp>
#include <ilm/protocol/wire.hpp>
#include <ilm/stored.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ilm::inline v0::protocol {

// The wire format; README.md in this folder has it as tables.

inline constexpr std::uint16_t frame_magic = 0x494c;  // "IL"
/// The version of the frames of the handshake. Their layout is the same in every version of the
/// protocol, for ever: two builds of any age can tell each other which versions they speak.
inline constexpr std::uint8_t handshake_version = 0;
/// Four bits apart from "none", so that a flipped bit does not switch the check off.
inline constexpr std::uint8_t flag_checksum = 0xa5;

/// Magic, version and flags, which frames of all versions begin with.
inline constexpr std::size_t common_header_size = 4;
inline constexpr std::size_t header_size = common_header_size + 8;
/// Frames of a session have a number besides.
inline constexpr std::size_t session_header_size = header_size + 8;
inline constexpr std::size_t checksum_size = 4;
/// Records begin with their type and length, which takes 4 bytes in records that have fields, as
/// it is known at the end.
inline constexpr std::size_t record_head_size = 5;
inline constexpr std::size_t data_record_size = record_head_size + 28;
inline constexpr std::size_t ack_record_size = record_head_size + 138;
inline constexpr std::size_t ack_range_size = 16;
/// Of an item in a data record: the length of the contents, at most, and the salt.
inline constexpr std::size_t maximum_item_head_size = 4 + 8;

/// The size of a frame with a single message, less the contents.
inline constexpr std::size_t frame_overhead =
    session_header_size + data_record_size + maximum_item_head_size + checksum_size;

/// How many bytes of a data record a message takes. The two lowest bits of the first number tell
/// whether it has a salt and attributes, which go before the contents.
constexpr std::size_t item_size(std::size_t contents, std::size_t attributes,
                                bool salted = true) noexcept {
  std::size_t head = varint_size(std::uint64_t{contents} << 2) + (salted ? 8 : 0);
  return contents + head + (attributes == 0 ? 0 : varint_size(attributes) + attributes);
}

/// Whether a message fits a frame alone.
inline bool fits_frame(const payload& p, std::size_t frame_limit) noexcept {
  return session_header_size + data_record_size + checksum_size +
             item_size(p.contents.size(), p.attributes.size()) <=
         frame_limit;
}

/// The number of a record. An unknown one from `skippable` on is skipped; any other unknown one
/// rejects the frame.
enum class record_type : std::uint8_t {
  hello = 1,
  data = 2,
  ack = 3,
  ping = 4,
  bye = 5,
  versions = 6,
  challenge = 7,
  skippable = 0x80,
};

struct frame_header {
  std::uint8_t version = handshake_version;
  /// 0 in a frame of the handshake; otherwise a mix of both nonces of the session.
  std::uint64_t session = 0;
  /// Counts the frames of the session with data, from 1; 0 on others. Hellos have none.
  std::uint64_t number = 0;
};

/// The session that a frame is of.
struct session_key {
  std::uint64_t tag = 0;
  std::uint8_t version = handshake_version;
};
inline constexpr session_key handshake_key;

/// The same on both sides: exclusive or does not care whose nonce is whose.
constexpr std::uint64_t session_tag_of(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t mixed = (a ^ b) * 0x9e3779b97f4a7c15;
  return mixed != 0 ? mixed : 1;
}

/// One side's word on both histories, from its store. An older one of the same history says less,
/// and never something wrong.
struct claim {
  stamp mark;                   ///< the sender's newest stamp
  std::uint64_t delivered = 0;  ///< of the receiver's stream, when it was made
  stream_hash delivered_hash;   ///< of the receiver's stream, there
  stamp confirmed;              ///< the newest stamp of the sender that the receiver had stored
  stamp seen;                   ///< the receiver's newest stamp that the sender has stored
  std::uint64_t received = 0;   ///< of the stream that the sender receives
  stream_hash received_hash;    ///< of that stream, there
  /// The highest `received` that the receiver told of the sender's stream.
  std::uint64_t acknowledged = 0;
};

/// How much more the sender takes.
struct credit {
  std::uint64_t received_bytes = 0;  ///< where its count of bytes stands at `received`
  std::uint64_t sequence = 0;
  std::uint64_t bytes = 0;
};

struct hello_record {
  protocol_support support;  ///< the versions and features that the sender speaks
  std::uint64_t nonce = 0;
  std::uint64_t echo = 0;  ///< the receiver's nonce that it answers
  bool proven = false;     ///< whether the sender has opened this session
  ilm::protocol::claim claim;
  std::uint64_t base = 0;  ///< the count of the stamp at which the sender's history began
  lineage_origin origin = lineage_origin::created;
  stamp stream;             ///< the name of the sender's stream
  std::uint64_t first = 1;  ///< its first message that is not confirmed as delivered
  stream_hash erased_hash;  ///< its hash at `first - 1`
  stamp follows;  ///< the name of the receiver's stream that it receives; none before it met it
  ilm::protocol::credit credit;
  std::uint64_t maximum_message_size = 0;
  std::span<const std::byte> source;
  std::span<const std::byte> destination;
};

/// A message in a data record.
struct data_item {
  data_item(std::span<const std::byte> c, std::span<const std::byte> a = {},
            std::uint64_t salt_ = 0)
      : contents(c), attributes(a), salt(salt_) {}

  std::span<const std::byte> contents;
  std::span<const std::byte> attributes;
  std::uint64_t salt;
};

struct data_record {
  std::uint64_t first = 0;
  stream_hash before;  ///< of the stream, at `first - 1`
  std::vector<data_item> items;
};

struct ack_record {
  ilm::protocol::claim claim;
  ilm::protocol::credit credit;
  std::uint64_t echo = 0;  ///< the highest number of a frame that is acknowledged; 0 for none
  std::vector<sequence_range> ranges;
};

/// A frame, taken apart. Spans point into the bytes it was read from.
struct frame {
  frame_header header;
  std::optional<std::uint64_t> challenge;  ///< a nonce
  std::optional<hello_record> hello;
  std::optional<version_range> versions;  ///< those that the sender speaks
  std::vector<data_record> data;
  std::optional<ack_record> ack;
  bool ping = false;
  bool bye = false;
};

}  // namespace ilm::inline v0::protocol
