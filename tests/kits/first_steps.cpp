#include "support/catch.hpp"

#include <ilm/testing/backend_kit.hpp>

#include <iostream>
#include <map>
#include <optional>

// The store that include/ilm/backends/README.md shows, tried as that page says.

namespace {

// [store]
template <class PeerId>
class simple_backend {
 public:
  static constexpr ilm::durability durable_to = ilm::durability::process;

  asio::awaitable<ilm::store_state<PeerId>> open() {
    ilm::store_state<PeerId> state;
    state.local = local_;
    state.local_id = local_id_;
    for (const auto& [peer, s] : peers_) state.peers.emplace_back(peer, s.where);
    co_return state;
  }

  asio::awaitable<void> commit(const ilm::batch<PeerId>& change) {
    if (change.new_incarnation) local_ = *change.new_incarnation;
    if (change.new_local_id) local_id_ = change.new_local_id;
    for (const ilm::peer_change<PeerId>& c : change.changes) {
      peer_record& s = peers_[c.peer];
      for (const ilm::stored_message& m : c.outbox) s.outbox.emplace(m.index, m);
      for (const ilm::stored_message& m : c.inbox) s.inbox.emplace(m.index, m);
      s.outbox.erase(s.outbox.begin(), s.outbox.lower_bound(c.next.outbox.first));
      s.inbox.erase(s.inbox.begin(), s.inbox.lower_bound(c.next.inbox.first));
      s.where = c.next;
    }
    for (const PeerId& peer : change.forgotten) peers_.erase(peer);
    co_return;
  }

  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const PeerId& peer,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    std::vector<ilm::stored_message> page;
    auto known = peers_.find(peer);
    if (known == peers_.end()) co_return page;
    const messages& all = which == ilm::queue::outbox ? known->second.outbox : known->second.inbox;
    std::size_t bytes = 0;
    for (auto m = all.find(from); m != all.end() && page.size() < limit.messages; ++m) {
      bytes += m->second.size();
      if (bytes > limit.bytes && !page.empty()) break;
      page.push_back(m->second);
    }
    co_return page;
  }

  asio::awaitable<void> close() { co_return; }

 private:
  using messages = std::map<std::uint64_t, ilm::stored_message>;
  struct peer_record {
    ilm::cursors where;
    messages outbox, inbox;
  };

  ilm::incarnation local_;
  std::optional<PeerId> local_id_;
  std::map<PeerId, peer_record> peers_;
};
static_assert(ilm::backend<simple_backend<std::string>, std::string>);
// [store]

// [kit]
struct simple_stores {
  static constexpr bool one_handle = true;  // the store is in the handle
  simple_backend<std::string> operator()(unsigned) { return {}; }
};

// [kit]

}  // namespace

TEST_CASE("the store that the pages show keeps its contract") {
  // [kit]
  asio::io_context context;
  auto report = [](const ilm::testing::kit_report<ilm::testing::backend_clause>& r) {
    if (r.outcome != ilm::testing::kit_outcome::broken) return;
    std::cerr << r.text << "\n  found: " << r.found << '\n';
  };
  bool kept{ilm::testing::try_backend(context, simple_stores(), report)};
  // [kit]
  CHECK(kept);
}
