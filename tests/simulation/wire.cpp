#include "simulation/wire.hpp"

#include <array>
#include <sstream>

namespace simulation::wire {
namespace {

/// CRC-32C by the definition: reflected polynomial 0x1edc6f41, a table for each byte.
std::uint32_t checksum(std::span<const std::byte> bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0x82f63b78U : 0U);
      t[i] = c;
    }
    return t;
  }();
  std::uint32_t c = ~0U;
  for (std::byte b : bytes) c = table[(c ^ std::to_integer<std::uint32_t>(b)) & 255] ^ (c >> 8);
  return ~c;
}

class cursor {
 public:
  explicit cursor(std::span<const std::byte> bytes) : left_(bytes) {}

  std::uint64_t take(std::size_t digits) {
    std::uint64_t value = 0;
    for (std::byte b : raw(digits)) value = value << 8 | std::to_integer<std::uint64_t>(b);
    return value;
  }
  std::span<const std::byte> raw(std::uint64_t size) {
    if (size > left_.size()) {
      good_ = false;
      left_ = {};
      return {};
    }
    auto head = left_.first(static_cast<std::size_t>(size));
    left_ = left_.subspan(static_cast<std::size_t>(size));
    return head;
  }
  /// 1, 2, 4 or 8 bytes; the two highest bits tell which.
  std::uint64_t take_varint() {
    std::uint64_t first = take(1);
    std::uint64_t value = first % 64;
    for (std::uint64_t more = (std::uint64_t{1} << (first / 64)) - 1; more > 0; --more) {
      value = value * 256 + take(1);
    }
    return value;
  }
  name take_name() {
    name n;
    n.high = take(8);
    n.low = take(8);
    return n;
  }
  void skip(std::size_t size) { raw(size); }
  bool more() const { return !left_.empty(); }
  bool good() const { return good_; }

 private:
  std::span<const std::byte> left_;
  bool good_ = true;
};

hello read_hello(cursor& in) {
  hello h;
  h.lowest_version = in.take(1);
  h.highest_version = in.take(1);
  h.understood = in.take(8);
  h.required = in.take(8);
  h.local = in.take_name();
  h.peer = in.take_name();
  in.skip(16 + 8 + 8 + 8 + 1);  // former peer and received, nonce, echo, proven
  h.first = in.take(8);
  h.next = in.take(8);
  in.skip(8);  // first epoch
  h.acknowledged = in.take(8);
  h.received = in.take(8);
  h.delivered = in.take(8);
  in.skip(8 + 8);  // received and delivered epoch
  h.received_bytes = in.take(8);
  h.credit_sequence = in.take(8);
  h.credit_bytes = in.take(8);
  in.skip(8);  // maximum message
  in.skip(static_cast<std::size_t>(in.take(1)));
  in.skip(static_cast<std::size_t>(in.take(1)));
  return h;
}

data read_data(cursor& in) {
  data d;
  d.epoch = in.take(8);
  d.first = in.take(8);
  std::uint64_t count = in.take(4);
  for (std::uint64_t i = 0; i < count && in.good(); ++i) {
    std::uint64_t head = in.take_varint();
    item next;
    if (head % 2 == 1) next.attributes = in.raw(in.take_varint());
    next.contents = in.raw(head / 2);
    d.items.push_back(next);
  }
  return d;
}

ack read_ack(cursor& in) {
  ack a;
  a.received = in.take(8);
  a.delivered = in.take(8);
  in.skip(8);  // delivered epoch
  a.received_bytes = in.take(8);
  a.credit_sequence = in.take(8);
  a.credit_bytes = in.take(8);
  a.echo = in.take(8);
  a.highest = a.received;
  std::uint64_t count = in.take(2);
  for (std::uint64_t i = 0; i < count && in.good(); ++i) {
    in.skip(8);
    a.highest = in.take(8);
  }
  return a;
}

/// False if the record rejects its frame.
bool read_record(std::uint64_t type, bool of_handshake, cursor& in, frame& f) {
  switch (type) {
    case 1:
      f.hello = read_hello(in);
      break;
    case 2:
      f.records.push_back(read_data(in));
      break;
    case 3:
      f.ack = read_ack(in);
      break;
    case 4:
      f.ping = true;
      break;
    case 5:
      f.bye = true;
      break;
    case 6:
      in.skip(2);
      break;
    default:
      return type >= 0x80;
  }
  bool belongs_to_handshake = type == 1 || type == 6;
  if (!in.good() || belongs_to_handshake != of_handshake) return false;
  while (in.more()) {
    bool may_be_skipped = in.take(1) >= 0x80;
    in.raw(in.take_varint());
    if (!in.good() || !may_be_skipped) return false;
  }
  return true;
}

}  // namespace

std::uint32_t tag_of(const name& n) {
  std::uint64_t folded = n.high ^ n.low;
  return static_cast<std::uint32_t>(folded ^ (folded >> 32));
}

std::optional<frame> read(std::span<const std::byte> bytes) {
  cursor in(bytes);
  if (in.take(2) != 0x494c) return std::nullopt;
  std::uint64_t version = in.take(1);
  if (version > 2) return std::nullopt;  // 2 is that of the builds to come, and like 1
  std::uint64_t flags = in.take(1);
  if (flags != 0 && flags != 0xa5) return std::nullopt;
  if (flags == 0xa5) {
    if (bytes.size() < 20) return std::nullopt;
    auto body = bytes.first(bytes.size() - 4);
    if (cursor(bytes.last(4)).take(4) != checksum(body)) return std::nullopt;
    in = cursor(body);
    in.skip(4);
  }
  frame f;
  f.source_tag = static_cast<std::uint32_t>(in.take(4));
  f.destination_tag = static_cast<std::uint32_t>(in.take(4));
  f.session_tag = static_cast<std::uint32_t>(in.take(4));
  if (version != 0) f.number = in.take(8);
  while (in.more()) {
    std::uint64_t type = in.take(1);
    cursor record(in.raw(in.take_varint()));
    if (!in.good() || !read_record(type, version == 0, record, f)) return std::nullopt;
  }
  return in.good() ? std::optional(f) : std::nullopt;
}

std::string describe(std::span<const std::byte> bytes) {
  std::optional<frame> f = read(bytes);
  if (!f) return "a damaged frame";
  std::ostringstream out;
  out << "a frame of " << bytes.size() << " bytes";
  if (f->number != 0) out << ", number " << f->number;
  out << ":";
  if (f->hello) {
    const hello& h = *f->hello;
    out << " hello " << std::hex << tag_of(h.local) << " to " << tag_of(h.peer) << std::dec
        << " first " << h.first << " next " << h.next << " acknowledged " << h.acknowledged
        << " received " << h.received << " (" << h.received_bytes << " bytes) delivered "
        << h.delivered << " credit " << h.credit_sequence << " (" << h.credit_bytes << " bytes)";
  }
  for (const data& d : f->records) {
    std::size_t sum = 0;
    for (const item& i : d.items) sum += i.contents.size() + i.attributes.size();
    out << " data " << d.first << ".." << d.first + d.items.size() - 1 << " (" << sum << " bytes)";
  }
  if (f->ack) {
    const ack& a = *f->ack;
    out << " ack " << a.received << " (" << a.received_bytes << " bytes) delivered " << a.delivered
        << " sacked to " << a.highest << " credit " << a.credit_sequence << " (" << a.credit_bytes
        << " bytes) echo " << a.echo;
  }
  if (f->ping) out << " ping";
  if (f->bye) out << " bye";
  return out.str();
}

}  // namespace simulation::wire
