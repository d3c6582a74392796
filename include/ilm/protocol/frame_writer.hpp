#pragma once

#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/crc32c.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/wire.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ilm::inline v0::protocol {

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
    writer_.number(header.version);
    writer_.number(checksum ? flag_checksum : std::uint8_t{0});
    writer_.number(header.session);
    if (header.version != handshake_version) writer_.number(header.number);
    records_at_ = out_.size();
  }

  bool empty() const noexcept { return out_.size() == records_at_; }
  std::size_t size() const noexcept { return out_.size(); }
  std::size_t room() const noexcept { return limit_ > out_.size() ? limit_ - out_.size() : 0; }

  void hello(const hello_record& h) {
    std::size_t record = begin(record_type::hello);
    writer_.number(h.support.lowest_version);
    writer_.number(h.support.highest_version);
    writer_.number(h.support.understood);
    writer_.number(h.support.required);
    writer_.number(h.nonce);
    writer_.number(h.echo);
    writer_.number(static_cast<std::uint8_t>(h.proven ? 1 : 0));
    write(h.claim);
    writer_.number(h.base);
    writer_.number(static_cast<std::uint8_t>(h.origin));
    write(h.stream);
    writer_.number(h.first);
    write(h.erased_hash);
    write(h.follows);
    write(h.credit);
    writer_.number(h.maximum_message_size);
    for (std::span<const std::byte> id : {h.source, h.destination}) {
      writer_.number(static_cast<std::uint8_t>(id.size()));
      writer_.raw(id);
    }
    end(record);
  }
  void challenge(std::uint64_t nonce) {
    std::size_t record = begin(record_type::challenge);
    writer_.number(nonce);
    end(record);
  }
  void versions(const version_range& spoken) {
    std::size_t record = begin(record_type::versions);
    writer_.number(spoken.lowest);
    writer_.number(spoken.highest);
    end(record);
  }

  /// Whether an item of `size` bytes fits, as a further one or in a record of its own.
  bool fits(std::size_t size, bool new_record) const noexcept {
    return room() >= size + (new_record ? data_record_size : 0);
  }
  void begin_data(std::uint64_t first, const stream_hash& before) {
    data_at_ = begin(record_type::data);
    writer_.number(first);
    write(before);
    count_at_ = out_.size();
    count_ = 0;
    writer_.number(count_);
    end(data_at_);
  }
  void item(const data_item& i) {
    writer_.varint(std::uint64_t{i.contents.size()} << 2 | (i.salt != 0 ? 2U : 0U) |
                   (i.attributes.empty() ? 0U : 1U));
    if (i.salt != 0) writer_.number(i.salt);
    if (!i.attributes.empty()) {
      writer_.varint(i.attributes.size());
      writer_.raw(i.attributes);
    }
    writer_.raw(i.contents);
    writer_.patch(count_at_, ++count_);
    end(data_at_);
  }

  /// Writes as many of the ranges as there is room for, the lowest first.
  void ack(const ack_record& a) {
    std::size_t record = begin(record_type::ack);
    write(a.claim);
    write(a.credit);
    writer_.number(a.echo);
    std::size_t count = std::min(a.ranges.size(), maximum_ack_ranges);
    assert(room() >= 2);
    count = std::min(count, (room() - 2) / ack_range_size);
    writer_.number(static_cast<std::uint16_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
      writer_.number(a.ranges[i].first);
      writer_.number(a.ranges[i].last);
    }
    end(record);
  }
  void ping() { empty_record(record_type::ping); }
  void bye() { empty_record(record_type::bye); }

  void finish() {
    if (checksum_) writer_.number(crc32c(out_));
  }

 private:
  void write(const stamp& s) {
    writer_.number(s.count);
    writer_.number(s.random);
  }
  void write(const stream_hash& h) {
    writer_.number(h.high);
    writer_.number(h.low);
  }
  void write(const claim& c) {
    write(c.mark);
    writer_.number(c.delivered);
    write(c.delivered_hash);
    write(c.confirmed);
    write(c.seen);
    writer_.number(c.received);
    write(c.received_hash);
    writer_.number(c.acknowledged);
  }
  void write(const credit& c) {
    writer_.number(c.received_bytes);
    writer_.number(c.sequence);
    writer_.number(c.bytes);
  }

  void empty_record(record_type t) {
    writer_.number(static_cast<std::uint8_t>(t));
    writer_.varint(0);
  }
  /// Where the fields of the record begin.
  std::size_t begin(record_type t) {
    writer_.number(static_cast<std::uint8_t>(t));
    writer_.number(std::uint32_t{0});
    return out_.size();
  }
  /// Writes the length of a record whose fields begin there.
  void end(std::size_t record) noexcept {
    std::size_t length = out_.size() - record;
    assert(length < std::size_t{1} << 30);
    writer_.patch(record - 4, static_cast<std::uint32_t>(length | 2U << 30));
  }

  std::vector<std::byte>& out_;
  wire_writer writer_;
  bool checksum_;
  std::size_t limit_;
  std::size_t records_at_ = 0;
  std::size_t data_at_ = 0;
  std::size_t count_at_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace ilm::inline v0::protocol
