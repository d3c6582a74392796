#pragma once

// Connections that are to become sessions: accepting them, and the handshake of both sides.

#include <ilm/networks/tcp/core.hpp>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::detail::tcp {

template <class PeerId>
void core<PeerId>::listen(std::string_view text) {
  address where = parse_address(text);
  asio::ip::tcp::endpoint at;
  std::error_code not_numeric;
  at.address(asio::ip::make_address(where.host, not_numeric));
  at.port(where.port);
  if (not_numeric) {
    asio::ip::tcp::resolver resolver(acceptor_.get_executor());
    at = *resolver.resolve(where.host, std::to_string(where.port)).begin();
  }
  acceptor_.open(at.protocol());
  std::error_code failed;
  acceptor_.set_option(asio::ip::tcp::acceptor::reuse_address(true), failed);
  if (!failed) acceptor_.bind(at, failed);
  if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
  if (failed) {
    std::error_code ignored;
    acceptor_.close(ignored);
    throw std::system_error(of_the_system(failed), "cannot listen on " + std::string(text));
  }
  mail->port = acceptor_.local_endpoint().port();
  if (executor_) asio::co_spawn(*executor_, accept_loop(this->shared_from_this()), asio::detached);
}

template <class PeerId>
auto core<PeerId>::add(asio::ip::tcp::socket s, bool dialed) -> connection_pointer {
  auto made = std::make_shared<connection>(std::move(s), dialed);
  connections_.insert(made);
  return made;
}

template <class PeerId>
void core<PeerId>::drop(const connection_pointer& c) {
  c->close();
  leave_newcomers(*c);
  connections_.erase(c);
}

template <class PeerId>
void core<PeerId>::leave_newcomers(connection& c) {
  if (std::exchange(c.newcomer, false)) --newcomers_;
}

/// A peer that has a session already may come again: it takes its own place.
template <class PeerId>
bool core<PeerId>::is_full(const PeerId& newcomer) const {
  if (sessions_ < options.maximum_connections) return false;
  auto at = peers_.find(newcomer);
  return at == peers_.end() || !at->second->session;
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::accept_loop(core_pointer self) {
  asio::steady_timer pause(*self->executor_);
  while (!self->closed_) {
    std::error_code failed;
    asio::ip::tcp::socket accepted = co_await self->acceptor_.async_accept(
        *self->executor_, asio::redirect_error(asio::use_awaitable, failed));
    if (self->closed_) break;
    if (failed) {
      pause.expires_after(std::chrono::duration_cast<clock::duration>(accept_pause));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failed));
      continue;
    }
    if (self->newcomers_ >= self->options.maximum_unauthenticated) {
      self->tell_refusal(std::nullopt, tcp_error::too_many_connections);
      continue;
    }
    connection_pointer c = self->add(std::move(accepted), false);
    c->prepare();
    c->newcomer = true;
    ++self->newcomers_;
    asio::co_spawn(*self->executor_, serve(self, c), asio::detached);
  }
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::serve(core_pointer self, connection_pointer c) {
  std::optional<PeerId> who;
  std::error_code why = co_await self->shake_hands(c, who);
  if (!why || self->closed_) co_return;
  // Who comes and goes without a word is nobody's business; two who dialed at once, neither.
  if (why.category() == tcp_category() && why != tcp_error::handshake_cut &&
      why != tcp_error::already_connected) {
    self->tell_refusal(std::move(who), why);
  }
  co_await self->turn_away(c, why);
}

/// From the first byte to a session. `who` names the peer that is dialed; otherwise it becomes
/// whom the other side claims to be.
template <class PeerId>
asio::awaitable<std::error_code> core<PeerId>::shake_hands(const connection_pointer& c,
                                                           std::optional<PeerId>& who) {
  try {
    co_return co_await agree(c, who);
  } catch (const std::system_error& e) {
    co_return e.code();
  } catch (...) {
    co_return std::make_error_code(std::errc::not_enough_memory);
  }
}

template <class PeerId>
asio::awaitable<std::error_code> core<PeerId>::agree(const connection_pointer& c,
                                                     std::optional<PeerId>& who) {
  c->set_deadline(options.handshake_timeout);
  hello mine;
  mine.keyed = options.prove != nullptr;
  mine.maximum_frame_size = static_cast<std::uint32_t>(options.maximum_frame_size);
  mine.instance = instance_;
  mine.nonce = random_bytes<32>();
  mine.sender = encoded_id_;
  if (who) mine.destination = encode_id(*who);
  handshake h(c->dialed, std::move(mine), options.prove);
  std::error_code why = co_await exchange_messages(c, h, who);
  if (why) co_return why;
  c->instance = h.theirs().instance;
  if (!h.leads()) {
    message_header header;
    byte_string message;
    why = co_await c->read_message(header, message);
    if (why) co_return why;
    if (header.type != message_type::go) co_return tcp_error::malformed_handshake;
  }
  if (closed_ || !c->open()) co_return asio::error::operation_aborted;
  peer_pointer p = peer_of(*who);
  if (h.leads()) {
    if (is_twin(*p, *c)) co_return tcp_error::already_connected;
    why = c->put(make_message(message_type::go));
    if (why) co_return why;
  }
  begin_session(p, c);
  co_return std::error_code();
}

template <class PeerId>
asio::awaitable<std::error_code> core<PeerId>::exchange_messages(const connection_pointer& c,
                                                                 handshake& h,
                                                                 std::optional<PeerId>& who) {
  byte_string answer = h.begin();
  for (;;) {
    if (!answer.empty()) {
      std::error_code failed = co_await c->write_message(answer);
      if (failed) co_return failed;
    }
    if (h.proven()) co_return std::error_code();
    message_header header;
    byte_string message;
    std::error_code failed = co_await c->read_message(header, message);
    if (failed) co_return failed;
    answer.clear();
    failed = digest(h, header.type, message, answer);
    if (!c->dialed && !who) who = decode_id(h.theirs().sender);
    if (failed) co_return failed;
    if (!who) co_return tcp_error::malformed_handshake;
    if (!c->dialed && is_full(*who)) co_return tcp_error::too_many_connections;
  }
}

template <class PeerId>
std::error_code core<PeerId>::digest(handshake& h, message_type type, byte_view message,
                                     byte_string& answer) {
  try {
    return h.handle(type, message, answer);
  } catch (...) {
    return tcp_error::no_key_for_peer;
  }
}

template <class PeerId>
asio::awaitable<void> core<PeerId>::turn_away(const connection_pointer& c, std::error_code why) {
  bool deaf = c->refused || why == tcp_error::not_ilm;
  if (!deaf && c->open() && is_reason(why)) co_await c->refuse(why);
  if (!closed_) drop(c);
}

}  // namespace ilm::detail::tcp
