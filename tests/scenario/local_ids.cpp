#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <array>
#include <optional>

using namespace test;
using ilm::event_kind;

// A store knows the id that it was made under, and opens under no other.

namespace {

/// Everything in the store, as one value.
auto contents_of(world& w, const store& s) {
  ilm::store_state<std::string> state = w.run(open_store(s.copy()));
  return std::make_tuple(state.local, state.local_id, state.peers, s.size(ilm::queue::outbox),
                         s.size(ilm::queue::inbox));
}

/// A backend of the time before stores had a local id, or one that is asked to record its batches.
class recording_backend {
 public:
  static constexpr ilm::durability durable_to = store::durable_to;

  struct record {
    bool keeps_local_id = true;
    std::vector<std::optional<std::string>> local_ids;  ///< of each batch
    std::size_t incarnations = 0;
  };

  recording_backend(store inner, std::shared_ptr<record> r)
      : inner_(std::move(inner)), record_(std::move(r)) {}

  asio::awaitable<ilm::store_state<std::string>> open() {
    ilm::store_state<std::string> state = co_await inner_.open();
    if (!record_->keeps_local_id) state.local_id.reset();
    co_return state;
  }
  asio::awaitable<void> commit(const ilm::batch<std::string>& b) {
    record_->local_ids.push_back(b.new_local_id);
    if (b.new_incarnation) ++record_->incarnations;
    return inner_.commit(b);
  }
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const std::string& peer,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    return inner_.read(which, peer, from, limit);
  }
  asio::awaitable<void> close() { return inner_.close(); }

 private:
  store inner_;
  std::shared_ptr<record> record_;
};

using recorded_messenger = ilm::messenger<recording_backend, network, handler>;

/// A messenger on the store, with this id, sends one message to b.
std::error_code send_one(world& w, const store& s, std::shared_ptr<recording_backend::record> r,
                         const std::string& as) {
  std::optional<std::error_code> result;
  {
    recorded_messenger m(w.context, recording_backend(s, std::move(r)), w.net.join(as),
                         handler(std::make_shared<application>()));
    m.send_to("b", "text", [&](std::error_code failed, std::uint64_t) { result = failed; });
    w.until([&] { return result.has_value(); });
  }
  w.run_for(0s);
  REQUIRE(result);
  return *result;
}

/// The event of a messenger whose store was made under another id.
template <class PeerId>
ilm::event<PeerId> refusal(const PeerId& owner, const PeerId& other) {
  using backend_type = ilm::memory_backend<PeerId>;
  using network_type = ilm::memory_network<PeerId, test::clock>;
  auto ignore = [](const ilm::message<PeerId>&) {};
  using messenger_type = ilm::messenger<backend_type, network_type, decltype(ignore)>;
  world w;
  ilm::memory_fabric<PeerId, test::clock> net;
  backend_type disk;
  {
    messenger_type first(w.context, disk, net.join(owner), ignore);
    w.run_for(1s);
  }
  w.run_for(0s);
  messenger_type second(w.context, disk, net.join(other), ignore);
  std::optional<ilm::event<PeerId>> found;
  second.next_event([&](std::error_code, ilm::event<PeerId> e) { found = std::move(e); });
  w.until([&] { return found.has_value(); });
  REQUIRE(found);
  CHECK(found->kind == event_kind::store_failed);
  CHECK(found->error == ilm::error::store_of_another);
  CHECK_FALSE(found->peer);
  CHECK(found->text.size() <= 512);
  return *found;
}

}  // namespace

TEST_CASE("a store is refused by a messenger with another local id, and both are named") {
  world w;
  peer alice = w.make("alice"), bob = w.make("bob"), zoe = w.make("zoe");
  alice.start();
  REQUIRE(all_stored(store_all(w, alice, "bob", numbered(3))));
  crash(w, alice);
  auto before = contents_of(w, alice.disk());
  CHECK(std::get<1>(before) == "alice");

  zoe.disk() = alice.disk();
  bob.start();
  zoe.start();
  zoe.watch();
  CHECK(store_all(w, zoe, "bob", {"no"})[0]->error == ilm::error::store_of_another);
  w.run_for(10s);
  CHECK(store_all(w, zoe, "bob", {"no"})[0]->error == ilm::error::store_of_another);
  REQUIRE(zoe.events().size() == 1);
  const event& e = zoe.events().front();
  CHECK(e.kind == event_kind::store_failed);
  CHECK(e.error == ilm::error::store_of_another);
  CHECK_THAT(e.text, ContainsSubstring("\"alice\"") && ContainsSubstring("\"zoe\""));
  CHECK_THAT(e.text, ContainsSubstring(e.error.message()));
  CHECK(zoe.store_faults().commits == 0);
  CHECK(zoe.store_faults().reads == 0);
  CHECK(contents_of(w, alice.disk()) == before);

  // Also while the other one tries again and again.
  alice.start();
  REQUIRE(all_stored(store_all(w, alice, "bob", {"3"})));
  REQUIRE(w.until([&] { return empty(alice); }));
  CHECK(bob.app().texts_from("alice") == numbered(4));
  CHECK(bob.app().texts_from("zoe").empty());
}

TEST_CASE("a shutdown while a store is another's ends with that error, and leaves it as it was") {
  world w;
  peer alice = w.make("alice"), zoe = w.make("zoe");
  alice.start();
  REQUIRE(all_stored(store_all(w, alice, "bob", numbered(3))));
  crash(w, alice);
  auto before = contents_of(w, alice.disk());
  zoe.disk() = alice.disk();
  zoe.start();
  std::optional<std::error_code> ended;
  try {
    w.run(zoe.shutdown(10s));
  } catch (const std::system_error& e) {
    ended = e.code();
  }
  CHECK(ended == ilm::error::store_of_another);
  CHECK(contents_of(w, alice.disk()) == before);
  alice.start();
  CHECK(all_stored(store_all(w, alice, "bob", {"3"})));
}

TEST_CASE("the first batch of a new store has the local id, and no other batch has one") {
  world w;
  store disk;
  auto record = std::make_shared<recording_backend::record>();
  CHECK_FALSE(send_one(w, disk, record, "a"));
  CHECK_FALSE(send_one(w, disk, record, "a"));
  REQUIRE(record->local_ids.size() > 2);
  CHECK(record->local_ids.front() == "a");
  for (std::size_t i = 1; i < record->local_ids.size(); ++i) CHECK_FALSE(record->local_ids[i]);
  CHECK(record->incarnations == 1);
}

TEST_CASE(
    "a backend that keeps no local id opens under any, and is never asked to make up for it") {
  world w;
  store disk;
  auto record = std::make_shared<recording_backend::record>();
  record->keeps_local_id = false;
  CHECK_FALSE(send_one(w, disk, record, "a"));
  CHECK_FALSE(send_one(w, disk, record, "z"));
  for (std::size_t i = 1; i < record->local_ids.size(); ++i) CHECK_FALSE(record->local_ids[i]);
}

TEST_CASE("a store of another is named by ids of every type") {
  CHECK_THAT(refusal<int>(7, -9).text, ContainsSubstring("of \"7\", the messenger is \"-9\""));
  using uuid = std::array<unsigned char, 2>;
  CHECK_THAT(refusal<uuid>({1, 2}, {255, 0}).text,
             ContainsSubstring("of \"0102\", the messenger is \"ff00\""));
}

TEST_CASE("a store of another is named by ids that are long or unprintable") {
  std::string owner(200, 'x'), other(200, 'y');
  std::string text = refusal(owner, other).text;
  CHECK_THAT(text, ContainsSubstring(owner.substr(0, 128) + '"'));
  CHECK_THAT(text, ContainsSubstring(other.substr(0, 128) + '"'));
  CHECK_THAT(text, ContainsSubstring(std::error_code(ilm::error::store_of_another).message()));
  using namespace std::string_literals;
  CHECK_THAT(refusal("a\0b\n"s, "\xff"s).text,
             ContainsSubstring(R"(of "a\x00b\n", the messenger is "\xff")"));
}
