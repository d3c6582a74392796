#include "support/catch.hpp"

#include <ilm/runtime/commit_units.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <system_error>
#include <vector>

using ilm::options;
using ilm::runtime::commit_unit;
using namespace std::chrono_literals;

namespace {

struct one {
  std::shared_ptr<commit_unit<one>> unit;
};
using commit_units = ilm::runtime::commit_units<one>;

const std::error_code refused = std::make_error_code(std::errc::no_space_on_device);

std::set<one*> taken(commit_units& all, one& p) {
  std::set<one*> those;
  all.take(p, [&](one& m) { CHECK(those.insert(&m).second); });
  return those;
}

}  // namespace

TEST_CASE("a peer without a unit goes alone, and may be tried") {
  commit_units all;
  one a;
  CHECK(taken(all, a) == std::set<one*>{&a});
  CHECK(commit_units::ready(a, 0s));
  CHECK_FALSE(commit_units::refusal(a));
  CHECK(all.deadline() == ilm::protocol::never);
}

TEST_CASE("joined peers go together, once") {
  commit_units all;
  std::array<one, 5> p;
  all.join(p[0], p[1]);
  all.join(p[2], p[3]);
  CHECK(taken(all, p[1]) == std::set<one*>{&p[0], &p[1]});
  CHECK(taken(all, p[0]) == std::set<one*>{&p[0]});
  all.join(p[0], p[4]);
  all.join(p[3], p[4]);
  all.join(p[4], p[4]);
  CHECK(taken(all, p[2]) == std::set<one*>{&p[0], &p[2], &p[3], &p[4]});
}

TEST_CASE("what the store refuses waits, longer each time, until a send or the store's consent") {
  options o;
  commit_units all;
  one a, b;
  all.hold({&a, &b}, refused, 10s, o);
  CHECK(commit_units::refusal(a) == refused);
  CHECK_FALSE(commit_units::ready(b, 10s));
  CHECK(all.deadline() == 10s + o.minimum_store_retry);
  CHECK(all.take_due(all.deadline() - 1ns) == nullptr);
  REQUIRE(all.take_due(all.deadline()) == a.unit.get());
  CHECK(commit_units::ready(b, 10s));
  CHECK(taken(all, b) == std::set<one*>{&a, &b});
  CHECK(commit_units::refusal(b) == refused);

  all.hold({&a, &b}, refused, 20s, o);
  CHECK(all.deadline() == 20s + 2 * o.minimum_store_retry);
  commit_units::handle_send(a);
  CHECK(commit_units::ready(b, 20s));

  std::set<one*> released;
  all.handle_stored(a, [&](one& m) { released.insert(&m); });
  CHECK(released == std::set<one*>{&a, &b});
  CHECK(a.unit == nullptr);
  CHECK(b.unit == nullptr);
  CHECK(all.deadline() == ilm::protocol::never);
}

TEST_CASE("changes that failed with the store still go together") {
  commit_units all;
  std::array<one, 3> p;
  all.join(p[0], p[1]);
  CHECK(taken(all, p[0]).size() == 2);
  all.join(p[1], p[2]);
  all.rejoin({&p[0], &p[1]});
  CHECK(taken(all, p[0]) == std::set<one*>{&p[0], &p[1], &p[2]});
  all.rejoin({&p[0]});
  CHECK(p[0].unit == nullptr);
}

TEST_CASE("who was joined to a refused peer meanwhile is held with it") {
  options o;
  commit_units all;
  std::array<one, 3> p;
  all.join(p[1], p[2]);
  all.hold({&p[0], &p[1]}, refused, 0s, o);
  for (one& each : p) CHECK(commit_units::refusal(each) == refused);
  CHECK(taken(all, p[0]).size() == 3);
}

TEST_CASE("a peer that leaves its unit lets the others go on waiting") {
  options o;
  commit_units all;
  one a, b;
  all.hold({&a, &b}, refused, 0s, o);
  all.remove(a);
  CHECK(commit_units::ready(a, 0s));
  CHECK(taken(all, b) == std::set<one*>{&b});
  CHECK_FALSE(commit_units::ready(b, 0s));
  all.remove(b);
  CHECK(all.deadline() == ilm::protocol::never);
}
