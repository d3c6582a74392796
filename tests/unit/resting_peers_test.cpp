#include "support/catch.hpp"

#include <ilm/runtime/peer_list.hpp>
#include <ilm/runtime/resting_peers.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace ilm::runtime;
using namespace std::chrono_literals;

namespace {

struct entry {
  ilm::protocol::timestamp rests_until = ilm::protocol::never;
  std::uint64_t rests_as = 0;
  std::size_t place = 0;
};
using list = peer_list<entry, &entry::place>;

std::vector<entry*> all_of(const list& l) { return {l.begin(), l.end()}; }

}  // namespace

TEST_CASE("resting peers come when it is their time, and those of one time in their order") {
  entry a, b, c;
  resting_peers<entry> resting;
  CHECK(resting.deadline() == ilm::protocol::never);
  resting.add(a, 2s);
  resting.add(b, 1s);
  resting.add(c, 2s);
  CHECK(resting.deadline() == 1s);
  CHECK(resting.take_due(999ms) == nullptr);
  CHECK(resting.take_due(5s) == &b);
  CHECK(resting.take_due(5s) == &a);
  CHECK(a.rests_until == ilm::protocol::never);
  resting.remove(a);
  resting.remove(c);
  CHECK(resting.take_due(5s) == nullptr);
}

TEST_CASE("a peer leaves a list at once, and the others stay in it") {
  entry a, b, c;
  list l;
  for (entry* e : {&a, &b, &c, &b}) l.add(*e);
  CHECK(all_of(l) == std::vector<entry*>{&a, &b, &c});
  l.remove(a);
  l.remove(a);
  CHECK(all_of(l) == std::vector<entry*>{&c, &b});
  l.remove(b);
  CHECK(all_of(l) == std::vector<entry*>{&c});
  l.add(a);
  std::vector<entry*> drained;
  l.drain([&](entry& e) { drained.push_back(&e); });
  CHECK(drained == std::vector<entry*>{&c, &a});
  CHECK(l.empty());
  CHECK_FALSE(list::contains(a));
}
