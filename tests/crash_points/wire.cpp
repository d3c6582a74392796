#include "wire.hpp"

#include <stdexcept>

namespace crash_points {

namespace {

constexpr std::size_t handshake_header_bytes = 12;
constexpr std::size_t session_header_bytes = 20;
constexpr std::uint8_t checksum_flag = 0xa5;
enum record : std::uint8_t {
  hello = 1,
  data = 2,
  ack = 3,
  ping = 4,
  bye = 5,
  versions = 6,
  challenge = 7,
};
constexpr std::size_t stamp_bytes = 16;
constexpr std::size_t hash_bytes = 16;
/// Sequence, bytes received, bytes granted.
constexpr std::size_t credit_bytes = 3 * 8;

/// Big-endian numbers, one after another.
class cursor {
 public:
  explicit cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > bytes_.size()) throw std::runtime_error("a frame ends too early");
    auto taken = bytes_.first(static_cast<std::size_t>(size));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (std::byte b : take(size)) value = value << 8 | std::to_integer<std::uint64_t>(b);
    return value;
  }
  /// 1, 2, 4 or 8 bytes, as the two highest bits tell.
  std::uint64_t varint() {
    std::uint64_t first = number(1);
    std::uint64_t value = first % 64;
    for (unsigned left = (1U << (first / 64)) - 1; left > 0; --left) {
      value = value * 256 + number(1);
    }
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
};

void read_claim(cursor& in, frame& f) {
  frame::cursors claim;
  in.take(stamp_bytes);  // mark
  claim.delivered = in.number(8);
  in.take(hash_bytes);
  in.take(2 * stamp_bytes);  // confirmed, seen
  claim.received = in.number(8);
  in.take(hash_bytes + 8);  // acknowledged
  f.claim = claim;
}

void read_hello(cursor& in, frame& f) {
  f.hello = true;
  in.take(1 + 1 + 8 + 8);  // versions, features
  in.take(8 + 8 + 1);      // nonce, echo, proven
  read_claim(in, f);
  in.take(8 + 1);                         // base, origin
  in.take(stamp_bytes + 8 + hash_bytes);  // stream, first
  in.take(stamp_bytes);                   // the stream that it follows
  in.take(credit_bytes + 8);              // maximum message
  in.take(in.number(1));
  in.take(in.number(1));
}

void read_data(cursor& in, frame& f) {
  std::uint64_t sequence = in.number(8);
  in.take(hash_bytes);
  std::uint64_t count = in.number(4);
  for (; count > 0; --count) {
    std::uint64_t head = in.varint();
    if (head / 2 % 2 == 1) in.take(8);        // salt
    if (head % 2 == 1) in.take(in.varint());  // attributes
    auto contents = in.take(head / 4);
    f.messages.emplace_back(
        sequence++, std::string(reinterpret_cast<const char*>(contents.data()), contents.size()));
  }
}

void read_ack(cursor& in, frame& f) {
  read_claim(in, f);
  in.take(credit_bytes + 8);  // echo
  in.take(16 * in.number(2));
}

}  // namespace

frame frame::read(std::span<const std::byte> bytes) {
  cursor head(bytes);
  bool magic = head.number(2) == 0x494c;
  std::uint64_t version = head.number(1);
  if (!magic || version > 1) throw std::runtime_error("a frame has a wrong header");
  bool checksum = head.number(1) == checksum_flag;
  std::size_t size = bytes.size() - (checksum ? 4 : 0);
  cursor records(bytes.first(size));
  records.take(version == 0 ? handshake_header_bytes : session_header_bytes);
  frame f;
  while (!records.at_end()) {
    std::uint64_t type = records.number(1);
    cursor in(records.take(records.varint()));
    switch (type) {
      case record::hello:
        read_hello(in, f);
        break;
      case record::data:
        read_data(in, f);
        break;
      case record::ack:
        read_ack(in, f);
        break;
      case record::ping:
        f.ping = true;
        break;
      case record::bye:
        f.bye = true;
        break;
      case record::versions:
        in.take(2);
        break;
      case record::challenge:
        in.take(8);
        break;
      default:
        throw std::runtime_error("a frame has an unknown record");
    }
  }
  return f;
}

std::string frame::text() const {
  std::string all = hello ? "hello" : "";
  if (claim) {
    all += " received " + std::to_string(claim->received) + " delivered " +
           std::to_string(claim->delivered);
  }
  for (const auto& [sequence, contents] : messages) {
    all += " " + std::to_string(sequence) + ":" + contents;
  }
  if (ping) all += " ping";
  if (bye) all += " bye";
  return all;
}

bool inflate_ack(std::vector<std::byte>& bytes) {
  // The ack is the first record of its frame; its length takes as many bytes as its highest bits
  // tell.
  constexpr std::size_t received_at = 3 * stamp_bytes + 8 + hash_bytes;
  if (bytes.size() < session_header_bytes + 9 + received_at + 8 ||
      bytes[session_header_bytes] != std::byte{record::ack}) {
    return false;
  }
  std::size_t length = std::size_t{1}
                       << (std::to_integer<unsigned>(bytes[session_header_bytes + 1]) / 64);
  std::byte& last = bytes[session_header_bytes + length + received_at + 8];
  last = static_cast<std::byte>(std::to_integer<unsigned>(last) + 1);
  return true;
}

}  // namespace crash_points
