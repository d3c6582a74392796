#pragma once

// Peers and their sessions.

#include <ilm/networks/tcp/core.hpp>

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

namespace ilm::detail::tcp {

template <class PeerId>
auto core<PeerId>::peer_of(const PeerId& id) -> peer_pointer {
  if (auto at = peers_.find(id); at != peers_.end()) return at->second;
  auto made = std::make_shared<peer_type>(id, encode_id(id), *executor_);
  peers_.emplace(id, made);
  return made;
}

/// Forgets a peer of whom there is nothing to remember: anybody may come under any id.
template <class PeerId>
void core<PeerId>::tidy(const peer_type& p) {
  if (p.session || p.where || p.dial_loop_runs || !p.news.empty()) return;
  auto at = peers_.find(p.id);
  if (at != peers_.end() && at->second.get() == &p) peers_.erase(at);
}

/// Whether both sides dialed at once and this connection is the one too many.
template <class PeerId>
bool core<PeerId>::is_twin(const peer_type& p, const connection& c) const {
  return p.session && p.session->dialed != c.dialed && p.session->instance == c.instance &&
         clock::now() - p.selected_at < tie_window;
}

template <class PeerId>
void core<PeerId>::begin_session(const peer_pointer& p, const connection_pointer& c) {
  if (p->session) detach(p);
  if (p->dialing && p->dialing != c) p->dialing->close();
  leave_newcomers(*c);
  c->enter_session();
  p->session = c;
  p->selected_at = clock::now();
  p->dial_error.clear();
  ++sessions_;
  p->news.begin_session(p->id);
  list(p);
  core_pointer self = this->shared_from_this();
  asio::co_spawn(*executor_, read_loop(self, p, c), asio::detached);
  asio::co_spawn(*executor_, write_loop(self, p, c), asio::detached);
  asio::co_spawn(*executor_, watch(self, p, c), asio::detached);
}

template <class PeerId>
void core<PeerId>::end_session(const peer_pointer& p, const connection_pointer& c,
                               std::error_code why) {
  if (closed_ || p->session != c) return;
  detach(p);
  if (why.category() == tcp_category()) tell(p->id, why);
  // One that ended as soon as it began does not show that all is well.
  if (clock::now() - p->selected_at >= p->delay) p->delay = {};
  back_off(*p);
  p->dial_bell.ring();
  tidy(*p);
}

template <class PeerId>
void core<PeerId>::detach(const peer_pointer& p) {
  drop(std::exchange(p->session, nullptr));
  --sessions_;
  p->news.end_session(p->id);
  if (!p->news.empty()) list(p);
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::read_loop(core_pointer self, peer_pointer p,
                                              connection_pointer c) {
  std::error_code failed;
  try {
    frame_splitter splitter(self->options.maximum_frame_size);
    byte_string frame;
    while (c->open() && !failed) {
      if (p->news.bytes() >= self->options.receive_buffer) {
        c->reading = false;
        co_await c->room_to_read.wait();
        continue;
      }
      // What was not read was not heard either.
      if (!std::exchange(c->reading, true)) c->heard = clock::now();
      std::span<std::byte> space = splitter.space();
      std::size_t size =
          co_await c->socket.async_read_some(asio::buffer(space.data(), space.size()),
                                             asio::redirect_error(asio::use_awaitable, failed));
      if (failed || !c->open()) break;
      c->heard = clock::now();
      splitter.filled(size);
      while (splitter.poll(frame)) {
        if (!frame.empty()) p->news.add_frame(p->id, std::move(frame));
      }
      if (!p->news.empty()) self->list(p);
      if (splitter.too_large()) failed = tcp_error::frame_too_large;
    }
  } catch (const std::bad_alloc&) {
    failed = std::make_error_code(std::errc::not_enough_memory);
  }
  self->end_session(p, c, failed);
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::write_loop(core_pointer self, peer_pointer p,
                                               connection_pointer c) {
  std::error_code failed = co_await c->write_queue();
  self->end_session(p, c, failed);
}

/// Keeps the connection alive, and ends it when it is not.
template <class PeerId>
asio::awaitable<void> core<PeerId>::watch(core_pointer self, peer_pointer p, connection_pointer c) {
  auto interval = std::chrono::duration_cast<clock::duration>(self->options.keepalive_interval);
  auto timeout = std::chrono::duration_cast<clock::duration>(self->options.keepalive_timeout);
  if (interval == clock::duration::zero()) co_return;
  std::error_code failed;
  while (c->open() && !failed) {
    clock::time_point now = clock::now();
    if (!c->reading) c->heard = now;
    if (now - c->heard >= timeout) {
      failed = tcp_error::peer_silent;
    } else if (c->queued() != 0) {
      co_await c->tick.wait_until(std::min(now + interval, c->heard + timeout));
    } else if (now - c->sent >= interval) {
      failed = c->put_frame({});
    } else {
      co_await c->tick.wait_until(std::min(c->sent + interval, c->heard + timeout));
    }
  }
  self->end_session(p, c, failed);
}

}  // namespace ilm::detail::tcp
