#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/await_into.hpp>
#include <ilm/networks/tcp/configuration.hpp>
#include <ilm/networks/tcp/frames.hpp>
#include <ilm/networks/tcp/socket_stream.hpp>
#include <ilm/networks/tcp/stream.hpp>
#include <ilm/networks/websocket/close_code.hpp>
#include <ilm/networks/websocket/messages.hpp>
#include <ilm/networks/websocket/options.hpp>
#include <ilm/networks/websocket/upgrade.hpp>
#include <ilm/networks/websocket/url.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::websocket {

/// The messages of a WebSocket over a TCP socket.
class socket_stream final : public tcp::stream {
 public:
  /// To dial with.
  socket_stream(asio::any_io_executor executor, std::shared_ptr<const websocket_options> o)
      : options_(std::move(o)), dialed_(true), socket_(std::move(executor)) {}
  socket_stream(asio::ip::tcp::socket accepted, std::shared_ptr<const websocket_options> o)
      : options_(std::move(o)), dialed_(false), socket_(std::move(accepted)) {
    handle_connected();
  }

  asio::any_io_executor executor() override { return socket_.get_executor(); }
  std::string remote() const override { return remote_; }

  asio::awaitable<std::error_code> connect(tcp::address to) override {
    assert(dialed_);
    asio::ip::tcp::endpoint endpoint(asio::ip::make_address(to.host), to.port);
    std::error_code failed;
    co_await socket_.async_connect(endpoint, await_into(failed));
    if (!failed) handle_connected();
    url_ = std::move(to.url);
    co_return failed;
  }

  asio::awaitable<failure> open() override {
    assert(!messages_);
    failure failed;
    if (dialed_) {
      failed = co_await ask();
    } else {
      failed = co_await answer();
    }
    if (!failed) begin_messages();
    co_return failed;
  }

  std::size_t unsent() const noexcept override { return out_.size() + sending_.size() - sent_; }

  std::size_t write_some(buffers parts, std::error_code& failed) override {
    if (!messages_ || unsent() != 0) {
      failed = asio::error::would_block;
      return 0;
    }
    std::size_t taken = messages_->append(parts, out_);
    failed = write_at_once();
    return failed ? 0 : taken;
  }

  asio::awaitable<std::size_t> async_write_some(buffers parts, std::error_code& failed) override {
    co_await flush(failed);
    std::size_t taken = 0;
    while (!failed && !parts.empty() && out_.size() < gathered_size) {
      buffers frame = parts.first(std::min<std::size_t>(2, parts.size()));
      taken += messages_->append(frame, out_);
      parts = parts.subspan(frame.size());
    }
    co_await flush(failed);
    co_return failed ? 0 : taken;
  }

  asio::awaitable<std::size_t> async_read_some(std::span<std::byte> space,
                                               std::error_code& failed) override {
    while (taken_ == contents_.size()) {
      if (ended_) {
        failed = ended_;
        co_return 0;
      }
      if (raw_size_ == 0) raw_size_ = co_await read_raw(failed);
      if (failed) co_return 0;
      contents_.clear();
      taken_ = 0;
      if (!messages_) raw_size_ = 0;  // it never began, and waits for the other side to go
      if (raw_size_ == 0) co_return 0;
      take_raw();
      if (sending_.empty() && !out_.empty()) failed = write_at_once();  // the answers to pings
      // Bytes of the other side, if none for the reader: it is not silent.
      if (failed || (contents_.empty() && !ended_)) co_return 0;
    }
    std::size_t size = std::min(space.size(), contents_.size() - taken_);
    std::memcpy(space.data(), contents_.data() + taken_, size);
    taken_ += size;
    co_return size;
  }

  void shut_down(std::error_code why) override {
    say_close(why);
    std::error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  }
  void cancel() override {
    std::error_code ignored;
    socket_.cancel(ignored);
  }
  void close(std::error_code why) override {
    say_close(why);
    std::error_code ignored;
    socket_.close(ignored);
  }

 private:
  void handle_connected() {
    remote_ = tcp::to_text(tcp::remote_of(socket_));
    tcp::prepare_connected(socket_);
  }

  /// The dialer's part of the handshake.
  asio::awaitable<failure> ask() {
    std::string key = to_base64(tcp::random_bytes<16>());
    std::string request = make_request(parse_url(url_, options_->path), key);
    std::error_code failed = co_await write_text(std::move(request));
    std::string text;
    if (!failed) failed = co_await read_head(text);
    if (failed) co_return failed;
    std::optional<http_head> head = http_head::parse(text);
    if (!head) co_return websocket_error::malformed_http;
    co_return check_answer(*head, key);
  }

  /// The acceptor's part.
  asio::awaitable<failure> answer() {
    std::string text;
    std::error_code failed = co_await read_head(text);
    std::optional<http_head> head;
    if (!failed) head = http_head::parse(text);
    if (!failed && !head) failed = websocket_error::malformed_http;
    if (!failed) failed = check_request(*head, options_->path, options_->allowed_origins);
    if (failed == websocket_error::not_upgraded && options_->on_http_request) {
      co_return hand_over(std::move(text));
    }
    if (failed && failed.category() != websocket_category()) co_return failed;
    answered_ = true;
    std::string said = failed ? make_rejection(failed) : make_acceptance(*head);
    std::error_code cut = co_await write_text(std::move(said));
    if (!failed) failed = cut;
    co_return failed;
  }

  /// To the application, which answers it.
  failure hand_over(std::string text) {
    text.append(reinterpret_cast<const char*>(raw_.data()), raw_size_);
    try {
      options_->on_http_request(std::move(socket_), std::move(text));
    } catch (...) {
      return failure_of(std::current_exception());
    }
    return failure(asio::error::operation_aborted);
  }

  /// Reads a whole head into `text`, and keeps the bytes behind it.
  asio::awaitable<std::error_code> read_head(std::string& text) {
    std::optional<std::size_t> end;
    while (!end && text.size() < maximum_http_head) {
      std::error_code failed;
      std::size_t size = co_await read_raw(failed);
      if (failed) co_return failed;
      text.append(reinterpret_cast<const char*>(raw_.data()), size);
      end = end_of_head(text);
    }
    if (!end || *end > maximum_http_head) co_return websocket_error::malformed_http;
    raw_size_ = text.size() - *end;
    assert(raw_size_ <= raw_.size());
    std::memcpy(raw_.data(), text.data() + *end, raw_size_);
    text.resize(*end);
    co_return std::error_code();
  }

  asio::awaitable<std::size_t> read_raw(std::error_code& failed) {
    raw_.resize(raw_buffer_size);
    return socket_.async_read_some(asio::buffer(raw_), await_into(failed));
  }

  asio::awaitable<std::error_code> write_text(std::string text) {
    std::error_code failed;
    asio::const_buffer rest = asio::buffer(text);
    while (!failed && rest.size() != 0) {
      std::size_t size = co_await socket_.async_write_some(rest, await_into(failed));
      rest += size;
    }
    co_return failed;
  }

  void begin_messages() {
    std::size_t maximum = std::max(options_->maximum_frame_size + tcp::maximum_head_size,
                                   2 * tcp::maximum_message_size);
    messages::mask_source mask;
    if (dialed_) mask = [device = std::make_shared<std::random_device>()] { return (*device)(); };
    messages_ = std::make_unique<messages>(maximum, std::move(mask));
  }

  /// Takes the bytes in `raw_`; after the last of them there may be an end.
  void take_raw() {
    std::error_code wrong = messages_->take(tcp::byte_view(raw_).first(raw_size_), contents_, out_);
    raw_size_ = 0;
    if (wrong) {
      ended_ = wrong;
    } else if (std::optional<close_code> code = messages_->closed()) {
      ended_ = asio::error::eof;
      if (is_error(*code)) ended_ = websocket_error::closed_for_error;
    }
  }

  /// Writes all that is unsent.
  asio::awaitable<void> flush(std::error_code& failed) {
    while (!failed && unsent() != 0) {
      take_unsent();
      std::size_t size =
          co_await socket_.async_write_some(asio::buffer(sending_) + sent_, await_into(failed));
      sent_ += size;
      handle_sent();
    }
  }

  std::error_code write_at_once() {
    take_unsent();
    std::error_code failed;
    sent_ += socket_.write_some(asio::buffer(sending_) + sent_, failed);
    handle_sent();
    if (failed == asio::error::would_block || failed == asio::error::try_again) failed.clear();
    return failed;
  }

  /// While a write is under way its bytes stay where they are, and further ones wait in `out_`.
  void take_unsent() {
    if (!sending_.empty()) return;
    sending_.swap(out_);
  }
  void handle_sent() {
    if (sent_ < sending_.size()) return;
    sending_.clear();
    sent_ = 0;
    if (out_.empty() && messages_) messages_->handle_sent();
  }

  /// Once, and only if the system takes it at once, and there is memory for it.
  void say_close(std::error_code why) noexcept {
    if (std::exchange(close_said_, true) || !socket_.is_open()) return;
    try {
      write_close(why);
    } catch (...) {
      // It goes without a word.
    }
  }
  void write_close(std::error_code why) {
    // The other side ended the connection without a close frame: nobody's error.
    if (why == asio::error::eof) why.clear();
    std::error_code ignored;
    if (messages_ && sending_.empty()) {
      // A close frame is answered by one (RFC 6455, 5.5.1).
      messages_->append_close(messages_->closed() ? close_code::normal : close_code_of(why), out_);
      ignored = write_at_once();
    } else if (!messages_ && !dialed_ && why && !std::exchange(answered_, true)) {
      std::string text = make_rejection(why);
      socket_.write_some(asio::buffer(text), ignored);
    }
  }

  const std::shared_ptr<const websocket_options> options_;
  const bool dialed_;
  asio::ip::tcp::socket socket_;
  std::string remote_;
  std::string url_;  ///< that was dialed
  tcp::byte_string raw_;
  std::size_t raw_size_ = 0;            ///< that are not taken yet
  std::unique_ptr<messages> messages_;  ///< from `open` on
  tcp::byte_string contents_;           ///< of messages
  std::size_t taken_ = 0;               ///< of them
  std::error_code ended_;               ///< for the read that finds no more contents
  tcp::byte_string out_;
  tcp::byte_string sending_;
  std::size_t sent_ = 0;  ///< of `sending_`
  bool answered_ = false;
  bool close_said_ = false;
};

}  // namespace ilm::inline v0::detail::websocket
