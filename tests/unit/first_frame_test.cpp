#include "support/catch.hpp"
#include "support/written_frame.hpp"

#include <ilm/protocol/first_frame.hpp>

#include <string_view>

using namespace ilm;
using namespace ilm::protocol;

namespace {

/// Alice's frame to `destination`, as bob reads it: with a hello, and perhaps a challenge.
first_frame read_by_bob(std::string_view destination, bool challenge) {
  association_setup bobs;
  bobs.local_id = bytes(std::string_view("bob"));
  bobs.peer_id = bytes(std::string_view("alice"));
  bobs.frame_limit = 4096;
  bytes to(destination);
  frame f;
  f.hello.emplace();
  f.hello->nonce = 1;
  f.hello->echo = 2;
  f.hello->claim.mark = f.hello->stream = stamp{1, 3};
  f.hello->base = 1;
  f.hello->source = bobs.peer_id.view();
  f.hello->destination = to.view();
  if (challenge) f.challenge = 9;
  return read_first_frame(test::written(f, true), bobs);
}

}  // namespace

TEST_CASE("a first frame with a hello for another peer is wrong, and its challenge asks nothing") {
  for (bool challenge : {false, true}) {
    first_frame good = read_by_bob("bob", challenge);
    CHECK_FALSE(good.wrong);
    CHECK(good.challenges == challenge);
    first_frame other = read_by_bob("bobby", challenge);
    CHECK(other.wrong == error::wrong_destination);
    CHECK_FALSE(other.challenges);
  }
}
