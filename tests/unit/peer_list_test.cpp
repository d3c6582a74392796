#include "support/catch.hpp"

#include <ilm/runtime/peer_list.hpp>

#include <cstddef>
#include <vector>

using namespace ilm::runtime;

namespace {

struct entry {
  std::size_t place = 0;
};
using list = peer_list<entry, &entry::place>;

std::vector<entry*> all_of(const list& l) { return {l.begin(), l.end()}; }

}  // namespace

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
