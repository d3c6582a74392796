// The frame decoder: whatever the bytes, it reads none beyond them, keeps the bounds that
// protocol/README.md gives, and what it accepts survives being written and read again.

#include "fuzz/input.hpp"
#include "support/written_frame.hpp"

#include <ilm/protocol/frame_reader.hpp>

#include <algorithm>
#include <vector>

namespace {

using namespace ilm;
using namespace ilm::protocol;
using fuzz::require;
using view = std::span<const std::byte>;

bool same(view a, view b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }
bool same(const claim& a, const claim& b) {
  return a.mark == b.mark && a.delivered == b.delivered && a.delivered_hash == b.delivered_hash &&
         a.confirmed == b.confirmed && a.seen == b.seen && a.received == b.received &&
         a.received_hash == b.received_hash && a.acknowledged == b.acknowledged;
}
bool same(const credit& a, const credit& b) {
  return a.received_bytes == b.received_bytes && a.sequence == b.sequence && a.bytes == b.bytes;
}

void check_inside(view part, view whole) {
  if (part.empty()) return;
  require(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size(),
          "a part of the frame lies outside of it");
}

void check_claim(const claim& c, const credit& granted) {
  require(c.mark && c.confirmed.count <= c.mark.count && c.mark.count <= maximum_count &&
              c.seen.count <= maximum_count,
          "a claim's stamps are out of bounds");
  require(c.delivered <= c.received && c.received <= maximum_sequence &&
              c.acknowledged <= maximum_sequence,
          "a claim's cursors are out of bounds");
  require(credit_in_range(granted.sequence, c.received, granted.bytes, granted.received_bytes),
          "a credit is out of bounds");
}

void check_hello(const hello_record& h, view in) {
  check_claim(h.claim, h.credit);
  require(h.nonce != 0 && h.echo != 0, "a hello without nonces is accepted");
  require(h.base >= 1 && h.base <= h.claim.mark.count && h.origin <= lineage_origin::rolled_back,
          "a hello's history is out of bounds");
  require(h.stream && h.stream.count <= h.claim.mark.count, "a hello's stream has no name");
  require(h.first >= 1 && h.first <= maximum_sequence, "a hello's streams are out of bounds");
  require(!h.source.empty() && !h.destination.empty() && h.source.size() <= maximum_peer_id_size &&
              h.destination.size() <= maximum_peer_id_size,
          "a hello's peer id is out of bounds");
  check_inside(h.source, in);
  check_inside(h.destination, in);
}

void check_data(const data_record& d, view in) {
  require(d.first >= 1 && d.first <= maximum_sequence, "a data record's first is out of bounds");
  require(!d.items.empty(), "a data record without items is accepted");
  require(d.items.size() - 1 <= maximum_sequence - d.first, "a data record goes out of bounds");
  for (const data_item& item : d.items) {
    check_inside(item.contents, in);
    check_inside(item.attributes, in);
    require(!attributes::check(item.attributes), "malformed attributes are accepted");
  }
}

void check_ack(const ack_record& a) {
  check_claim(a.claim, a.credit);
  require(a.ranges.size() <= maximum_ack_ranges, "an ack has too many ranges");
  std::uint64_t below = a.claim.received;
  for (const sequence_range& r : a.ranges) {
    require(r.first > below && r.last >= r.first && r.last <= maximum_sequence,
            "an ack's ranges are out of order");
    below = r.last;
  }
}

void check_same(const frame& a, const frame& b) {
  require(a.header.session == b.header.session && a.header.version == b.header.version &&
              a.header.number == b.header.number,
          "a header changed");
  require(a.hello.has_value() == b.hello.has_value() && a.ack.has_value() == b.ack.has_value() &&
              a.versions == b.versions && a.challenge == b.challenge && a.ping == b.ping &&
              a.bye == b.bye && a.data.size() == b.data.size(),
          "a record appeared or disappeared");
  if (a.hello) {
    hello_record x = *a.hello, y = *b.hello;
    require(x.support == y.support && x.nonce == y.nonce && x.echo == y.echo &&
                x.proven == y.proven && same(x.claim, y.claim) && x.base == y.base &&
                x.origin == y.origin && x.stream == y.stream && x.first == y.first &&
                x.erased_hash == y.erased_hash && x.follows == y.follows &&
                same(x.credit, y.credit) && x.maximum_message_size == y.maximum_message_size &&
                same(x.source, y.source) && same(x.destination, y.destination),
            "a hello changed");
  }
  if (a.ack) {
    const ack_record &x = *a.ack, &y = *b.ack;
    require(same(x.claim, y.claim) && same(x.credit, y.credit) && x.echo == y.echo &&
                x.ranges == y.ranges,
            "an ack changed");
  }
  for (std::size_t i = 0; i < a.data.size(); ++i) {
    const data_record &x = a.data[i], &y = b.data[i];
    require(x.first == y.first && x.before == y.before &&
                std::equal(x.items.begin(), x.items.end(), y.items.begin(), y.items.end(),
                           [](const data_item& p, const data_item& q) {
                             return same(p.contents, q.contents) &&
                                    same(p.attributes, q.attributes) && p.salt == q.salt;
                           }),
            "a data record changed");
  }
}

/// CRC-32C finds every single flipped bit; where the flag itself is hit, no flag is left.
void check_flipped(std::vector<std::byte> whole) {
  std::size_t bit = crc32c(whole) % (whole.size() * 8);
  whole[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  frame f;
  require(bool(read_frame(whole, {}, f)), "a frame with a flipped bit is accepted");
}

void check(view in) {
  frame f;
  if (std::error_code e = read_frame(in, {}, f)) {
    require(e == error::malformed_frame || e == error::unsupported_version ||
                e == error::checksum_mismatch || e == error::cursor_out_of_range ||
                e == error::credit_out_of_range || e == error::unknown_record ||
                e == error::unknown_attribute,
            "a frame is refused for another reason than those documented");
    return;
  }
  if (f.hello) check_hello(*f.hello, in);
  if (f.ack) check_ack(*f.ack);
  for (const data_record& d : f.data) check_data(d, in);
  for (bool checksum : {false, true}) {
    std::vector<std::byte> again = test::written(f, checksum);
    frame g;
    require(!read_frame(again, {}, g), "what was accepted is refused when it is written again");
    check_same(f, g);
    if (checksum) check_flipped(std::move(again));
  }
}

/// The same input with a front that gets past the first checks.
void check_repaired(view in) {
  if (in.size() < header_size) return;
  std::vector<std::byte> whole(in.begin(), in.end());
  wire_writer writer(whole);
  writer.patch(0, frame_magic);
  writer.patch(2, static_cast<std::uint8_t>(std::to_integer<unsigned>(in[2]) & 1));
  bool checksum = (std::to_integer<unsigned>(in[3]) & 1) != 0;
  writer.patch(3, checksum ? flag_checksum : std::uint8_t{0});
  if (checksum) writer.number(crc32c(whole));
  whole.shrink_to_fit();
  check(whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  view in = std::as_bytes(std::span(data, size));
  check(in);
  check_repaired(in);
  return 0;
}
