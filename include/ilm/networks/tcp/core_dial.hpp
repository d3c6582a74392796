#pragma once

// Dialing the peers of the address book.

#include <ilm/networks/tcp/core.hpp>

#include <asio/redirect_error.hpp>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::detail::tcp {

template <class PeerId>
void core<PeerId>::add_peer(const PeerId& id, address where) {
  peer_pointer p = peer_of(id);
  if (p->where == where) return;
  p->where = std::move(where);
  give_up_dial(*p);
  if (std::exchange(p->dial_loop_runs, true)) return;
  asio::co_spawn(*executor_, dial_loop(this->shared_from_this(), p), asio::detached);
}

template <class PeerId>
void core<PeerId>::remove_peer(const PeerId& id) {
  auto at = peers_.find(id);
  if (at == peers_.end()) return;
  peer_pointer p = at->second;
  p->where.reset();
  give_up_dial(*p);
  if (connection_pointer c = p->session) end_session(p, c, {});
  tidy(*p);
}

template <class PeerId>
void core<PeerId>::reconnect(const PeerId& id) {
  auto at = peers_.find(id);
  if (at != peers_.end() && !at->second->session) give_up_dial(*at->second);
}

/// An attempt that is under way is out of date; the next one is due at once.
template <class PeerId>
void core<PeerId>::give_up_dial(peer_type& p) {
  p.hinted = true;
  p.delay = {};
  p.dial_at = {};
  p.dial_error.clear();
  if (p.dialing) p.dialing->close();
  p.dial_bell.ring();
}

template <class PeerId>
void core<PeerId>::back_off(peer_type& p) {
  p.delay =
      std::clamp(2 * p.delay, options.minimum_reconnect_delay, options.maximum_reconnect_delay);
  std::uniform_int_distribution<tcp_options::duration::rep> drawn(p.delay.count() / 2,
                                                                  p.delay.count());
  tcp_options::duration wait(drawn(jitter_));
  p.dial_at = clock::now() + std::chrono::duration_cast<clock::duration>(wait);
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::dial_loop(core_pointer self, peer_pointer p) {
  while (!self->closed_ && p->where) {
    if (p->session) {
      co_await p->dial_bell.wait_until(clock::time_point::max());
    } else if (clock::now() < p->dial_at) {
      co_await p->dial_bell.wait_until(p->dial_at);
    } else {
      p->hinted = false;
      std::error_code why = co_await self->dial(p);
      if (self->closed_ || !why || p->session || p->hinted) continue;
      self->back_off(*p);
      if (why != tcp_error::already_connected && why != asio::error::operation_aborted &&
          why != std::exchange(p->dial_error, why)) {
        self->tell(p->id, why);
      }
    }
  }
  p->dial_loop_runs = false;
  if (!self->closed_) self->tidy(*p);
}

/// Tries the addresses of the peer, one after the other. What a handshake failed for tells more
/// than that nobody was at another address.
template <class PeerId>
asio::awaitable<std::error_code> core<PeerId>::dial(const peer_pointer& p) {
  address where = *p->where;
  std::vector<asio::ip::tcp::endpoint> endpoints;
  std::error_code why = co_await resolve(where, endpoints);
  for (const asio::ip::tcp::endpoint& to : endpoints) {
    if (closed_ || p->session || p->hinted) co_return asio::error::operation_aborted;
    std::error_code failed = co_await dial(p, to);
    if (!failed) co_return failed;
    if (why.category() != tcp_category()) why = failed;
  }
  co_return why;
}

template <class PeerId>
asio::awaitable<std::error_code> core<PeerId>::dial(const peer_pointer& p,
                                                    asio::ip::tcp::endpoint to) {
  connection_pointer c = add(asio::ip::tcp::socket(*executor_), true);
  p->dialing = c;
  c->set_deadline(options.handshake_timeout);
  std::error_code failed;
  co_await c->socket.async_connect(to, asio::redirect_error(asio::use_awaitable, failed));
  if (!c->open()) failed = c->timed_out ? asio::error::timed_out : asio::error::operation_aborted;
  if (!failed) {
    c->prepare();
    std::optional<PeerId> who = p->id;
    failed = co_await shake_hands(c, who);
  }
  if (p->dialing == c) p->dialing.reset();
  if (failed) co_await turn_away(c, failed);
  co_return failed;
}

template <class PeerId>
asio::awaitable<std::error_code> core<PeerId>::resolve(
    const address& where, std::vector<asio::ip::tcp::endpoint>& found) {
  std::error_code failed;
  asio::ip::address numeric = asio::ip::make_address(where.host, failed);
  if (!failed) {
    found.emplace_back(numeric, where.port);
    co_return failed;
  }
  asio::ip::tcp::resolver resolver(*executor_);
  asio::ip::tcp::resolver::results_type all = co_await resolver.async_resolve(
      where.host, std::to_string(where.port), asio::redirect_error(asio::use_awaitable, failed));
  for (const auto& entry : all) {
    if (found.size() < endpoint_limit) found.push_back(entry.endpoint());
  }
  co_return failed;
}

}  // namespace ilm::detail::tcp
