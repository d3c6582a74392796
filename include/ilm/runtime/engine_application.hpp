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
  protocol::duration wait{};
  for (unsigned count = 1; !self->stopped_; ++count) {
    const stored_message* next = p.core.poll_delivery();
    if (next == nullptr || self->life_ == life::closing || p.retry_handover_at != protocol::never) {
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
      wait = {};
      ++p.taken;
      p.core.handle_taken();
      // The next call may wait for long: what is taken goes to the store without it.
      self->want_commit(p);
    } else if (self->life_ != life::closing) {
      wait = std::clamp(wait * 2, self->options_.minimum_redelivery_delay,
                        self->options_.maximum_redelivery_delay);
      self->handle_delivery_failed(p, code_of(failed), wait);
    }
    // All that is here goes before the rest of the world hears of it, within reason.
    if (p.core.poll_delivery() == nullptr || failed || count % 64 == 0) {
      self->service(p);
      co_await self->yield();
    }
  }
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::handle_delivery_failed(peer_type& p,
                                                                       std::error_code why,
                                                                       protocol::duration wait) {
  protocol::notice n(event_kind::delivery_failed, why);
  std::uint64_t sequence = p.core.poll_delivery()->sequence;
  n.inbound = sequence_range{sequence, sequence};
  events_.put(event_type(p.id, n));
  p.retry_handover_at = now() + wait;
}

}  // namespace ilm::runtime
