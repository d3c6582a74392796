#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/networks/tcp/handshake.hpp>
#include <ilm/networks/tcp/remote_address.hpp>
#include <ilm/networks/tcp/sessions.hpp>

#include <asio/error.hpp>

#include <cassert>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Turns connections into sessions by the handshake, or rejects them.
class session_builder {
 public:
  session_builder(std::shared_ptr<const configuration> c, std::shared_ptr<sessions> s)
      : configuration_(std::move(c)), sessions_(std::move(s)) {}

  /// From the first byte to a session, within the deadline of the connection. `peer` names the peer
  /// that was dialed; otherwise it becomes the claimed id. A connection that fails is to be
  /// rejected.
  asio::awaitable<failure> establish(std::shared_ptr<connection> c,
                                     std::optional<byte_string>& peer) {
    assert(c->dialed() == peer.has_value());
    failure failed;
    try {
      connections_.insert(c);
      failed = co_await c->open();
      if (!failed) failed = co_await negotiate(c, peer);
      if (failed && c->refused()) failed = failure_of_refusal(c->remote(), c->refusal());
    } catch (...) {
      failed = failure_of(std::current_exception());
    }
    if (!failed) connections_.erase(c);
    assert(failed || peer.has_value());
    co_return failed;
  }

  /// Closes a connection after telling the other side why, if it can be told.
  asio::awaitable<void> reject(std::shared_ptr<connection> c, std::error_code why) {
    assert(why);
    try {
      bool cannot_read_refusal = c->refused() || why == tcp_error::not_ilm;
      bool can_be_told = is_reason(why) || is_of_transport(why);
      if (!cannot_read_refusal && c->is_open() && can_be_told) co_await c->refuse(why);
    } catch (...) {
      // It goes without a word.
    }
    c->close(why);
    connections_.erase(c);
  }

  void close() {
    closed_ = true;
    for (const auto& c : std::exchange(connections_, {})) c->close();
  }

 private:
  asio::awaitable<failure> negotiate(const std::shared_ptr<connection>& c,
                                     std::optional<byte_string>& peer) {
    handshake h(c->dialed(), make_hello(peer), configuration_->options.prove);
    failure failed = co_await exchange_messages(*c, h, peer);
    if (failed) co_return failed;
    frame_macs macs = h.macs();
    if (!h.leads()) {
      message_header header;
      byte_string message;
      std::error_code cut = co_await c->read_message(header, message);
      if (cut) co_return cut;
      if (header.type != message_type::go) co_return tcp_error::malformed_handshake;
      std::error_code altered = check_go(message, macs.incoming);
      if (altered) co_return altered;
    }
    if (closed_ || !c->is_open()) co_return asio::error::operation_aborted;
    // Since the hello, others may have taken the places, and the address book may have changed.
    if (failure refused = check_peer(*c, *peer, h.theirs().instance)) co_return refused;
    byte_string first;
    if (h.leads()) {
      if (sessions_->collides(*peer, *c, h.theirs().instance)) {
        co_return tcp_error::already_connected;
      }
      first = make_go(macs.outgoing);
    }
    co_return sessions_->begin(*peer, c, h.theirs().instance, first, std::move(macs));
  }

  hello make_hello(const std::optional<byte_string>& destination) const {
    hello mine;
    mine.keyed = configuration_->options.prove != nullptr;
    mine.maximum_frame_size =
        static_cast<std::uint32_t>(configuration_->options.maximum_frame_size);
    mine.instance = configuration_->instance;
    mine.nonce = random_bytes<32>();
    mine.sender = configuration_->local_id;
    if (destination) mine.destination = *destination;
    return mine;
  }

  /// Until the handshake is proven or has failed.
  asio::awaitable<failure> exchange_messages(connection& c, handshake& h,
                                             std::optional<byte_string>& peer) {
    byte_string answer = h.begin();
    for (;;) {
      if (!answer.empty()) {
        std::error_code failed = co_await c.write_message(answer);
        if (failed) co_return failed;
      }
      if (h.proven()) co_return failure();
      message_header header;
      byte_string message;
      std::error_code cut = co_await c.read_message(header, message);
      if (cut) co_return cut;
      answer.clear();
      failure failed = handle_message(h, header.type, message, answer);
      const byte_string& claimed = h.theirs().sender;
      if (!c.dialed() && !peer && configuration_->is_valid_id(claimed)) peer = claimed;
      if (failed) co_return failed;
      if (!peer) co_return tcp_error::malformed_handshake;
      if (failure refused = check_peer(c, *peer, h.theirs().instance)) co_return refused;
    }
  }

  /// Why a peer that dialed may have no session, if so.
  failure check_peer(connection& c, const byte_string& peer,
                     const session::instance_id& instance) const {
    if (c.dialed()) return {};
    const tcp_options& o = configuration_->options;
    if (o.address_book_only && !sessions_->in_address_book(peer)) {
      return tcp_error::peer_not_accepted;
    }
    try {
      if (o.accept && !o.accept(peer)) return tcp_error::peer_not_accepted;
    } catch (...) {
      return thrown_by_option(tcp_error::peer_not_accepted);
    }
    if (sessions_->is_full_for(peer, c)) return tcp_error::too_many_connections;
    return sessions_->check_takeover(peer, c, instance);
  }

  static failure handle_message(handshake& h, message_type type, byte_view message,
                                byte_string& answer) {
    try {
      return h.handle(type, message, answer);
    } catch (...) {
      return thrown_by_option(tcp_error::no_key_for_peer);
    }
  }

  /// A function of the options threw. That refuses the peer, and the text tells this side why.
  static failure thrown_by_option(tcp_error reason) {
    failure thrown = failure_of(std::current_exception());
    if (thrown.text.empty()) thrown.text = thrown.code.message();
    return failure(reason, std::move(thrown.text));
  }

  std::shared_ptr<const configuration> configuration_;
  std::shared_ptr<sessions> sessions_;
  /// From their first byte to their session, or until they are rejected.
  std::set<std::shared_ptr<connection>> connections_;
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
