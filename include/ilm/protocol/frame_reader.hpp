#pragma once

#include <ilm/attributes.hpp>
#include <ilm/error.hpp>
#include <ilm/message.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/crc32c.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/wire.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>

namespace ilm::inline v0::protocol {

namespace detail {

inline bool may_be_skipped(std::uint8_t type) noexcept {
  return type >= static_cast<std::uint8_t>(record_type::skippable);
}

/// What follows the fields of a record: values with a type and a length. This version knows none.
inline std::error_code skip_extensions(wire_reader& in) noexcept {
  while (in.left() > 0) {
    auto type = in.number<std::uint8_t>();
    in.raw(in.varint());
    if (!in.ok()) return error::malformed_frame;
    if (!may_be_skipped(type)) return error::unknown_record;
  }
  return {};
}

inline stamp read_stamp(wire_reader& in) noexcept {
  stamp s;
  s.count = in.number<std::uint64_t>();
  s.random = in.number<std::uint64_t>();
  return s;
}
inline stream_hash read_hash(wire_reader& in) noexcept {
  stream_hash h;
  h.high = in.number<std::uint64_t>();
  h.low = in.number<std::uint64_t>();
  return h;
}
inline credit read_credit(wire_reader& in) noexcept {
  credit c;
  c.received_bytes = in.number<std::uint64_t>();
  c.sequence = in.number<std::uint64_t>();
  c.bytes = in.number<std::uint64_t>();
  return c;
}
inline claim read_claim(wire_reader& in) noexcept {
  claim c;
  c.mark = read_stamp(in);
  c.delivered = in.number<std::uint64_t>();
  c.delivered_hash = read_hash(in);
  c.confirmed = read_stamp(in);
  c.seen = read_stamp(in);
  c.received = in.number<std::uint64_t>();
  c.received_hash = read_hash(in);
  c.acknowledged = in.number<std::uint64_t>();
  return c;
}
/// The claim and the credit of one side fit each other and the bounds.
inline std::error_code check(const claim& c, const credit& granted) noexcept {
  if (!c.mark || c.confirmed.count > c.mark.count) return error::malformed_frame;
  if (c.delivered > c.received || c.received > maximum_sequence ||
      c.acknowledged > maximum_sequence || c.mark.count > maximum_count ||
      c.seen.count > maximum_count) {
    return error::cursor_out_of_range;
  }
  bool in_range =
      credit_in_range(granted.sequence, c.received, granted.bytes, granted.received_bytes);
  return in_range ? std::error_code() : error::credit_out_of_range;
}

inline std::error_code read_hello(wire_reader& in, frame& out) {
  if (out.hello) return error::malformed_frame;
  hello_record& h = out.hello.emplace();
  h.support.lowest_version = in.number<std::uint8_t>();
  h.support.highest_version = in.number<std::uint8_t>();
  h.support.understood = in.number<std::uint64_t>();
  h.support.required = in.number<std::uint64_t>();
  h.nonce = in.number<std::uint64_t>();
  h.echo = in.number<std::uint64_t>();
  auto proven = in.number<std::uint8_t>();
  h.proven = proven == 1;
  h.claim = read_claim(in);
  h.base = in.number<std::uint64_t>();
  auto origin = in.number<std::uint8_t>();
  h.origin = static_cast<lineage_origin>(origin);
  h.stream = read_stamp(in);
  h.first = in.number<std::uint64_t>();
  h.erased_hash = read_hash(in);
  h.follows = read_stamp(in);
  h.credit = read_credit(in);
  h.maximum_message_size = in.number<std::uint64_t>();
  h.source = in.raw(in.number<std::uint8_t>());
  h.destination = in.raw(in.number<std::uint8_t>());
  if (!in.ok() || !h.support.valid() || proven > 1 || h.nonce == 0 || h.echo == 0 || h.base == 0 ||
      h.base > h.claim.mark.count || h.origin > lineage_origin::rolled_back || !h.stream ||
      h.stream.count > h.claim.mark.count || h.source.empty() || h.destination.empty()) {
    return error::malformed_frame;
  }
  if (h.first == 0 || h.first > maximum_sequence) {
    return error::cursor_out_of_range;
  }
  return check(h.claim, h.credit);
}

inline std::error_code read_challenge(wire_reader& in, frame& out) noexcept {
  if (out.challenge) return error::malformed_frame;
  auto nonce = in.number<std::uint64_t>();
  if (!in.ok() || nonce == 0) return error::malformed_frame;
  out.challenge = nonce;
  return {};
}

inline std::error_code read_data(wire_reader& in, frame& out) {
  data_record& d = out.data.emplace_back();
  d.first = in.number<std::uint64_t>();
  d.before = read_hash(in);
  auto count = in.number<std::uint32_t>();
  // A count is believed only as far as the frame has bytes for it.
  if (!in.ok() || count == 0 || count > in.left()) return error::malformed_frame;
  d.items.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint64_t head = in.varint();
    std::uint64_t salt = 0;
    if ((head & 2) != 0) {
      salt = in.number<std::uint64_t>();
      if (salt == 0) return error::malformed_frame;
    }
    std::span<const std::byte> attributes;
    if ((head & 1) != 0) {
      attributes = in.raw(in.varint());
      if (attributes.empty()) return error::malformed_frame;
      if (std::error_code e = ilm::attributes::check(attributes)) return e;
    }
    d.items.emplace_back(in.raw(head >> 2), attributes, salt);
    if (!in.ok()) return error::malformed_frame;
  }
  if (d.first == 0 || d.first > maximum_sequence || count - 1 > maximum_sequence - d.first) {
    return error::cursor_out_of_range;
  }
  return {};
}

inline std::error_code read_ack(wire_reader& in, frame& out) {
  if (out.ack) return error::malformed_frame;
  ack_record& a = out.ack.emplace();
  a.claim = read_claim(in);
  a.credit = read_credit(in);
  a.echo = in.number<std::uint64_t>();
  auto count = in.number<std::uint16_t>();
  if (!in.ok() || count > maximum_ack_ranges) return error::malformed_frame;
  std::uint64_t below = a.claim.received;
  for (std::uint16_t i = 0; i < count; ++i) {
    sequence_range r;
    r.first = in.number<std::uint64_t>();
    r.last = in.number<std::uint64_t>();
    if (!in.ok()) return error::malformed_frame;
    if (r.empty() || r.first <= below) return error::cursor_out_of_range;
    below = r.last;
    a.ranges.push_back(r);
  }
  if (below > maximum_sequence) return error::cursor_out_of_range;
  return check(a.claim, a.credit);
}

inline std::error_code read_versions(wire_reader& in, frame& out) noexcept {
  if (out.versions) return error::malformed_frame;
  version_range& v = out.versions.emplace();
  v.lowest = in.number<std::uint8_t>();
  v.highest = in.number<std::uint8_t>();
  if (!in.ok() || v.lowest == 0 || v.highest < v.lowest) return error::malformed_frame;
  return {};
}

/// A record of the handshake stands in a frame of the handshake, any other in one of a session.
inline std::error_code read_record(std::uint8_t type, wire_reader& in, bool in_handshake,
                                   frame& out) {
  std::error_code failed;
  bool of_handshake = false;
  switch (static_cast<record_type>(type)) {
    case record_type::hello:
      failed = read_hello(in, out);
      of_handshake = true;
      break;
    case record_type::challenge:
      failed = read_challenge(in, out);
      of_handshake = true;
      break;
    case record_type::versions:
      failed = read_versions(in, out);
      of_handshake = true;
      break;
    case record_type::data:
      failed = read_data(in, out);
      break;
    case record_type::ack:
      failed = read_ack(in, out);
      break;
    case record_type::ping:
      if (std::exchange(out.ping, true)) return error::malformed_frame;
      break;
    case record_type::bye:
      if (std::exchange(out.bye, true)) return error::malformed_frame;
      break;
    default:
      return may_be_skipped(type) ? std::error_code() : error::unknown_record;
  }
  if (failed) return failed;
  if (of_handshake != in_handshake) return error::malformed_frame;
  return skip_extensions(in);
}

}  // namespace detail

/// Takes a frame apart, of the handshake or of a version that `here` speaks. On an error `out`
/// holds rubbish and nothing of the frame may be used.
inline std::error_code read_frame(std::span<const std::byte> in, const protocol_support& here,
                                  frame& out) {
  out = frame{};
  wire_reader reader(in);
  auto magic = reader.number<std::uint16_t>();
  out.header.version = reader.number<std::uint8_t>();
  auto flags = reader.number<std::uint8_t>();
  if (!reader.ok() || magic != frame_magic) return error::malformed_frame;
  if (flags != 0 && flags != flag_checksum) return error::malformed_frame;
  if (flags == flag_checksum) {
    if (reader.left() < checksum_size) return error::malformed_frame;
    std::size_t body = in.size() - checksum_size;
    if (wire_reader(in.subspan(body)).number<std::uint32_t>() != crc32c(in.first(body))) {
      return error::checksum_mismatch;
    }
    reader = wire_reader(in.first(body));
    reader.raw(common_header_size);
  }
  bool in_handshake = out.header.version == handshake_version;
  if (!in_handshake && !here.speaks(out.header.version)) return error::unsupported_version;
  out.header.session = reader.number<std::uint64_t>();
  if (!in_handshake) out.header.number = reader.number<std::uint64_t>();
  if (!reader.ok() || (in_handshake && out.header.session != 0)) return error::malformed_frame;
  while (reader.left() > 0) {
    auto type = reader.number<std::uint8_t>();
    wire_reader body(reader.raw(reader.varint()));
    if (!reader.ok()) return error::malformed_frame;
    if (std::error_code failed = detail::read_record(type, body, in_handshake, out)) return failed;
  }
  return {};
}

}  // namespace ilm::inline v0::protocol
