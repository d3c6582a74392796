#pragma once

// The engine and the application: handing messages over, one at a time for each peer.

#include <ilm/runtime/engine.hpp>

#include <algorithm>
#include <exception>
#include <type_traits>
#include <utility>

namespace ilm::runtime {

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::handover_loop(engine_pointer self,
                                                                               peer_type& p) {
  for (unsigned count = 1; !self->stopped_; ++count) {
    const stored_message* next =
        self->life_ == life::closing ? nullptr : p.core.poll_delivery(now());
    if (next == nullptr) {
      co_await p.handover.wait();
      continue;
    }
    message<peer_id> m(p.id, next->sequence, next->contents, next->index);
    p.handing = true;
    std::exception_ptr failed;
    try {
      using result = std::invoke_result_t<Delivery&, message<peer_id>>;
      if constexpr (std::is_void_v<result>) {
        self->delivery_(std::move(m));
      } else {
        co_await self->delivery_(std::move(m));
      }
    } catch (...) {
      failed = std::current_exception();
    }
    p.handing = false;
    self->closing_wake_.notify();
    if (self->stopped_) break;
    if (!failed) {
      ++p.taken;
      p.core.handle_consumed(now());
      // The next call may wait for long: what is taken goes to the store without it.
      self->want_commit(p);
    } else if (self->life_ != life::closing) {
      p.core.handle_delivery_failed(code_of(failed), now());
    }
    // Drain up to 64 deliveries before the others get their turn.
    if (failed || !p.core.has_delivery(now()) || count % 64 == 0) {
      self->service(p);
      co_await self->yield();
    }
  }
}

}  // namespace ilm::runtime
