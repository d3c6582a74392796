#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/networks/tcp/address.hpp>

#include <asio/buffer.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <system_error>

namespace ilm::inline v0::detail::tcp {

/// The transport under a connection: bytes both ways, whole and in order. At most one read and one
/// write run at a time, and the stream outlives them; `write_some` may be called meanwhile.
class stream {
 public:
  using buffers = std::span<const asio::const_buffer>;

  virtual ~stream() = default;

  virtual asio::any_io_executor executor() = 0;
  /// The other end, as it is reported; empty before it is connected.
  virtual std::string remote() const = 0;

  /// Of a side that dials.
  virtual asio::awaitable<std::error_code> connect(address to) = 0;
  /// The words of both sides before the first byte, if there are any.
  virtual asio::awaitable<failure> open() = 0;

  /// Bytes that it has taken, or made by itself, and the system has not: `async_write_some` passes
  /// them on, and until then `write_some` takes none.
  virtual std::size_t unsent() const noexcept = 0;
  /// How many bytes it took at once. `parts` are pairs of the two parts of a frame, or a single
  /// message. Error: asio::error::would_block.
  virtual std::size_t write_some(buffers parts, std::error_code& failed) = 0;
  virtual asio::awaitable<std::size_t> async_write_some(buffers parts, std::error_code& failed) = 0;
  /// Completes with 0 bytes and no error where all that arrived has made bytes that are unsent.
  virtual asio::awaitable<std::size_t> async_read_some(std::span<std::byte> space,
                                                       std::error_code& failed) = 0;

  /// Says that no bytes follow, and why.
  virtual void shut_down(std::error_code why) = 0;
  /// Ends the operations that are under way.
  virtual void cancel() = 0;
  /// Tells the other side why, if it can be told at once.
  virtual void close(std::error_code why) = 0;
};

}  // namespace ilm::inline v0::detail::tcp
