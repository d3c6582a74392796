#pragma once

#include <ilm/networks/tcp/frames.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/buffer.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <deque>
#include <span>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// The bytes that a socket has not taken yet, as pairs of a short head and a body.
class output_queue {
 public:
  bool empty() const noexcept { return parts_.empty(); }
  /// In bytes.
  std::size_t size() const noexcept { return size_; }

  /// Appends `head` and `body`, of which the first `written` bytes are already with the socket.
  void push(byte_view head, byte_string body, std::size_t written) {
    assert(head.size() <= maximum_head_size);
    assert(written == 0 || parts_.empty());
    assert(written < head.size() + body.size());
    if (parts_.empty()) front_written_ = written;
    size_ += head.size() + body.size() - written;
    parts_.emplace_back(head, std::move(body));
    check_invariants();
  }

  /// Fills `buffers` with the front of the queue.
  std::span<const asio::const_buffer> gather(std::span<asio::const_buffer> buffers) const {
    std::size_t count = 0;
    std::size_t skip = front_written_;
    for (const part& p : parts_) {
      if (count + 2 > buffers.size()) break;
      asio::const_buffer head = asio::buffer(p.head.data(), p.head_size);
      buffers[count++] = head + skip;
      buffers[count++] = asio::buffer(p.body) + (skip - std::min(skip, p.head_size));
      skip = 0;
    }
    return buffers.first(count);
  }

  /// Removes the first `written` bytes.
  void consume(std::size_t written) {
    assert(written <= size_);
    size_ -= written;
    front_written_ += written;
    while (!parts_.empty() && front_written_ >= parts_.front().size()) {
      front_written_ -= parts_.front().size();
      parts_.pop_front();
    }
    check_invariants();
  }

 private:
  struct part {
    part(byte_view head_, byte_string body_) : head_size(head_.size()), body(std::move(body_)) {
      std::ranges::copy(head_, head.begin());
    }
    std::size_t size() const noexcept { return head_size + body.size(); }

    std::array<std::byte, maximum_head_size> head{};
    std::size_t head_size;
    byte_string body;
  };

  void check_invariants() const {
    assert(parts_.empty() == (size_ == 0));
    assert(parts_.empty() ? front_written_ == 0 : front_written_ < parts_.front().size());
  }

  std::deque<part> parts_;
  std::size_t size_ = 0;
  std::size_t front_written_ = 0;  ///< bytes of the first part that are with the socket
};

}  // namespace ilm::inline v0::detail::tcp
