#include "support/catch.hpp"

#include <ilm/networks/tcp/unauthenticated_places.hpp>

#include <vector>

using namespace ilm::detail::tcp;
using stage = unauthenticated_places::stage;
using ticket = unauthenticated_places::ticket;

namespace {

constexpr address_group a{false, 1}, b{false, 2}, c{true, 1};

struct scene {
  scene(std::size_t maximum, std::size_t per_group) : places(maximum, per_group) {}

  /// Adds a place, and gives up others for it.
  ticket add(const address_group& from, stage s = stage::silent) {
    given_up.clear();
    while (auto t = places.excess(from)) {
      given_up.push_back(*t);
      places.remove(*t);
    }
    ticket t = places.add(from, now);
    places.move(t, s);
    return t;
  }

  clock::time_point now{};
  unauthenticated_places places;
  std::vector<ticket> given_up;
};

using tickets = std::vector<ticket>;

}  // namespace

TEST_CASE("no place is given up while there are enough") {
  scene s(4, 3);
  for (const address_group& from : {a, a, a, b}) {
    s.add(from);
    CHECK(s.given_up.empty());
  }
  CHECK(s.places.size() == 4);
}

TEST_CASE("when the places are taken the oldest of the address that has most goes") {
  scene s(4, 4);
  ticket of_b = s.add(b), first = s.add(a), second = s.add(a);
  s.add(c);
  s.add(b);
  CHECK(s.given_up == tickets{first});
  // Now b has two.
  s.add(c);
  CHECK(s.given_up == tickets{of_b});
  s.add(b);
  // Two of c.
  CHECK(s.given_up.size() == 1);
  CHECK(s.places.contains(second));
}

TEST_CASE("of addresses with as many places the one with the oldest gives it up") {
  scene s(3, 3);
  ticket of_c = s.add(c), of_a = s.add(a), of_b = s.add(b);
  s.add({false, 9});
  CHECK(s.given_up == tickets{of_c});
  s.add({false, 0});
  CHECK(s.given_up == tickets{of_a});
  s.add({false, 5});
  CHECK(s.given_up == tickets{of_b});
}

TEST_CASE("an address beyond its bound gives up its own oldest place") {
  scene s(10, 2);
  ticket of_b = s.add(b), first = s.add(a);
  s.add(a);
  s.add(a);
  CHECK(s.given_up == tickets{first});
  CHECK(s.places.contains(of_b));
  CHECK(s.places.size() == 3);
}

TEST_CASE("an address beyond its bound does so where all places are taken as well") {
  scene s(4, 2);
  s.add(b);
  s.add(b);
  ticket of_a = s.add(a);
  s.add(a);
  s.add(a);
  CHECK(s.given_up == tickets{of_a});
}

TEST_CASE("connections with and without a hello keep half of the places each") {
  bool one_address = GENERATE(true, false);
  stage flood = GENERATE(stage::silent, stage::heard);
  stage kept = flood == stage::silent ? stage::heard : stage::silent;
  scene s(one_address ? 100 : 8, one_address ? 8 : 100);
  std::vector<ticket> honest;
  for (int i = 0; i < 4; ++i) honest.push_back(s.add(a, kept));
  // A connection is silent at first, whatever becomes of it.
  for (int i = 0; i < 100; ++i) s.add(a, flood);
  std::size_t left = 0;
  for (ticket t : honest) left += s.places.contains(t) ? 1U : 0U;
  CHECK(left >= 3);
  CHECK(s.places.size() == 8);
}

TEST_CASE("a refused connection goes first") {
  scene s(3, 3);
  s.add(a);
  ticket refused = s.add(b, stage::refused);
  s.add(a);
  CHECK(s.places.least() == refused);
  s.add(c);
  CHECK(s.given_up == tickets{refused});
}

TEST_CASE("under pressure, and only then, a connection that was silent for too long is overdue") {
  scene s(4, 4);
  ticket heard = s.add(a, stage::heard), silent = s.add(a);
  s.now += pressed_handshake_timeout;
  CHECK_FALSE(s.places.is_pressed());
  CHECK_FALSE(s.places.overdue(s.now));
  s.add(b);
  CHECK(s.places.is_pressed());
  CHECK(s.places.overdue(s.now) == silent);
  CHECK_FALSE(s.places.overdue(s.now - clock::duration(1)));
  s.places.move(silent, stage::heard);
  CHECK_FALSE(s.places.overdue(s.now));
  CHECK(s.places.contains(heard));
}

TEST_CASE("a place that was given up is not moved, and not removed twice") {
  scene s(2, 2);
  ticket t = s.add(a);
  s.places.remove(t);
  s.places.move(t, stage::heard);
  s.places.remove(t);
  CHECK(s.places.size() == 0);
  CHECK_FALSE(s.places.least());
  CHECK_FALSE(s.places.overdue(s.now + std::chrono::hours(1)));
}
