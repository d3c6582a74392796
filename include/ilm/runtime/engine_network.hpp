#pragma once

// The engine and its network: frames in and out, presence.

#include <ilm/runtime/engine.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

namespace ilm::runtime {

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::receive_loop(engine_pointer self) {
  std::exception_ptr failed;
  {
    use using_network(*self, self->network_users_);
    try {
      for (unsigned count = 1; !self->stopped_; ++count) {
        network_event<peer_id> e = co_await self->network_->receive();
        if (self->stopped_) break;
        self->handle(e);
        // A network that always has something must not starve the rest.
        if (count % 8 == 0) co_await self->yield();
      }
    } catch (...) {
      failed = std::current_exception();
    }
  }
  if (self->stopped_ || !failed) co_return;
  self->tell(event_kind::network_ended, code_of(failed));
  for (auto& [id, p] : self->peers_) {
    p->core.handle_session_down();
    self->service(*p);
  }
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::handle(const network_event<peer_id>& e) {
  using type = typename network_event<peer_id>::type;
  if (e.kind == type::problem) {
    std::optional<peer_id> whose;
    if (e.named) whose = e.peer;
    return events_.put(
        event_type(std::move(whose), event_record(event_kind::network_problem, e.error)));
  }
  if (e.peer == self_ || (e.kind == type::down && !peers_.contains(e.peer))) return;
  std::error_code unusable;
  peer_type* found = peer_of(e.peer, unusable);
  if (found == nullptr) return tell(event_kind::frame_rejected, unusable);
  peer_type& p = *found;
  if (e.kind != type::frame) ++p.sessions;
  switch (e.kind) {
    case type::up:
      p.core.handle_session_up(now());
      break;
    case type::down:
      p.core.handle_session_down();
      break;
    case type::frame:
      ++p.frames_received;
      p.core.handle_frame(e.bytes, now());
      break;
    case type::problem:
      break;
  }
  service(p);
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::write_loop(engine_pointer self,
                                                                            peer_type& p) {
  std::size_t usual = 0;
  while (!self->stopped_) {
    std::vector<std::byte> frame;
    frame.reserve(usual);
    if (!p.core.poll_frame(frame, now())) {
      self->tell_events(p);
      self->publish(p);
      self->closing_wake_.notify();
      co_await p.write.wait();
      continue;
    }
    usual = frame.size();
    ++p.frames_sent;
    p.writing = true;
    self->arm(p);
    bool failed = false;
    std::uint64_t session = p.sessions;
    {
      use using_network(*self, self->network_users_);
      try {
        co_await self->network_->send(p.id, std::move(frame));
      } catch (...) {
        failed = true;
      }
    }
    p.writing = false;
    if (self->stopped_) break;
    // What failed may belong to a session that the network has replaced meanwhile.
    if (failed && Network::reliable && session == p.sessions) {
      p.core.handle_session_down();
      self->service(p);
    }
  }
}

}  // namespace ilm::runtime
