#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/bell.hpp>
#include <ilm/networks/tcp/frames.hpp>
#include <ilm/networks/tcp/handshake.hpp>

#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

namespace ilm::detail::tcp {

/// Asio has a category of its own for the system's errors, whose codes equal no std::errc.
inline std::error_code of_the_system(std::error_code e) {
  if (e.category() != asio::error::get_system_category()) return e;
  return {e.value(), std::system_category()};
}

/// One TCP connection, from its first byte to its last: the messages of the handshake, and then the
/// frames that wait to be written. Its coroutines are awaited by one that owns the connection.
class connection : public std::enable_shared_from_this<connection> {
 public:
  connection(asio::ip::tcp::socket s, bool by_this_side)
      : socket(std::move(s)),
        dialed(by_this_side),
        room_to_send(socket.get_executor()),
        room_to_read(socket.get_executor()),
        tick(socket.get_executor()),
        deadline_(socket.get_executor()),
        work_(socket.get_executor()) {}

  asio::ip::tcp::socket socket;
  const bool dialed;
  /// Counts among the unauthenticated.
  bool newcomer = false;
  bool in_session = false;
  bool timed_out = false;
  /// The other side said refusal.
  bool refused = false;
  /// The frames that come are wanted.
  bool reading = true;
  std::array<std::byte, 16> instance{};
  clock::time_point heard = clock::now();
  clock::time_point sent = clock::now();
  bell room_to_send;
  bell room_to_read;
  bell tick;

  bool open() const noexcept { return open_; }

  void close() {
    if (!std::exchange(open_, false)) return;
    std::error_code ignored;
    socket.close(ignored);
    deadline_.cancel();
    for (bell* b : {&room_to_send, &room_to_read, &tick, &work_}) b->ring();
  }

  /// Call it once the socket is connected.
  void prepare() {
    std::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket.non_blocking(true, ignored);
  }

  // The handshake.

  /// Closes the connection unless it is in a session by then.
  void set_deadline(tcp_options::duration limit) {
    deadline_.expires_after(std::chrono::duration_cast<clock::duration>(limit));
    deadline_.async_wait([weak = weak_from_this()](std::error_code cancelled) {
      auto self = weak.lock();
      if (cancelled || !self || self->in_session || !self->open_) return;
      self->timed_out = true;
      self->close();
    });
  }

  void enter_session() {
    in_session = true;
    deadline_.cancel();
    heard = sent = clock::now();
  }

  asio::awaitable<std::error_code> write_message(byte_view message) {
    std::error_code failed;
    co_await asio::async_write(socket, asio::buffer(message.data(), message.size()),
                               asio::redirect_error(asio::use_awaitable, failed));
    co_return in_handshake(failed);
  }

  /// Reads no byte more than the message has.
  asio::awaitable<std::error_code> read_message(message_header& header, byte_string& message) {
    std::error_code failed;
    message.resize(header_size);
    co_await asio::async_read(socket, asio::buffer(message),
                              asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return in_handshake(failed);
    failed = read_header(std::span(message).first<header_size>(), header);
    if (failed) co_return failed;
    message.resize(header_size + header.body_size);
    co_await asio::async_read(socket, asio::buffer(message) + header_size,
                              asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return in_handshake(failed);
    if (header.type != message_type::refusal) co_return failed;
    refused = true;
    co_return read_refusal(byte_view(message).subspan(header_size));
  }

  /// Says why, and waits until the other side has gone: a socket that is closed with bytes unread
  /// takes back what it said last.
  asio::awaitable<void> refuse(std::error_code why) {
    byte_string refusal = make_refusal(static_cast<tcp_error>(why.value()));
    std::error_code failed = co_await write_message(refusal);
    if (failed) co_return;
    socket.shutdown(asio::ip::tcp::socket::shutdown_send, failed);
    std::array<std::byte, maximum_message_size> ignored;
    for (int reads = 0; !failed && reads < 16; ++reads) {
      co_await socket.async_read_some(asio::buffer(ignored),
                                      asio::redirect_error(asio::use_awaitable, failed));
    }
  }

  // Frames.

  std::size_t queued() const noexcept { return queued_; }

  /// Writes at once what the socket takes, and keeps the rest for `write_queue`.
  std::error_code put(byte_view head, byte_string body = {}) {
    std::size_t size = head.size() + body.size();
    std::size_t written = 0;
    if (queue_.empty()) {
      std::array<asio::const_buffer, 2> parts{asio::buffer(head.data(), head.size()),
                                              asio::buffer(body)};
      std::error_code failed;
      written = socket.write_some(parts, failed);
      if (failed && failed != asio::error::would_block && failed != asio::error::try_again) {
        return failed;
      }
      sent = clock::now();
      if (written == size) return {};
      front_written_ = written;
    }
    queue_.emplace_back(head, std::move(body));
    queued_ += size - written;
    work_.ring();
    return {};
  }
  std::error_code put_frame(byte_string frame) {
    std::array<std::byte, frame_prefix_size> prefix = frame_prefix(frame.size());
    return put(prefix, std::move(frame));
  }

  /// Writes the queue until the connection is closed or fails.
  asio::awaitable<std::error_code> write_queue() {
    std::array<asio::const_buffer, 64> parts;
    std::error_code failed;
    while (open_ && !failed) {
      if (queue_.empty()) {
        co_await work_.wait();
        continue;
      }
      std::span<const asio::const_buffer> gathered = gather(parts);
      std::size_t written = co_await socket.async_write_some(
          gathered, asio::redirect_error(asio::use_awaitable, failed));
      consume(written);
      sent = clock::now();
      room_to_send.ring();
    }
    co_return failed;
  }

 private:
  struct outgoing {
    outgoing(byte_view h, byte_string b) : head_size(h.size()), body(std::move(b)) {
      std::ranges::copy(h, head.begin());
    }
    std::size_t size() const noexcept { return head_size + body.size(); }

    std::array<std::byte, header_size> head{};
    std::size_t head_size;
    byte_string body;
  };

  std::error_code in_handshake(std::error_code failed) const {
    if (timed_out) return tcp_error::handshake_timeout;
    if (!open_) return asio::error::operation_aborted;
    if (failed == asio::error::eof || failed == asio::error::connection_reset ||
        failed == asio::error::broken_pipe) {
      return tcp_error::handshake_cut;
    }
    return failed;
  }

  std::span<const asio::const_buffer> gather(std::span<asio::const_buffer> parts) const {
    std::size_t count = 0;
    std::size_t skip = front_written_;
    for (const outgoing& o : queue_) {
      if (count + 2 > parts.size()) break;
      asio::const_buffer head = asio::buffer(o.head.data(), o.head_size);
      parts[count++] = head + skip;
      parts[count++] = asio::buffer(o.body) + (skip - std::min(skip, o.head_size));
      skip = 0;
    }
    return parts.first(count);
  }

  void consume(std::size_t written) {
    queued_ -= written;
    front_written_ += written;
    while (!queue_.empty() && front_written_ >= queue_.front().size()) {
      front_written_ -= queue_.front().size();
      queue_.pop_front();
    }
  }

  bool open_ = true;
  asio::steady_timer deadline_;
  bell work_;
  std::deque<outgoing> queue_;
  std::size_t queued_ = 0;         ///< bytes in the queue that are not written
  std::size_t front_written_ = 0;  ///< bytes of its first that are
};

}  // namespace ilm::detail::tcp
