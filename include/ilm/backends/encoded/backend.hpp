#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/encoded/store.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/message.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// Puts a type of peer id in front of a store for encoded ones.
template <class PeerId>
class encoded_backend {
 public:
  explicit encoded_backend(std::unique_ptr<encoded_store> store) : store_(std::move(store)) {}

  asio::awaitable<store_state<PeerId>> open() {
    store_state<PeerId> state;
    detail::encoded_store::peer_visitor add_peer = [&state](std::span<const std::byte> peer,
                                                            const cursors& c) {
      state.peers.emplace_back(codec<PeerId>::decode(peer), c);
    };
    detail::encoded_owner owner = co_await store_->open(add_peer);
    state.local = owner.local;
    if (!owner.local_id.empty()) state.local_id = codec<PeerId>::decode(owner.local_id.view());
    co_return state;
  }

  asio::awaitable<void> commit(const batch<PeerId>& change) { return commit(change, nullptr); }

  asio::awaitable<std::vector<stored_message>> read(queue which, const PeerId& peer,
                                                    std::uint64_t from, page_limit limit) {
    return store_->read(which, encode(peer), from, limit);
  }

  asio::awaitable<void> close() { return store_->close(); }

 protected:
  asio::awaitable<void> commit(const batch<PeerId>& change, effect_list* with) {
    detail::encoded_batch encoded(change.new_incarnation);
    if (change.new_local_id) encoded.new_local_id = encode(*change.new_local_id);
    encoded.changes.reserve(change.changes.size());
    for (const peer_change<PeerId>& c : change.changes) {
      encoded.changes.emplace_back(encode(c.peer), c.next, c.outbox, c.inbox);
    }
    for (const PeerId& peer : change.forgotten) encoded.forgotten.push_back(encode(peer));
    encoded.effects = with;
    return store_->commit(std::move(encoded));
  }

 private:
  static std::vector<std::byte> encode(const PeerId& peer) {
    std::vector<std::byte> encoded;
    codec<PeerId>::encode(peer, encoded);
    return encoded;
  }

  std::unique_ptr<detail::encoded_store> store_;
};

ILM_INSTANCE(class encoded_backend<std::string>);

}  // namespace ilm::inline v0::detail
