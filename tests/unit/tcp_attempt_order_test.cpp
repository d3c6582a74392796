#include "support/catch.hpp"

#include <ilm/networks/tcp/attempt_order.hpp>

#include <string>
#include <vector>

using namespace ilm::detail::tcp;
using namespace std::chrono_literals;

namespace {

const clock::time_point start{1h};

/// The hosts of all addresses, in the order in which they are dialed when each one hangs.
std::vector<std::string> order_of(attempt_order& order) {
  std::vector<std::string> hosts;
  for (clock::time_point now = start; !order.empty(); now = order.due_at()) {
    if (std::optional<address> next = order.poll(now)) hosts.push_back(next->host);
  }
  return hosts;
}

}  // namespace

TEST_CASE("addresses of both families are dialed in turn, the first one's family first") {
  attempt_order order;
  for (const char* host : {"::1", "::2", "::3", "1.1.1.1", "2.2.2.2"}) order.add({host, 1});
  CHECK(order_of(order) == std::vector<std::string>{"::1", "1.1.1.1", "::2", "2.2.2.2", "::3"});
}

TEST_CASE("the next address is dialed 250 ms after one that hangs, and at once after a failure") {
  attempt_order order;
  for (const char* host : {"1.1.1.1", "2.2.2.2", "3.3.3.3"}) order.add({host, 1});
  CHECK(order.due_at() <= start);
  REQUIRE(order.poll(start));
  CHECK_FALSE(order.poll(start));
  CHECK(order.due_at() == start + 250ms);
  CHECK_FALSE(order.poll(start + 249ms));
  REQUIRE(order.poll(start + 250ms));
  order.handle_failed_attempt();
  REQUIRE(order.poll(start + 251ms));
  CHECK(order.empty());
  CHECK(order.due_at() == clock::time_point::max());
}

TEST_CASE("the address of the last session is dialed first, if it is still among the addresses") {
  attempt_order order;
  order.prefer(address{"2.2.2.2", 1});
  for (const char* host : {"::1", "1.1.1.1", "2.2.2.2"}) order.add({host, 1});
  CHECK(order_of(order) == std::vector<std::string>{"2.2.2.2", "::1", "1.1.1.1"});
  attempt_order moved;
  moved.prefer(address{"2.2.2.2", 1});
  moved.add({"2.2.2.2", 2});
  moved.add({"3.3.3.3", 1});
  CHECK(order_of(moved) == std::vector<std::string>{"2.2.2.2", "3.3.3.3"});
}

TEST_CASE("an address that is found twice is dialed once, also when it was dialed already") {
  attempt_order order;
  order.add({"1.1.1.1", 1});
  order.add({"1.1.1.1", 1});
  CHECK(order_of(order).size() == 1);
  order.add({"1.1.1.1", 1});
  CHECK(order.empty());
  order.add({"1.1.1.1", 2});
  CHECK_FALSE(order.empty());
}
