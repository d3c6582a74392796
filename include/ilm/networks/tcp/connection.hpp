#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/handshake.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/options.hpp>
#include <ilm/networks/tcp/stream.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/steady_timer.hpp>

#include <array>
#include <cassert>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

inline clock::duration to_ticks(tcp_options::duration d) {
  return std::chrono::duration_cast<clock::duration>(d);
}

/// `d` after `t`, or at the end of time.
inline clock::time_point later(clock::time_point t, tcp_options::duration d) {
  clock::duration ticks = to_ticks(d);
  return ticks < clock::time_point::max() - t ? t + ticks : clock::time_point::max();
}

/// A stream to another process, the messages of the handshake over it, and the time that they may
/// take.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(std::unique_ptr<stream> over, bool dialed)
      : stream_(std::move(over)), dialed_(dialed), deadline_(stream_->executor()) {}

  stream& over() noexcept { return *stream_; }
  /// Whether this side dialed.
  bool dialed() const noexcept { return dialed_; }
  bool is_open() const noexcept { return open_; }
  bool timed_out() const noexcept { return timed_out_; }
  /// Whether the other side sent a refusal, and its body.
  bool refused() const noexcept { return refused_; }
  byte_view refusal() const noexcept { return refusal_; }
  /// The other end, as it is reported; empty before it is connected.
  std::string remote() const { return stream_->remote(); }

  /// Has `call` called when the first message of the handshake has arrived.
  void on_first_message(std::function<void()> call) { on_first_message_ = std::move(call); }

  void close(std::error_code why = {}) {
    if (!std::exchange(open_, false)) return;
    stream_->close(why);
    deadline_.cancel();
  }

  /// Closes the connection at the end of `limit`, unless the deadline was cleared by then.
  void set_deadline(tcp_options::duration limit) {
    deadline_set_ = true;
    deadline_.expires_after(to_ticks(limit));
    deadline_.async_wait([weak = weak_from_this()](std::error_code cancelled) {
      std::shared_ptr<connection> self = weak.lock();
      if (cancelled || !self || !self->deadline_set_ || !self->open_) return;
      if (clock::now() < self->deadline_.expiry()) return;  // set anew meanwhile
      self->timed_out_ = true;
      self->close(tcp_error::handshake_timeout);
      assert(self->invariants_hold());
    });
  }

  void clear_deadline() {
    deadline_set_ = false;
    deadline_.cancel();
  }

  /// Sees to all that goes ahead of the first message.
  asio::awaitable<failure> open() {
    failure failed = co_await stream_->open();
    if (failed) failed.code = handshake_error(failed.code);
    co_return failed;
  }

  asio::awaitable<std::error_code> write_message(byte_view message) {
    assert(message.size() >= header_size);
    asio::const_buffer rest = asio::buffer(message.data(), message.size());
    std::error_code failed;
    while (!failed && (rest.size() != 0 || stream_->unsent() != 0)) {
      std::size_t size = co_await stream_->async_write_some(stream::buffers(&rest, 1), failed);
      rest += size;
    }
    co_return handshake_error(failed);
  }

  /// Reads no byte more than the message has.
  asio::awaitable<std::error_code> read_message(message_header& header, byte_string& message) {
    message.resize(header_size);
    std::error_code failed = co_await read(message);
    if (failed) co_return failed;
    failed = read_header(std::span(message).first<header_size>(), header);
    if (failed) co_return failed;
    message.resize(header_size + header.body_size);
    failed = co_await read(std::span(message).subspan(header_size));
    if (failed) co_return failed;
    if (auto call = std::exchange(on_first_message_, nullptr)) call();
    if (header.type != message_type::refusal) co_return failed;
    refused_ = true;
    refusal_.assign(message.begin() + header_size, message.end());
    assert(invariants_hold());
    co_return read_refusal(refusal_);
  }

  /// Closes the connection; sends a refusal first if the socket takes it at once.
  void refuse_at_once(tcp_error reason) {
    if (!open_) return;
    byte_string refusal = make_refusal(reason);
    asio::const_buffer message = asio::buffer(refusal);
    std::error_code ignored;
    stream_->write_some(stream::buffers(&message, 1), ignored);
    close(reason);
  }

  /// The address in a refusal for tcp_error::name_in_use.
  void set_other_address(std::string text) { other_address_ = std::move(text); }

  /// Sends a refusal, if `why` can be the reason of one, and waits until the other side has gone: a
  /// stream that is closed with bytes unread takes back its last bytes. Completes with whether the
  /// other side closed its own.
  asio::awaitable<bool> refuse(std::error_code why, int most_reads = reads_after_refusal) {
    set_deadline(refusal_timeout);
    std::error_code failed;
    if (is_reason(why)) {
      byte_string refusal = make_refusal(static_cast<tcp_error>(why.value()), other_address_);
      failed = co_await write_message(refusal);
    }
    if (failed) co_return false;
    stream_->shut_down(why);
    std::array<std::byte, maximum_message_size> ignored;
    for (int reads = 0; !failed && reads < most_reads; ++reads) {
      co_await stream_->async_read_some(ignored, failed);
    }
    co_return failed == asio::error::eof;
  }

 private:
  bool invariants_hold() const noexcept { return !timed_out_ || (!open_ && deadline_set_); }

  /// Until `space` is full.
  asio::awaitable<std::error_code> read(std::span<std::byte> space) {
    std::error_code failed;
    while (!failed && !space.empty()) {
      std::size_t size = co_await stream_->async_read_some(space, failed);
      space = space.subspan(size);
    }
    co_return handshake_error(failed);
  }

  /// An error of the stream, as the handshake reports it.
  std::error_code handshake_error(std::error_code failed) const {
    if (timed_out_) return tcp_error::handshake_timeout;
    if (!open_) return asio::error::operation_aborted;
    if (failed == asio::error::eof || failed == asio::error::connection_reset ||
        failed == asio::error::broken_pipe) {
      return tcp_error::handshake_cut;
    }
    return failed;
  }

  const std::unique_ptr<stream> stream_;
  const bool dialed_;
  std::function<void()> on_first_message_;
  asio::steady_timer deadline_;
  bool open_ = true;
  bool deadline_set_ = false;
  bool timed_out_ = false;
  bool refused_ = false;
  byte_string refusal_;
  std::string other_address_;
};

}  // namespace ilm::inline v0::detail::tcp
