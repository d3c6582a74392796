#pragma once

#include <ilm/detail/await_into.hpp>
#include <ilm/networks/tcp/remote_address.hpp>
#include <ilm/networks/tcp/stream.hpp>

#include <asio/ip/tcp.hpp>

#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Has the socket send at once, and not block where it is read or written without a wait.
inline void prepare_connected(asio::ip::tcp::socket& s) {
  std::error_code ignored;
  s.set_option(asio::ip::tcp::no_delay(true), ignored);
  s.non_blocking(true, ignored);
}

/// The address of the other end: `0.0.0.0:0` of a socket that has none any more.
inline asio::ip::tcp::endpoint remote_of(const asio::ip::tcp::socket& s) {
  std::error_code ignored;
  return s.remote_endpoint(ignored);
}

/// The bytes of a TCP socket as they are.
class socket_stream final : public stream {
 public:
  /// To dial with.
  explicit socket_stream(asio::any_io_executor executor) : socket_(std::move(executor)) {}
  explicit socket_stream(asio::ip::tcp::socket accepted) : socket_(std::move(accepted)) {
    handle_connected();
  }

  asio::any_io_executor executor() override { return socket_.get_executor(); }
  std::string remote() const override { return remote_; }

  asio::awaitable<std::error_code> connect(address to) override {
    asio::ip::tcp::endpoint endpoint(asio::ip::make_address(to.host), to.port);
    std::error_code failed;
    co_await socket_.async_connect(endpoint, await_into(failed));
    if (!failed) handle_connected();
    co_return failed;
  }

  asio::awaitable<failure> open() override { co_return failure(); }

  std::size_t unsent() const noexcept override { return 0; }
  std::size_t write_some(buffers parts, std::error_code& failed) override {
    return socket_.write_some(parts, failed);
  }
  asio::awaitable<std::size_t> async_write_some(buffers parts, std::error_code& failed) override {
    return socket_.async_write_some(parts, await_into(failed));
  }
  asio::awaitable<std::size_t> async_read_some(std::span<std::byte> space,
                                               std::error_code& failed) override {
    return socket_.async_read_some(asio::buffer(space.data(), space.size()), await_into(failed));
  }

  void shut_down(std::error_code) override {
    std::error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  }
  void cancel() override {
    std::error_code ignored;
    socket_.cancel(ignored);
  }
  void close(std::error_code) override {
    std::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void handle_connected() {
    remote_ = to_text(remote_of(socket_));
    prepare_connected(socket_);
  }

  asio::ip::tcp::socket socket_;
  std::string remote_;
};

}  // namespace ilm::inline v0::detail::tcp
