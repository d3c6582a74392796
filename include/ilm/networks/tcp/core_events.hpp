#pragma once

// The core's side that the messenger sees: events, frames to send, commands, the end.

#include <ilm/networks/tcp/core.hpp>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::detail::tcp {

template <class PeerId>
void core<PeerId>::start(const asio::any_io_executor& executor) {
  executor_ = executor;
  news_bell_.emplace(executor);
  park_bell_.emplace(executor);
  asio::co_spawn(executor, park(this->shared_from_this()), asio::detached);
  if (acceptor_.is_open()) {
    asio::co_spawn(executor, accept_loop(this->shared_from_this()), asio::detached);
  }
  obey_commands();
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::park(core_pointer self) {
  // Where the context is destroyed before the network, this frame goes before the context's
  // services: nothing may be posted from then on.
  struct visit {
    explicit visit(core& c) : mail(c.mail) {
      mail->open(*c.executor_, [weak = c.weak_from_this()] {
        if (core_pointer alive = weak.lock()) alive->obey_commands();
      });
    }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    ~visit() { mail->close(); }
    std::shared_ptr<mailbox<PeerId>> mail;
  };
  visit here(*self);
  while (!self->closed_) co_await self->park_bell_->wait();
}

template <class PeerId>
void core<PeerId>::obey_commands() {
  using type = typename command<PeerId>::type;
  for (command<PeerId>& c : mail->take()) {
    if (closed_) return;
    switch (c.kind) {
      case type::add:
        add_peer(c.peer, std::move(c.where));
        break;
      case type::remove:
        remove_peer(c.peer);
        break;
      case type::reconnect:
        reconnect(c.peer);
        break;
    }
  }
}

template <class PeerId>
void core<PeerId>::close() {
  if (std::exchange(closed_, true)) return;
  mail->close();
  std::error_code ignored;
  acceptor_.close(ignored);
  for (const connection_pointer& c : std::exchange(connections_, {})) c->close();
  for (auto& [id, p] : std::exchange(peers_, {})) {
    p->session.reset();
    p->dialing.reset();
    p->dial_bell.ring();
  }
  with_news_.clear();
  if (news_bell_) news_bell_->ring();
  if (park_bell_) park_bell_->ring();
}

template <class PeerId>
auto core<PeerId>::receive() -> asio::awaitable<event> {
  if (!executor_ && !closed_) start(co_await asio::this_coro::executor);
  for (;;) {
    if (closed_) throw std::system_error(error::network_ended);
    if (std::optional<event> next = poll_event()) co_return std::move(*next);
    co_await news_bell_->wait();
  }
}

/// One event of each peer in turn, so that none keeps the others waiting.
template <class PeerId>
auto core<PeerId>::poll_event() -> std::optional<event> {
  if (!problems_.empty()) {
    event next = std::move(problems_.front());
    problems_.pop_front();
    return next;
  }
  while (!with_news_.empty()) {
    peer_pointer p = std::move(with_news_.front());
    with_news_.pop_front();
    p->listed = false;
    if (p->news.empty()) continue;
    event next = p->news.take();
    if (!p->news.empty()) list(p);
    if (p->session && !p->session->reading && p->news.bytes() < options.receive_buffer) {
      p->session->room_to_read.ring();
    }
    tidy(*p);
    return next;
  }
  return std::nullopt;
}

template <class PeerId>
void core<PeerId>::list(const peer_pointer& p) {
  if (std::exchange(p->listed, true)) return;
  with_news_.push_back(p);
  news_bell_->ring();
}

template <class PeerId>
void core<PeerId>::tell(std::optional<PeerId> whom, std::error_code why) {
  if (closed_ || problems_.size() >= problem_limit) return;
  problems_.push_back(event::problem(std::move(whom), of_the_system(why)));
  news_bell_->ring();
}

/// Anybody can be refused any number of times: what is told of it is limited.
template <class PeerId>
void core<PeerId>::tell_refusal(std::optional<PeerId> whom, std::error_code why) {
  clock::time_point now = clock::now();
  auto regained = (now - refusals_at_) / refusal_told_again;
  if (regained > 0) {
    refusals_left_ = static_cast<unsigned>(std::min<decltype(regained)>(
        refusals_told, static_cast<decltype(regained)>(refusals_left_) + regained));
    refusals_at_ = now;
  }
  if (refusals_left_ == 0) return;
  --refusals_left_;
  tell(std::move(whom), why);
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::send(const PeerId& to, byte_string frame) {
  if (frame.size() > options.maximum_frame_size) throw std::system_error(error::frame_too_large);
  auto at = peers_.find(to);
  // A frame that was made before `up` was received belongs to an earlier session.
  if (frame.empty() || at == peers_.end() || !at->second->news.announced()) co_return;
  peer_pointer p = at->second;
  connection_pointer c = p->session;
  if (std::error_code failed = c->put_frame(std::move(frame))) {
    end_session(p, c, failed);
    co_return;
  }
  while (c->open() && c->queued() > options.send_buffer) co_await c->room_to_send.wait();
}

}  // namespace ilm::detail::tcp
