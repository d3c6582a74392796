#include "simulation/wire.hpp"

#include <array>
#include <sstream>

namespace simulation::wire {
namespace {

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
  std::string take_text() {
    auto text = raw(take(1));
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }
  void skip(std::size_t size) { raw(size); }
  bool more() const { return !left_.empty(); }
  bool good() const { return good_; }

 private:
  std::span<const std::byte> left_;
  bool good_ = true;
};

void read_claim(cursor& in, claim& c) {
  c.mark = in.take_name();
  c.delivered = in.take(8);
  c.delivered_hash = in.take_name();
  c.confirmed = in.take_name();
  c.seen = in.take_name();
  c.received = in.take(8);
  c.received_hash = in.take_name();
  c.acknowledged = in.take(8);
}

void read_credit(cursor& in, claim& c) {
  c.received_bytes = in.take(8);
  c.credit_sequence = in.take(8);
  c.credit_bytes = in.take(8);
}

/// The product of 128 bits by long multiplication in digits of 32 bits; its halves, exclusive or.
std::uint64_t folded(std::uint64_t a, std::uint64_t b) {
  std::array<std::uint64_t, 4> digits{};
  for (std::size_t i : {0U, 1U}) {
    std::uint64_t carry = 0;
    for (std::size_t j : {0U, 1U}) {
      std::uint64_t sum =
          (a >> (32 * i)) % (1ULL << 32) * ((b >> (32 * j)) % (1ULL << 32)) + digits[i + j] + carry;
      digits[i + j] = sum % (1ULL << 32);
      carry = sum >> 32;
    }
    digits[i + 2] = carry;
  }
  return (digits[0] | digits[1] << 32) ^ (digits[2] | digits[3] << 32);
}

void mix(name& h, std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = folded(h.high ^ a ^ 0x9e3779b97f4a7c15, h.low ^ b ^ 0xd1b54a32d192ed03);
  h.low = ((h.low << 29 | h.low >> 35) + b) ^ (a * 0x8cb92ba72f3d8dd7);
  h.high = product;
}

void mix(name& h, std::span<const std::byte> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    std::array<std::uint64_t, 2> words{};
    for (std::size_t i = 0; i < 16 && at + i < bytes.size(); ++i) {
      words[i / 8] |= std::to_integer<std::uint64_t>(bytes[at + i]) << (i % 8 * 8);
    }
    mix(h, words[0], words[1]);
  }
}

hello read_hello(cursor& in) {
  hello h;
  h.lowest_version = in.take(1);
  h.highest_version = in.take(1);
  h.understood = in.take(8);
  h.required = in.take(8);
  h.nonce = in.take(8);
  h.echo = in.take(8);
  h.proven = in.take(1);
  read_claim(in, h.claim);
  h.base = in.take(8);
  h.origin = in.take(1);
  h.stream = in.take_name();
  h.first = in.take(8);
  h.erased_hash = in.take_name();
  h.follows = in.take_name();
  read_credit(in, h.claim);
  h.maximum_message = in.take(8);
  h.source = in.take_text();
  h.destination = in.take_text();
  return h;
}

data read_data(cursor& in) {
  data d;
  d.first = in.take(8);
  d.before = in.take_name();
  std::uint64_t count = in.take(4);
  for (std::uint64_t i = 0; i < count && in.good(); ++i) {
    std::uint64_t head = in.take_varint();
    item next;
    if (head / 2 % 2 == 1) next.salt = in.take(8);
    if (head % 2 == 1) next.attributes = in.raw(in.take_varint());
    next.contents = in.raw(head / 4);
    d.items.push_back(next);
  }
  return d;
}

ack read_ack(cursor& in) {
  ack a;
  read_claim(in, a.claim);
  read_credit(in, a.claim);
  a.echo = in.take(8);
  a.highest = a.claim.received;
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
      f.versions.emplace();
      f.versions->first = in.take(1);
      f.versions->second = in.take(1);
      break;
    case 7:
      f.challenge = in.take(8);
      break;
    default:
      return type >= 0x80;
  }
  bool belongs_to_handshake = type == 1 || type == 6 || type == 7;
  if (!in.good() || belongs_to_handshake != of_handshake) return false;
  while (in.more()) {
    bool may_be_skipped = in.take(1) >= 0x80;
    in.raw(in.take_varint());
    if (!in.good() || !may_be_skipped) return false;
  }
  return true;
}

}  // namespace

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

name extend(const name& before, std::uint64_t sequence, std::uint64_t salt,
            std::span<const std::byte> contents, std::span<const std::byte> attributes) {
  name h = before;
  mix(h, sequence, salt);
  mix(h, contents.size(), attributes.size());
  mix(h, attributes);
  mix(h, contents);
  mix(h, h.low, h.high);
  return {h.high ^ h.low, folded(h.low ^ 0xd1b54a32d192ed03, h.high | 1)};
}

std::uint64_t session_of(std::uint64_t a, std::uint64_t b) {
  std::uint64_t tag = (a ^ b) * 0x9e3779b97f4a7c15;
  return tag != 0 ? tag : 1;
}

std::optional<frame> read(std::span<const std::byte> bytes) {
  cursor in(bytes);
  if (in.take(2) != 0x494c) return std::nullopt;
  std::uint64_t version = in.take(1);
  if (version > 2) return std::nullopt;  // 2 is that of the builds to come, and like 1
  std::uint64_t flags = in.take(1);
  if (flags != 0 && flags != 0xa5) return std::nullopt;
  if (flags == 0xa5) {
    if (bytes.size() < 16) return std::nullopt;
    auto body = bytes.first(bytes.size() - 4);
    if (cursor(bytes.last(4)).take(4) != checksum(body)) return std::nullopt;
    in = cursor(body);
    in.skip(4);
  }
  frame f;
  f.version = version;
  f.session = in.take(8);
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
  auto put = [&](const claim& c) {
    out << " mark " << c.mark.high << " confirmed " << c.confirmed.high << " seen " << c.seen.high
        << " received " << c.received << " (" << c.received_bytes << " bytes) delivered "
        << c.delivered << " acknowledged " << c.acknowledged << " credit " << c.credit_sequence
        << " (" << c.credit_bytes << " bytes)";
  };
  out << std::hex << " " << f->session % 65536 << std::dec;
  if (f->challenge != 0) out << " challenge";
  if (f->versions) out << " versions " << f->versions->first << " to " << f->versions->second;
  if (f->hello) {
    const hello& h = *f->hello;
    out << " hello of " << std::hex << session_of(h.nonce, h.echo) % 65536 << std::dec
        << (h.proven != 0 ? " proven" : "") << " base " << h.base << " stream " << h.stream.high
        << " from " << h.first << " follows " << h.follows.high;
    put(h.claim);
  }
  for (const data& d : f->records) {
    std::size_t sum = 0;
    for (const item& i : d.items) sum += i.contents.size() + i.attributes.size();
    out << " data " << d.first << ".." << d.first + d.items.size() - 1 << " (" << sum << " bytes)";
  }
  if (f->ack) {
    out << " ack sacked to " << f->ack->highest;
    put(f->ack->claim);
    out << " echo " << f->ack->echo;
  }
  if (f->ping) out << " ping";
  if (f->bye) out << " bye";
  return out.str();
}

}  // namespace simulation::wire
