#pragma once

#include <ilm/error.hpp>
#include <ilm/message.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/crc32c.hpp>
#include <ilm/protocol/wire.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>
#include <vector>

namespace ilm::protocol {

// The wire format; README.md in this folder has it as tables.

inline constexpr std::uint16_t frame_magic = 0x494c;  // "IL"
inline constexpr std::uint8_t protocol_version = 1;
/// Four bits apart from "none", so that a flipped bit does not switch the check off.
inline constexpr std::uint8_t flag_checksum = 0xa5;

inline constexpr std::size_t header_size = 16;
inline constexpr std::size_t checksum_size = 4;
inline constexpr std::size_t data_record_size = 21;
inline constexpr std::size_t data_item_size = 4;
inline constexpr std::size_t ack_record_size = 51;
inline constexpr std::size_t ack_range_size = 16;

/// What a frame needs besides the contents of a single message.
inline constexpr std::size_t frame_overhead =
    header_size + data_record_size + data_item_size + checksum_size;

enum class record_type : std::uint8_t { hello = 1, data = 2, ack = 3, ping = 4, bye = 5 };

struct frame_header {
  std::uint32_t source_tag = 0;
  std::uint32_t destination_tag = 0;
  /// 0 on hellos; otherwise what both nonces of the session mix to.
  std::uint32_t session_tag = 0;
};

/// The short form of an incarnation in every header; 0 for none.
inline std::uint32_t tag_of(const incarnation& i) noexcept {
  return static_cast<std::uint32_t>(i.high) ^ static_cast<std::uint32_t>(i.high >> 32) ^
         static_cast<std::uint32_t>(i.low) ^ static_cast<std::uint32_t>(i.low >> 32);
}

/// The same on both sides: exclusive or does not care whose nonce is whose.
inline std::uint32_t session_tag_of(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t mixed = (a ^ b) * 0x9e3779b97f4a7c15;
  std::uint32_t tag = static_cast<std::uint32_t>(mixed >> 32);
  return tag != 0 ? tag : 1;
}

struct hello_record {
  incarnation local;                  ///< the sender's incarnation
  incarnation peer;                   ///< the receiver's incarnation as the sender stored it
  incarnation former_peer;            ///< the receiver's incarnation before that one, if any
  std::uint64_t former_received = 0;  ///< what the sender had received of that one
  std::uint64_t nonce = 0;
  std::uint64_t echo = 0;  ///< the receiver's nonce as the sender saw it last; 0 for none
  bool proven = false;     ///< whether the sender has proof of the receiver's freshness
  std::uint64_t first = 1;
  std::uint64_t next = 1;
  std::uint64_t first_epoch = 0;   ///< the epoch of message `first - 1`
  std::uint64_t acknowledged = 0;  ///< the highest `received` that the receiver acknowledged
  std::uint64_t received = 0;
  std::uint64_t delivered = 0;
  std::uint64_t received_epoch = 0;
  std::uint64_t delivered_epoch = 0;
  std::uint64_t received_bytes = 0;  ///< where the sender's count of bytes stands at `received`
  std::uint64_t credit_sequence = 0;
  std::uint64_t credit_bytes = 0;
  std::uint64_t maximum_message_size = 0;
  std::span<const std::byte> source;
  std::span<const std::byte> destination;
};

struct data_record {
  std::uint64_t epoch = 0;
  std::uint64_t first = 0;
  std::vector<std::span<const std::byte>> items;
};

struct ack_record {
  std::uint64_t received = 0;
  std::uint64_t delivered = 0;
  std::uint64_t delivered_epoch = 0;
  std::uint64_t received_bytes = 0;  ///< where the sender's count of bytes stands at `received`
  std::uint64_t credit_sequence = 0;
  std::uint64_t credit_bytes = 0;
  std::vector<sequence_range> ranges;
};

/// A frame, taken apart. Spans point into the bytes it was read from.
struct frame {
  frame_header header;
  std::optional<hello_record> hello;
  std::vector<data_record> data;
  std::optional<ack_record> ack;
  bool ping = false;
  bool bye = false;
};

/// Writes one frame: header, then records, then `finish`.
class frame_writer {
 public:
  frame_writer(std::vector<std::byte>& out, const frame_header& header, bool checksum,
               std::size_t limit)
      : out_(out),
        writer_(out),
        checksum_(checksum),
        limit_(limit - (checksum ? checksum_size : 0)) {
    out_.clear();
    writer_.number(frame_magic);
    writer_.number(protocol_version);
    writer_.number(checksum ? flag_checksum : std::uint8_t{0});
    writer_.number(header.source_tag);
    writer_.number(header.destination_tag);
    writer_.number(header.session_tag);
  }

  bool empty() const noexcept { return out_.size() == header_size; }
  std::size_t size() const noexcept { return out_.size(); }
  std::size_t room() const noexcept { return limit_ > out_.size() ? limit_ - out_.size() : 0; }

  void hello(const hello_record& h) {
    type(record_type::hello);
    for (std::uint64_t field :
         {h.local.high, h.local.low, h.peer.high, h.peer.low, h.former_peer.high, h.former_peer.low,
          h.former_received, h.nonce, h.echo}) {
      writer_.number(field);
    }
    writer_.number(static_cast<std::uint8_t>(h.proven ? 1 : 0));
    for (std::uint64_t field : {h.first, h.next, h.first_epoch, h.acknowledged, h.received,
                                h.delivered, h.received_epoch, h.delivered_epoch, h.received_bytes,
                                h.credit_sequence, h.credit_bytes, h.maximum_message_size}) {
      writer_.number(field);
    }
    for (std::span<const std::byte> id : {h.source, h.destination}) {
      writer_.number(static_cast<std::uint8_t>(id.size()));
      writer_.raw(id);
    }
  }

  /// Whether a message of `size` bytes fits, as a further item or in a record of its own.
  bool fits(std::size_t size, bool new_record) const noexcept {
    return room() >= size + data_item_size + (new_record ? data_record_size : 0);
  }
  void begin_data(std::uint64_t epoch, std::uint64_t first) {
    type(record_type::data);
    writer_.number(epoch);
    writer_.number(first);
    count_at_ = out_.size();
    count_ = 0;
    writer_.number(count_);
  }
  void item(std::span<const std::byte> contents) {
    writer_.number(static_cast<std::uint32_t>(contents.size()));
    writer_.raw(contents);
    writer_.patch(count_at_, ++count_);
  }

  /// Writes as many of the ranges as there is room for, the lowest first.
  void ack(const ack_record& a) {
    type(record_type::ack);
    for (std::uint64_t field : {a.received, a.delivered, a.delivered_epoch, a.received_bytes,
                                a.credit_sequence, a.credit_bytes}) {
      writer_.number(field);
    }
    std::size_t count = std::min(a.ranges.size(), maximum_ack_ranges);
    count = std::min(count, (room() - 2) / ack_range_size);
    writer_.number(static_cast<std::uint16_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
      writer_.number(a.ranges[i].first);
      writer_.number(a.ranges[i].last);
    }
  }
  void ping() { type(record_type::ping); }
  void bye() { type(record_type::bye); }

  void finish() {
    if (checksum_) writer_.number(crc32c(out_));
  }

 private:
  void type(record_type t) { writer_.number(static_cast<std::uint8_t>(t)); }

  std::vector<std::byte>& out_;
  wire_writer writer_;
  bool checksum_;
  std::size_t limit_;
  std::size_t count_at_ = 0;
  std::uint32_t count_ = 0;
};

namespace detail {

inline std::error_code read_hello(wire_reader& in, frame& out) {
  if (out.hello) return error::malformed_frame;
  hello_record& h = out.hello.emplace();
  for (std::uint64_t* field :
       {&h.local.high, &h.local.low, &h.peer.high, &h.peer.low, &h.former_peer.high,
        &h.former_peer.low, &h.former_received, &h.nonce, &h.echo}) {
    *field = in.number<std::uint64_t>();
  }
  auto proven = in.number<std::uint8_t>();
  h.proven = proven == 1;
  for (std::uint64_t* field :
       {&h.first, &h.next, &h.first_epoch, &h.acknowledged, &h.received, &h.delivered,
        &h.received_epoch, &h.delivered_epoch, &h.received_bytes, &h.credit_sequence,
        &h.credit_bytes, &h.maximum_message_size}) {
    *field = in.number<std::uint64_t>();
  }
  h.source = in.raw(in.number<std::uint8_t>());
  h.destination = in.raw(in.number<std::uint8_t>());
  if (!in.ok() || proven > 1 || !h.local || h.nonce == 0 || h.source.empty() ||
      h.destination.empty()) {
    return error::malformed_frame;
  }
  if (h.first == 0 || h.next < h.first || h.next > maximum_sequence || h.acknowledged >= h.next ||
      h.delivered > h.received || h.received > maximum_sequence) {
    return error::cursor_out_of_range;
  }
  return {};
}

inline std::error_code read_data(wire_reader& in, frame& out) {
  data_record& d = out.data.emplace_back();
  d.epoch = in.number<std::uint64_t>();
  d.first = in.number<std::uint64_t>();
  auto count = in.number<std::uint32_t>();
  // A count is believed only as far as the frame has bytes for it.
  if (!in.ok() || count == 0 || count > in.left() / data_item_size) return error::malformed_frame;
  d.items.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    d.items.push_back(in.raw(in.number<std::uint32_t>()));
    if (!in.ok()) return error::malformed_frame;
  }
  if (d.first == 0 || d.first > maximum_sequence) return error::cursor_out_of_range;
  return {};
}

inline std::error_code read_ack(wire_reader& in, frame& out) {
  if (out.ack) return error::malformed_frame;
  ack_record& a = out.ack.emplace();
  for (std::uint64_t* field : {&a.received, &a.delivered, &a.delivered_epoch, &a.received_bytes,
                               &a.credit_sequence, &a.credit_bytes}) {
    *field = in.number<std::uint64_t>();
  }
  auto count = in.number<std::uint16_t>();
  if (!in.ok() || count > maximum_ack_ranges) return error::malformed_frame;
  std::uint64_t below = a.received;
  for (std::uint16_t i = 0; i < count; ++i) {
    sequence_range r;
    r.first = in.number<std::uint64_t>();
    r.last = in.number<std::uint64_t>();
    if (!in.ok()) return error::malformed_frame;
    if (r.empty() || r.first <= below) return error::cursor_out_of_range;
    below = r.last;
    a.ranges.push_back(r);
  }
  if (a.delivered > a.received || below > maximum_sequence) return error::cursor_out_of_range;
  return {};
}

}  // namespace detail

/// Takes a frame apart. On an error `out` holds rubbish and nothing of the frame may be used.
inline std::error_code read_frame(std::span<const std::byte> in, frame& out) {
  out = frame{};
  wire_reader reader(in);
  auto magic = reader.number<std::uint16_t>();
  auto version = reader.number<std::uint8_t>();
  auto flags = reader.number<std::uint8_t>();
  out.header.source_tag = reader.number<std::uint32_t>();
  out.header.destination_tag = reader.number<std::uint32_t>();
  out.header.session_tag = reader.number<std::uint32_t>();
  if (!reader.ok() || magic != frame_magic) return error::malformed_frame;
  if (version != protocol_version) return error::unsupported_version;
  if (flags != 0 && flags != flag_checksum) return error::malformed_frame;
  if (flags == flag_checksum) {
    if (reader.left() < checksum_size) return error::malformed_frame;
    std::size_t body = in.size() - checksum_size;
    if (wire_reader(in.subspan(body)).number<std::uint32_t>() != crc32c(in.first(body))) {
      return error::checksum_mismatch;
    }
    reader = wire_reader(in.first(body).subspan(header_size));
  }
  while (reader.left() > 0) {
    std::error_code failed;
    switch (static_cast<record_type>(reader.number<std::uint8_t>())) {
      case record_type::hello:
        failed = detail::read_hello(reader, out);
        break;
      case record_type::data:
        failed = detail::read_data(reader, out);
        break;
      case record_type::ack:
        failed = detail::read_ack(reader, out);
        break;
      case record_type::ping:
        out.ping = true;
        break;
      case record_type::bye:
        out.bye = true;
        break;
      default:
        failed = error::malformed_frame;
    }
    if (failed) return failed;
  }
  return {};
}

}  // namespace ilm::protocol
