#pragma once

#include "asio_setup.hpp"

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

namespace torture {

/// A fault that a proxy causes in a connection.
enum class cut : std::uint8_t {
  reset,       ///< ends it by a reset; bytes under way are lost
  early,       ///< resets the next one within its first bytes
  half_close,  ///< ends one direction only
  stall,       ///< holds everything back for a while
  silence,     ///< holds everything back until one side gives up
  trickle,     ///< passes on a few bytes at a time
};
inline constexpr std::size_t cut_kinds = 6;

std::string_view name_of(cut kind) noexcept;

struct proxied_connection;

/// Forwards connections from a port of its own to the present port of its peer.
class proxy {
 public:
  proxy(asio::io_context& context, std::uint64_t seed);
  proxy(const proxy&) = delete;
  proxy& operator=(const proxy&) = delete;
  ~proxy();

  std::uint16_t port() const { return port_; }
  /// 0: the peer does not listen.
  void forward_to(std::uint16_t target) noexcept { target_ = target; }

  /// False if there is no connection.
  bool apply(cut kind);
  /// Resets connections that are still held back, and forwards all later ones without faults.
  void calm();

 private:
  using connection_pointer = std::shared_ptr<proxied_connection>;

  asio::awaitable<void> accept();
  asio::awaitable<void> serve(connection_pointer c);
  connection_pointer any();
  std::uint64_t draw(std::uint64_t bound) { return random_() % bound; }

  asio::io_context& context_;
  std::mt19937_64 random_;
  asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::uint16_t target_ = 0;
  bool cut_early_ = false;
  std::vector<std::weak_ptr<proxied_connection>> connections_;
};

}  // namespace torture
