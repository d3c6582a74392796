// The frames of each version of the wire that was released, byte by byte, and what they mean.

#include "golden/golden.hpp"
#include "support/catch.hpp"
#include "support/written_frame.hpp"

#include <ilm/error.hpp>
#include <ilm/protocol/frame_reader.hpp>

#include <algorithm>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

using namespace golden;
using namespace ilm::protocol;

namespace {

void describe(std::ostream& out, const claim& c) {
  out << "mark " << pair(c.mark) << "\ndelivered " << c.delivered << " hash "
      << pair(c.delivered_hash) << "\nconfirmed " << pair(c.confirmed) << "\nseen " << pair(c.seen)
      << "\nreceived " << c.received << " hash " << pair(c.received_hash) << "\nacknowledged "
      << c.acknowledged << '\n';
}

void describe(std::ostream& out, const credit& c) {
  out << "credit " << c.received_bytes << " bytes received, up to message " << c.sequence
      << " and byte " << c.bytes << '\n';
}

void describe(std::ostream& out, const hello_record& h) {
  out << "hello\nversions " << unsigned{h.support.lowest_version} << " to "
      << unsigned{h.support.highest_version} << "\nfeatures " << h.support.understood
      << " required " << h.support.required << "\nnonce " << h.nonce << " echo " << h.echo
      << " proven " << h.proven << '\n';
  describe(out, h.claim);
  out << "base " << h.base << " origin " << static_cast<int>(h.origin) << "\nstream "
      << pair(h.stream) << " first " << h.first << " erased hash " << pair(h.erased_hash)
      << "\nfollows " << pair(h.follows) << '\n';
  describe(out, h.credit);
  out << "maximum message " << h.maximum_message_size << "\nfrom " << text(h.source) << " to "
      << text(h.destination) << '\n';
}

void describe(std::ostream& out, const data_record& d) {
  out << "data from " << d.first << ", hash before " << pair(d.before) << '\n';
  for (const data_item& item : d.items) {
    out << "message of " << item.contents.size()
        << " bytes: " << text(item.contents.first(std::min<std::size_t>(item.contents.size(), 32)))
        << '\n';
    if (item.salt != 0) out << "salt " << item.salt << '\n';
    if (!item.attributes.empty()) out << "attributes " << text(item.attributes) << '\n';
  }
}

void describe(std::ostream& out, const ack_record& a) {
  out << "ack\n";
  describe(out, a.claim);
  describe(out, a.credit);
  out << "echo " << a.echo << '\n';
  for (const ilm::sequence_range& r : a.ranges) {
    out << "has " << r.first << " to " << r.last << '\n';
  }
}

std::string name_of(const std::error_code& e) {
  static const std::map<ilm::error, std::string> names{
      {ilm::error::malformed_frame, "malformed_frame"},
      {ilm::error::unsupported_version, "unsupported_version"},
      {ilm::error::checksum_mismatch, "checksum_mismatch"},
      {ilm::error::credit_out_of_range, "credit_out_of_range"},
      {ilm::error::unknown_record, "unknown_record"},
      {ilm::error::unknown_attribute, "unknown_attribute"},
  };
  auto found = names.find(static_cast<ilm::error>(e.value()));
  return found == names.end() ? e.message() : found->second;
}

std::string meaning_of(const std::vector<std::byte>& encoded) {
  frame f;
  std::ostringstream out;
  if (std::error_code e = read_frame(encoded, {}, f)) return "rejected: " + name_of(e) + '\n';
  out << "version " << unsigned{f.header.version} << " session " << f.header.session << " number "
      << f.header.number << '\n';
  if (f.challenge) out << "challenge " << *f.challenge << '\n';
  if (f.hello) describe(out, *f.hello);
  if (f.versions) {
    out << "versions " << unsigned{f.versions->lowest} << " to " << unsigned{f.versions->highest}
        << '\n';
  }
  for (const data_record& d : f.data) describe(out, d);
  if (f.ack) describe(out, *f.ack);
  if (f.ping) out << "ping\n";
  if (f.bye) out << "bye\n";
  return out.str();
}

/// The frame, as this version writes one of this meaning.
std::vector<std::byte> written_again(const std::vector<std::byte>& encoded) {
  frame f;
  REQUIRE_FALSE(read_frame(encoded, {}, f));
  return test::written(f, encoded[3] != std::byte{});
}

}  // namespace

TEST_CASE("every golden frame is read, and means what its file says") {
  std::size_t count = 0;
  for (const golden_frame& g : golden_frames()) {
    INFO(g.name);
    ++count;
    CHECK(meaning_of(g.encoded) == g.meaning);
    bool rejected = g.meaning.starts_with("rejected: ");
    CHECK(rejected == (g.written == written_by::nobody));
    if (rejected) continue;
    CHECK((written_again(g.encoded) == g.encoded) == (g.written == written_by::this_version));
  }
  CHECK(count >= 26);
}

TEST_CASE("a golden frame that lost a bit means something else") {
  for (const golden_frame& g : golden_frames()) {
    if (g.written == written_by::nobody) continue;
    INFO(g.name);
    for (std::size_t i = 0; i < g.encoded.size(); ++i) {
      std::vector<std::byte> damaged = g.encoded;
      damaged[i] ^= std::byte{4};
      CHECK(meaning_of(damaged) != g.meaning);
    }
  }
}
