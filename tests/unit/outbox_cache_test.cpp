#include "support/catch.hpp"

#include <ilm/protocol/outbox_cache.hpp>

#include <string>

using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

ilm::bytes of_size(std::size_t size) { return ilm::bytes(std::string(size, 'x')); }

ilm::stream_hash hash_at(std::uint64_t s) { return {s, 1}; }

/// A cache of the messages 5 to 7, of 1, 2 and 3 bytes and the salts 50 to 70.
outbox_cache five_to_seven() {
  outbox_cache c;
  c.clear(5, hash_at(4));
  for (std::size_t s = 5; s <= 7; ++s) c.append(of_size(s - 4), s * 10, hash_at(s));
  return c;
}

}  // namespace

TEST_CASE("a new cache is empty and begins at the first sequence") {
  outbox_cache c;
  CHECK(c.first() == 1);
  CHECK(c.next() == 1);
  CHECK(c.size() == 0);
  CHECK(c.bytes() == 0);
  CHECK_FALSE(c.contains(0));
  CHECK_FALSE(c.contains(1));
  CHECK(c.invariants_hold());
}

TEST_CASE("a cache holds one run of messages and counts their bytes") {
  outbox_cache c = five_to_seven();
  CHECK(c.first() == 5);
  CHECK(c.next() == 8);
  CHECK(c.size() == 3);
  CHECK(c.bytes() == 6);
  CHECK_FALSE(c.contains(4));
  CHECK(c.contains(5));
  CHECK(c.contains(7));
  CHECK_FALSE(c.contains(8));
  for (std::uint64_t s = 5; s <= 7; ++s) {
    CHECK(c.at(s).salt == s * 10);
    CHECK(c.at(s).hash == hash_at(s));
    CHECK(c.at(s).size() == s - 4);
    CHECK(c.at(s).transmissions == 0);
  }
  CHECK(c.invariants_hold());
}

TEST_CASE("a cache that forgets its first message keeps the numbers of the others") {
  outbox_cache c = five_to_seven();
  c.erase_below(6);
  CHECK(c.first() == 6);
  CHECK(c.next() == 8);
  CHECK(c.bytes() == 5);
  CHECK(c.at(6).salt == 60);
  c.erase_below(8);
  CHECK(c.first() == 8);
  CHECK(c.next() == 8);
  CHECK(c.bytes() == 0);
  c.append(of_size(9), 80, hash_at(8));
  CHECK(c.at(8).salt == 80);
  CHECK(c.invariants_hold());
}

TEST_CASE("a cache knows the hash before each message that it holds, and before the next one") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 5; s <= 8; ++s) CHECK(c.hash_before(s) == hash_at(s - 1));
  c.erase_below(6);
  CHECK(c.hash_before(6) == hash_at(5));
  c.erase_below(8);
  CHECK(c.hash_before(8) == hash_at(7));
  c.clear(20, hash_at(19));
  CHECK(c.hash_before(20) == hash_at(19));
}

TEST_CASE("a message counts as lost once, until it is sent again or arrives") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 5; s <= 7; ++s) c.handle_sent(s, 1, 1s);
  c.mark_lost(6);
  c.mark_lost(6);
  c.mark_lost(7);
  CHECK(c.lost() == 2);
  CHECK(c.first_lost() == 6);
  CHECK(c.at(6).lost());
  CHECK_FALSE(c.at(5).lost());
  c.handle_sent(6, 2, 2s);
  CHECK(c.lost() == 1);
  CHECK_FALSE(c.at(6).lost());
  c.mark_sacked({7, 7});
  CHECK(c.lost() == 0);
  CHECK_FALSE(c.at(7).lost());
  CHECK(c.invariants_hold());
}

TEST_CASE("the messages in transit are in the order in which they were sent last") {
  outbox_cache c = five_to_seven();
  CHECK(c.oldest_in_transit() == 0);
  for (std::uint64_t s = 5; s <= 7; ++s) c.handle_sent(s, s - 4, 1s);
  CHECK(c.oldest_in_transit() == 5);
  c.handle_sent(5, 4, 2s);
  CHECK(c.oldest_in_transit() == 6);
  c.mark_lost(6);
  CHECK(c.oldest_in_transit() == 7);
  c.handle_sent(6, 5, 3s);
  c.mark_sacked({7, 7});
  CHECK(c.oldest_in_transit() == 5);
  c.erase_below(6);
  CHECK(c.oldest_in_transit() == 6);
  CHECK(c.invariants_hold());
  c.erase_below(8);
  CHECK(c.oldest_in_transit() == 0);
  CHECK(c.invariants_hold());
}

TEST_CASE("a message out of the middle of those in transit leaves the others in order") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 5; s <= 7; ++s) c.handle_sent(s, s - 4, 1s);
  c.mark_sacked({6, 6});
  c.mark_lost(5);
  CHECK(c.oldest_in_transit() == 7);
  c.handle_sent(5, 4, 2s);
  c.mark_lost(7);
  CHECK(c.oldest_in_transit() == 5);
  CHECK(c.invariants_hold());
}

TEST_CASE("a message that is sacked is passed over until it is marked as lost") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 5; s <= 7; ++s) c.handle_sent(s, 1, 1s);
  c.mark_sacked({5, 6});
  c.mark_sacked({5, 6});
  CHECK(c.at(5).sacked());
  CHECK(c.next_not_sacked(5) == 7);
  c.mark_lost(5);
  CHECK_FALSE(c.at(5).sacked());
  CHECK(c.next_not_sacked(5) == 5);
  CHECK(c.next_not_sacked(6) == 7);
  c.erase_below(7);
  CHECK(c.next_not_sacked(7) == 7);
  CHECK(c.invariants_hold());
}

TEST_CASE("a lost message that is forgotten is not counted as lost") {
  outbox_cache c = five_to_seven();
  c.mark_lost(5);
  c.mark_lost(6);
  c.erase_below(6);
  CHECK(c.lost() == 1);
  CHECK(c.first_lost() == 6);
  c.erase_below(7);
  CHECK(c.lost() == 0);
}

TEST_CASE("a cache that is cleared counts nothing and begins where it is told") {
  outbox_cache c = five_to_seven();
  c.mark_lost(5);
  c.clear(20, hash_at(19));
  CHECK(c.first() == 20);
  CHECK(c.next() == 20);
  CHECK(c.size() == 0);
  CHECK(c.bytes() == 0);
  CHECK(c.lost() == 0);
  CHECK(c.invariants_hold());
}

TEST_CASE("a cache that forgets transmissions keeps contents, salts and hashes") {
  outbox_cache c = five_to_seven();
  c.handle_sent(5, 3, 3s);
  c.handle_sent(6, 4, 3s);
  c.handle_sent(7, 4, 3s);
  c.mark_sacked({6, 6});
  c.mark_lost(7);
  c.reset_transmissions();
  CHECK(c.lost() == 0);
  CHECK(c.size() == 3);
  CHECK(c.bytes() == 6);
  for (std::uint64_t s = 5; s <= 7; ++s) {
    CHECK(c.at(s).size() == s - 4);
    CHECK(c.at(s).salt == s * 10);
    CHECK(c.at(s).hash == hash_at(s));
    CHECK(c.at(s).sent_at == 0s);
    CHECK(c.at(s).frame == 0);
    CHECK(c.at(s).transmissions == 0);
    CHECK(c.at(s).status == transmission::unsent);
  }
  CHECK(c.oldest_in_transit() == 0);
  CHECK(c.next_not_sacked(6) == 6);
  c.mark_lost(7);
  CHECK(c.lost() == 1);
}

TEST_CASE("a cache lets go of all contents but those of one message, and knows the rest of each") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 8; s <= 10; ++s) c.append(of_size(10), s * 10, hash_at(s));
  for (std::uint64_t s = 5; s <= 7; ++s) c.handle_sent(s, s, 1s);
  CHECK(c.held() == 36 + 6 * message_overhead);
  CHECK(c.releasable(8, 8) == 26 + 2 * message_overhead);
  c.release(8, 8);
  CHECK(c.releasable(8, 8) == 0);
  CHECK(c.held() == 10 + 4 * message_overhead);
  CHECK(c.next() == 9);
  CHECK(c.bytes() == 16);
  for (std::uint64_t s = 5; s <= 8; ++s) {
    CHECK(c.at(s).loaded == (s == 8));
    CHECK(c.at(s).hash == hash_at(s));
    CHECK(c.at(s).salt == s * 10);
  }
  CHECK(c.at(6).size() == 2);
  CHECK(c.oldest_in_transit() == 5);
  CHECK(c.invariants_hold());
  c.erase_below(7);
  CHECK(c.bytes() == 13);
  CHECK(c.held() == 10 + 2 * message_overhead);
  CHECK(c.invariants_hold());
}

TEST_CASE("a lost message whose contents were read again lets go of them when it is sent") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 5; s <= 7; ++s) c.handle_sent(s, s, 1s);
  c.mark_lost(5);
  c.mark_lost(7);
  c.release(5, 8);
  CHECK(c.at(5).loaded);
  CHECK_FALSE(c.at(7).loaded);
  c.load(7, of_size(3));
  CHECK(c.at(7).loaded);
  CHECK(c.held() == 4 + 3 * message_overhead);
  CHECK(c.releasable(5, 8) == 3);
  c.handle_sent(5, 8, 2s);
  c.handle_sent(7, 8, 2s);
  CHECK(c.held() == 3 * message_overhead);
  CHECK(c.invariants_hold());
  c.erase_below(8);
  CHECK(c.held() == 0);
  CHECK(c.invariants_hold());
}

TEST_CASE("a cache that lets go once more keeps another message") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 5; s <= 7; ++s) c.handle_sent(s, s, 1s);
  c.mark_lost(6);
  c.release(6, 8);
  c.mark_lost(5);
  c.load(5, of_size(1));
  c.release(5, 8);
  CHECK(c.at(5).loaded);
  CHECK_FALSE(c.at(6).loaded);
  CHECK(c.held() == 1 + 3 * message_overhead);
  c.load(6, of_size(2));
  c.mark_sacked({5, 5});
  c.release(6, 8);
  CHECK_FALSE(c.at(5).loaded);
  CHECK(c.at(6).loaded);
  CHECK(c.held() == 2 + 3 * message_overhead);
  CHECK(c.invariants_hold());
}

TEST_CASE("a session that begins has the messages up to the first whose contents are not here") {
  outbox_cache c = five_to_seven();
  for (std::uint64_t s = 5; s <= 6; ++s) c.handle_sent(s, s, 1s);
  c.mark_lost(5);
  c.release(5, 7);
  c.reset_transmissions();
  CHECK(c.first() == 5);
  CHECK(c.next() == 6);
  CHECK(c.bytes() == 1);
  CHECK(c.held() == 1 + message_overhead);
  CHECK(c.invariants_hold());
}
