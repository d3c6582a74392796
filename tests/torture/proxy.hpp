#pragma once

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

/// What a proxy does to a connection.
enum class cut : std::uint8_t {
  reset,       ///< ends it by a reset; what is under way is lost
  early,       ///< resets the next one within its first bytes
  half_close,  ///< ends one direction only
  stall,       ///< holds everything back for a while
  silence,     ///< holds everything back until one side gives up
  trickle,     ///< passes on a few bytes at a time
};
inline constexpr std::size_t cut_kinds = 6;

std::string_view name_of(cut kind) noexcept;

struct proxied_connection;

/// Passes on what comes to a port of its own to where its peer listens at the time.
class proxy {
 public:
  proxy(asio::io_context& context, std::uint64_t seed);
  proxy(const proxy&) = delete;
  proxy& operator=(const proxy&) = delete;
  ~proxy();

  std::uint16_t port() const { return port_; }
  /// 0: nobody listens.
  void forward_to(std::uint16_t target) noexcept { target_ = target; }

  /// False if there is no connection to do it to.
  bool apply(cut kind);
  /// Connections that were held back to the end are reset, and what comes is passed on.
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
