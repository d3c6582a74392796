#include "simulation/wire_writer.hpp"

#include <string>
#include <utility>

namespace simulation::wire {
namespace {

class writer {
 public:
  writer& put(std::uint64_t value, std::size_t digits) {
    while (digits-- > 0) out_.push_back(static_cast<std::byte>(value >> (8 * digits)));
    return *this;
  }
  writer& put(const name& n) { return put(n.high, 8).put(n.low, 8); }
  /// In 1 or 2 bytes: nothing here is longer.
  writer& put_varint(std::uint64_t value) {
    return value < 64 ? put(value, 1) : put(value + 0x4000, 2);
  }
  writer& put_text(const std::string& text) {
    put(text.size(), 1);
    return put(std::as_bytes(std::span(text)));
  }
  writer& put(std::span<const std::byte> raw) {
    out_.insert(out_.end(), raw.begin(), raw.end());
    return *this;
  }
  writer& put(const claim& c) {
    put(c.mark).put(c.delivered, 8).put(c.delivered_hash).put(c.confirmed).put(c.seen);
    return put(c.received, 8).put(c.received_hash).put(c.acknowledged, 8);
  }
  writer& put_credit(const claim& c) {
    return put(c.received_bytes, 8).put(c.credit_sequence, 8).put(c.credit_bytes, 8);
  }
  bytes out() && { return std::move(out_); }

 private:
  bytes out_;
};

/// A frame of one record.
bytes seal(const header& in, std::uint64_t type, writer&& record) {
  bytes content = std::move(record).out();
  writer w;
  w.put(0x494c, 2).put(in.version, 1).put(0xa5, 1).put(in.session, 8);
  if (in.version != 0) w.put(in.number, 8);
  w.put(type, 1).put_varint(content.size()).put(content);
  bytes frame = std::move(w).out();
  writer sum;
  sum.put(checksum(frame), 4);
  bytes digits = std::move(sum).out();
  frame.insert(frame.end(), digits.begin(), digits.end());
  return frame;
}

constexpr header of_handshake{0, 0, 0};

}  // namespace

bytes write_challenge(std::uint64_t nonce) {
  writer w;
  w.put(nonce, 8);
  return seal(of_handshake, 7, std::move(w));
}

bytes write_hello(const hello& h) {
  writer w;
  w.put(h.lowest_version, 1).put(h.highest_version, 1).put(h.understood, 8).put(h.required, 8);
  w.put(h.nonce, 8).put(h.echo, 8).put(h.proven, 1).put(h.claim);
  w.put(h.base, 8).put(h.origin, 1).put(h.stream).put(h.first, 8).put(h.erased_hash);
  w.put(h.follows).put_credit(h.claim).put(h.maximum_message, 8);
  w.put_text(h.source).put_text(h.destination);
  return seal(of_handshake, 1, std::move(w));
}

bytes write_versions(std::uint64_t lowest, std::uint64_t highest) {
  writer w;
  w.put(lowest, 1).put(highest, 1);
  return seal(of_handshake, 6, std::move(w));
}

bytes write_ack(const header& in, const ack& a) {
  writer w;
  w.put(a.claim).put_credit(a.claim).put(a.echo, 8).put(0, 2);
  return seal(in, 3, std::move(w));
}

bytes write_data(const header& in, std::uint64_t sequence, const name& before, std::uint64_t salt,
                 std::span<const std::byte> contents) {
  writer w;
  w.put(sequence, 8).put(before).put(1, 4);
  w.put_varint(4 * contents.size() + (salt != 0 ? 2 : 0));
  if (salt != 0) w.put(salt, 8);
  w.put(contents);
  return seal(in, 2, std::move(w));
}

bytes write(const header& in, plain record) {
  return seal(in, static_cast<std::uint64_t>(record), writer());
}

}  // namespace simulation::wire
