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
  all.hold({&a, &b}, {}, refused, 10s, o);
  CHECK(commit_units::refusal(a) == refused);
  CHECK_FALSE(all.any_due());
  CHECK(all.deadline() == 10s + o.minimum_store_retry);
  CHECK_FALSE(all.handle_time(all.deadline() - 1ns));
  CHECK(all.handle_time(all.deadline()));
  CHECK(all.deadline() == ilm::protocol::never);
  CHECK(all.any_due());
  REQUIRE(all.take_due() == a.unit.get());
  CHECK_FALSE(all.any_due());
  CHECK(taken(all, b) == std::set<one*>{&a, &b});
  CHECK(commit_units::refusal(b) == refused);

  all.hold({&a, &b}, {}, refused, 20s, o);
  CHECK(all.deadline() == 20s + 2 * o.minimum_store_retry);
  CHECK(all.take_due() == nullptr);
  all.handle_send(a, 20s);
  all.handle_send(b, 20s);
  CHECK(all.deadline() == ilm::protocol::never);
  CHECK(all.take_due() == a.unit.get());
  CHECK(all.take_due() == nullptr);

  std::set<one*> released;
  all.release(a, [&](one& m) { released.insert(&m); });
  CHECK(released == std::set<one*>{&a, &b});
  CHECK(a.unit == nullptr);
  CHECK(b.unit == nullptr);
  CHECK(all.deadline() == ilm::protocol::never);
}

TEST_CASE("those that are held back take turns, and one that is not tried has the next") {
  options o;
  commit_units all;
  std::array<one, 5> p;
  for (one& each : p) all.hold({&each}, {}, refused, 0s, o);
  CHECK(all.handle_time(o.minimum_store_retry));
  for (int round = 0; round < 3; ++round) {
    for (one& each : p) {
      commit_unit<one>* u = all.take_due();
      REQUIRE(u == each.unit.get());
      all.put_back(each, 1s + std::chrono::seconds(round));
    }
  }
  all.remove(p[0]);
  all.release(p[1], [](one&) {});
  CHECK(all.take_due() == p[2].unit.get());
  CHECK(all.take_due() == p[3].unit.get());
}

TEST_CASE("the last commit takes all that are held back, due or not") {
  options o;
  commit_units all;
  std::array<one, 3> p;
  for (one& each : p) all.hold({&each}, {}, refused, 0s, o);
  all.handle_send(p[1], 0s);
  CHECK(all.take_held() == p[1].unit.get());
  CHECK(all.take_held() == p[0].unit.get());
  CHECK(all.take_held() == p[2].unit.get());
  CHECK(all.take_held() == nullptr);
}

TEST_CASE("changes that failed with the store still go together") {
  commit_units all;
  std::array<one, 3> p;
  all.join(p[0], p[1]);
  CHECK(taken(all, p[0]).size() == 2);
  all.join(p[1], p[2]);
  all.rejoin({&p[0], &p[1]}, {});
  CHECK(taken(all, p[0]) == std::set<one*>{&p[0], &p[1], &p[2]});
  all.rejoin({&p[0]}, {});
  CHECK(p[0].unit == nullptr);
}

TEST_CASE("who was joined to a refused peer meanwhile is held with it") {
  options o;
  commit_units all;
  std::array<one, 3> p;
  all.join(p[1], p[2]);
  all.hold({&p[0], &p[1]}, {}, refused, 0s, o);
  for (one& each : p) CHECK(commit_units::refusal(each) == refused);
  CHECK(taken(all, p[0]).size() == 3);
}

TEST_CASE("a peer that leaves its unit lets the others go on waiting") {
  options o;
  commit_units all;
  one a, b;
  all.hold({&a, &b}, {}, refused, 0s, o);
  all.remove(a);
  CHECK_FALSE(commit_units::refusal(a));
  CHECK(taken(all, b) == std::set<one*>{&b});
  CHECK(commit_units::refusal(b) == refused);
  all.remove(b);
  CHECK(all.deadline() == ilm::protocol::never);
}
