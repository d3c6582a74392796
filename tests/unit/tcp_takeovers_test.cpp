#include "support/catch.hpp"

#include <ilm/networks/tcp/takeovers.hpp>

#include <string>

using namespace ilm::detail::tcp;
using namespace std::chrono_literals;

namespace {

byte_string name(const std::string& text) {
  byte_string bytes;
  for (char c : text) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}

constexpr clock::duration tick{1};

}  // namespace

TEST_CASE("the waits between takeovers of one name double up to a bound") {
  takeovers all;
  clock::time_point now{};
  CHECK_FALSE(all.refuses(name("a"), now));
  clock::duration wait = minimum_takeover_wait;
  for (int i = 0; i < 12; ++i) {
    all.record(name("a"), now);
    CHECK(all.refuses(name("a"), now + wait - tick));
    CHECK_FALSE(all.refuses(name("a"), now + wait));
    CHECK_FALSE(all.refuses(name("b"), now));
    now += wait;
    wait = std::min<clock::duration>(2 * wait, maximum_takeover_wait);
  }
  CHECK(wait == maximum_takeover_wait);
}

TEST_CASE("a name that was left in peace begins anew with the shortest wait") {
  takeovers all;
  clock::time_point now{};
  for (int i = 0; i < 5; ++i) all.record(name("a"), now);
  now += 16s + takeover_memory;
  all.record(name("a"), now);
  CHECK(all.refuses(name("a"), now + minimum_takeover_wait - tick));
  CHECK_FALSE(all.refuses(name("a"), now + minimum_takeover_wait));
}

TEST_CASE(
    "takeovers of any number of names are remembered in bounded memory, the latest for sure") {
  takeovers all;
  clock::time_point now{};
  std::size_t refused = 0;
  for (int i = 0; i < 10'000; ++i) all.record(name(std::to_string(i)), now += 1us);
  for (int i = 0; i < 10'000; ++i) refused += all.refuses(name(std::to_string(i)), now) ? 1U : 0U;
  CHECK(refused == takeover_limit);
  for (std::size_t i = 10'000 - takeover_limit; i < 10'000; ++i) {
    CHECK(all.refuses(name(std::to_string(i)), now));
  }
}
