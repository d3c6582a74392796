#include "support/catch.hpp"

#include <ilm/ilm.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <asio/io_context.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

using uuid = std::array<unsigned char, 16>;

// The least type that models each concept, and types that lack one operation of it.

template <class PeerId>
struct minimal_backend {
  static constexpr ilm::durability durable_to = ilm::durability::process;
  asio::awaitable<ilm::store_state<PeerId>> open();
  asio::awaitable<void> commit(const ilm::batch<PeerId>&);
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue, const PeerId&, std::uint64_t,
                                                         ilm::page_limit);
  asio::awaitable<void> close();
};

static_assert(ilm::backend<minimal_backend<int>, int>);
static_assert(ilm::backend<minimal_backend<std::string>, std::string>);
static_assert(ilm::backend<minimal_backend<uuid>, uuid>);
static_assert(ilm::backend<ilm::memory_backend<uuid>, uuid>);
static_assert(!ilm::backend<minimal_backend<std::string>, int>);
static_assert(!ilm::backend<int, int>);

struct immovable_backend : minimal_backend<int> {
  immovable_backend(const immovable_backend&) = delete;
};
struct backend_without_close : minimal_backend<int> {
  void close() = delete;
};
struct backend_that_reads_one : minimal_backend<int> {
  asio::awaitable<ilm::stored_message> read(ilm::queue, const int&, std::uint64_t, ilm::page_limit);
};
struct backend_that_opens_at_once : minimal_backend<int> {
  ilm::store_state<int> open();
};
struct backend_that_changes_the_batch : minimal_backend<int> {
  asio::awaitable<void> commit(ilm::batch<int>&);
};

static_assert(!ilm::backend<immovable_backend, int>);
static_assert(!ilm::backend<backend_without_close, int>);
static_assert(!ilm::backend<backend_that_reads_one, int>);
static_assert(!ilm::backend<backend_that_opens_at_once, int>);
static_assert(!ilm::backend<backend_that_changes_the_batch, int>);

template <class PeerId>
struct minimal_network {
  static constexpr bool reliable = false;
  PeerId local_id();
  std::size_t maximum_frame_size();
  asio::awaitable<void> send(const PeerId&, std::vector<std::byte>);
  asio::awaitable<ilm::network_event<PeerId>> receive();
};

static_assert(ilm::network<minimal_network<int>>);
static_assert(ilm::network<minimal_network<std::string>>);
static_assert(ilm::network<minimal_network<uuid>>);
static_assert(ilm::network<ilm::memory_network<uuid>>);
static_assert(std::same_as<ilm::peer_id_of<minimal_network<uuid>>, uuid>);
static_assert(!ilm::network<int>);

struct immovable_network : minimal_network<int> {
  immovable_network(const immovable_network&) = delete;
};
struct network_that_sends_views : minimal_network<int> {
  asio::awaitable<void> send(int, std::vector<std::byte>&);
};
struct network_that_receives_for_others : minimal_network<int> {
  asio::awaitable<ilm::network_event<std::string>> receive();
};
struct network_without_bound : minimal_network<int> {
  void maximum_frame_size();
};
struct network_of_unsure_reliability : minimal_network<int> {
  struct unsure {};
  static constexpr unsure reliable{};
};

static_assert(!ilm::network<immovable_network>);
static_assert(!ilm::network<network_that_sends_views>);
static_assert(!ilm::network<network_that_receives_for_others>);
static_assert(!ilm::network<network_without_bound>);
static_assert(!ilm::network<network_of_unsure_reliability>);

struct takes_by_value {
  void operator()(ilm::message<int>);
};
struct takes_by_reference {
  asio::awaitable<void> operator()(const ilm::message<int>&);
};
struct takes_anything {
  template <class T>
  void operator()(const T&);
};

static_assert(ilm::delivery<takes_by_value, int>);
static_assert(ilm::delivery<takes_by_reference, int>);
static_assert(ilm::delivery<takes_anything, uuid>);
static_assert(ilm::delivery<void (*)(ilm::message<int>), int>);
static_assert(ilm::delivery<ilm::inbox<uuid>, uuid>);

struct says_whether {
  bool operator()(ilm::message<int>);
};
struct takes_to_change {
  void operator()(ilm::message<int>&);
};
struct takes_nothing {
  void operator()();
};
struct answers_later {
  asio::awaitable<bool> operator()(ilm::message<int>);
};
struct immovable_delivery : takes_by_value {
  immovable_delivery(const immovable_delivery&) = delete;
};

static_assert(!ilm::delivery<takes_by_value, std::string>);
static_assert(!ilm::delivery<says_whether, int>);
static_assert(!ilm::delivery<takes_to_change, int>);
static_assert(!ilm::delivery<takes_nothing, int>);
static_assert(!ilm::delivery<answers_later, int>);
static_assert(!ilm::delivery<immovable_delivery, int>);
static_assert(!ilm::delivery<int, int>);

struct nameless {
  auto operator<=>(const nameless&) const = default;
};

static_assert(ilm::peer_identity<int>);
static_assert(ilm::peer_identity<std::uint64_t>);
static_assert(ilm::peer_identity<std::string>);
static_assert(ilm::peer_identity<uuid>);
static_assert(ilm::peer_identity<std::array<std::byte, 16>>);
static_assert(!ilm::peer_identity<nameless>);
static_assert(!ilm::peer_identity<const char*>);
static_assert(!ilm::peer_identity<std::unique_ptr<int>>);

// A messenger with each kind of peer id.

using simulated = ilm::testing::simulated_clock;

template <class PeerId>
struct kept {
  void operator()(const ilm::message<PeerId>& m) const { all->push_back(m); }
  std::shared_ptr<std::vector<ilm::message<PeerId>>> all =
      std::make_shared<std::vector<ilm::message<PeerId>>>();
};

template <class PeerId>
void exchange(const PeerId& alice, const PeerId& bob) {
  using network = ilm::memory_network<PeerId, simulated>;
  using messenger = ilm::messenger<ilm::memory_backend<PeerId>, network, kept<PeerId>>;
  simulated::reset();
  asio::io_context context;
  {
    ilm::memory_fabric<PeerId, simulated> fabric(1);
    ilm::memory_backend<PeerId> alices, bobs;
    kept<PeerId> at_alice, at_bob;
    auto make = [&](const PeerId& id, auto& store, auto& at) {
      return std::make_unique<messenger>(context, store, fabric.join(id), at);
    };
    auto a = make(alice, alices, at_alice), b = make(bob, bobs, at_bob);
    auto ignore = [](std::error_code e, std::uint64_t) { CHECK_FALSE(e); };
    a->send_to(bob, "to bob", ignore);
    b->send_to(alice, "to alice", ignore);
    REQUIRE(simulated::run_until(
        context, [&] { return at_alice.all->size() == 1 && at_bob.all->size() == 1; }, 60s));
    CHECK(at_bob.all->front().from == alice);
    CHECK(at_bob.all->front().text() == "to bob");
    CHECK(at_alice.all->front().from == bob);
    b.reset();
    a->send_to(bob, "again", ignore);
    simulated::run_for(context, 1s);
    b = make(bob, bobs, at_bob);
    REQUIRE(simulated::run_until(
        context, [&] { return at_bob.all->size() == 2; }, 60s));
    CHECK(at_bob.all->back().sequence == 2);
    a.reset();
    b.reset();
    context.restart();
    context.poll();
  }
  simulated::reset();
}

}  // namespace

TEST_CASE("a messenger works with integers as peer ids") { exchange<std::uint32_t>(7, 8); }

TEST_CASE("a messenger works with strings as peer ids") { exchange<std::string>("alice", "bob"); }

TEST_CASE("a messenger works with UUIDs as peer ids") {
  uuid alice{0x12, 0x34}, bob{0x12, 0x35};
  bob[15] = 0xff;
  exchange(alice, bob);
}
