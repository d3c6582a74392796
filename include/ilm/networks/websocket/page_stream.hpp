#pragma once

#include <ilm/browser/page_loop.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/stream.hpp>
#include <ilm/networks/tcp/types.hpp>
#include <ilm/networks/websocket/close_code.hpp>
#include <ilm/networks/websocket/error.hpp>
#include <ilm/networks/websocket/limits.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <emscripten.h>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdollar-in-identifier-extension"

namespace ilm::inline v0::detail::websocket {

/// A WebSocket of the page or the worker that the program runs in. It cannot hold back what
/// arrives: the other side's limit is ILM's credit.
class page_stream final : public tcp::stream {
 public:
  explicit page_stream(const asio::any_io_executor& executor)
      : executor_(executor), changed_(executor), drain_(executor), id_(next_id()++) {
    open_streams().emplace(id_, this);
  }
  page_stream(const page_stream&) = delete;
  page_stream& operator=(const page_stream&) = delete;
  ~page_stream() override {
    close({});
    open_streams().erase(id_);
  }

  asio::any_io_executor executor() override { return executor_; }
  std::string remote() const override { return url_; }

  /// Browsers do not tell why they could not open one.
  asio::awaitable<std::error_code> connect(tcp::address to) override {
    url_ = std::move(to.url);
    if (!begin(url_.c_str(), std::string(subprotocol).c_str())) {
      co_return websocket_error::not_opened;
    }
    while (!opened_ && !ended_ && !cancelled_) co_await changed_.wait();
    if (cancelled_) co_return asio::error::operation_aborted;
    co_return opened_ ? std::error_code() : websocket_error::not_opened;
  }

  asio::awaitable<failure> open() override { co_return failure(); }

  /// Bytes that the browser has taken count as sent.
  std::size_t unsent() const noexcept override { return 0; }

  std::size_t write_some(buffers parts, std::error_code& failed) override {
    if (ended_ || !opened_) {
      failed = asio::error::broken_pipe;
    } else if (buffered() > page_buffer_size) {
      failed = asio::error::would_block;
    }
    return failed ? 0 : send(parts);
  }

  asio::awaitable<std::size_t> async_write_some(buffers parts, std::error_code& failed) override {
    // Nothing tells when the browser has passed something on. A server that holds it back for long
    // does not keep the page awake.
    auto wait = shortest_drain_interval;
    while (!ended_ && !cancelled_ && buffered() > page_buffer_size) {
      drain_.expires_after(wait);
      wait = std::min(2 * wait, longest_drain_interval);
      co_await drain_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
      failed.clear();
    }
    std::size_t taken = 0;
    if (cancelled_) failed = asio::error::operation_aborted;
    if (ended_ || !opened_) failed = asio::error::broken_pipe;
    while (!failed && !parts.empty() && buffered() <= page_buffer_size) {
      buffers frame = parts.first(std::min<std::size_t>(2, parts.size()));
      taken += send(frame);
      parts = parts.subspan(frame.size());
    }
    co_return taken;
  }

  asio::awaitable<std::size_t> async_read_some(std::span<std::byte> space,
                                               std::error_code& failed) override {
    while (taken_ == contents_.size() && !ended_ && !cancelled_) co_await changed_.wait();
    std::size_t size = std::min(space.size(), contents_.size() - taken_);
    if (std::exchange(cancelled_, false)) {
      failed = asio::error::operation_aborted;
      co_return 0;
    }
    if (size == 0) failed = ended_;
    if (size != 0) std::memcpy(space.data(), contents_.data() + taken_, size);
    taken_ += size;
    if (taken_ == contents_.size()) {
      contents_.clear();
      taken_ = 0;
    }
    co_return size;
  }

  void shut_down(std::error_code why) override {
    // A page may say 1000 or a code of an application.
    int code = static_cast<int>(close_code_of(why));
    if (code < 3000 && code != 1000) code = 4000;
    // clang-format off
    EM_ASM({ Module["ilmSockets"]?.get($0)?.close($1); }, id_, code);
    // clang-format on
  }
  void cancel() override {
    cancelled_ = true;
    drain_.cancel();
    changed_.notify_all();
  }
  void close(std::error_code why) override {
    shut_down(why);
    end(asio::error::operation_aborted);
  }

  // Called by JavaScript, for the stream that has this id if it still exists.

  static void handle_opened(int id) {
    with(id, [](page_stream& s) { s.opened_ = true; });
  }
  /// `data` is taken over, and freed.
  static void handle_message(int id, std::byte* data, std::size_t size) {
    with(id, [&](page_stream& s) {
      if (!s.ended_) s.contents_.insert(s.contents_.end(), data, data + size);
    });
    std::free(data);
  }
  static void handle_text(int id) {
    with(id, [](page_stream& s) { s.end(websocket_error::text_message); });
  }
  static void handle_closed(int id, int code) {
    with(id, [code](page_stream& s) {
      // 1006: nobody said anything.
      auto said = static_cast<close_code>(code);
      bool is_wrong = code != 1006 && is_error(said);
      s.end(is_wrong ? make_error_code(websocket_error::closed_for_error)
                     : std::error_code(asio::error::eof));
    });
  }

 private:
  /// The streams that JavaScript may still call, by their ids.
  static std::map<int, page_stream*>& open_streams() {
    static std::map<int, page_stream*> streams;
    return streams;
  }
  static int& next_id() {
    static int next = 1;
    return next;
  }

  template <class Change>
  static void with(int id, Change change) {
    auto at = open_streams().find(id);
    if (at == open_streams().end()) return;
    page_stream& s = *at->second;
    change(s);
    s.changed_.notify_all();
    asio::any_io_executor executor = s.executor_;
    page_loop::of(executor).run();
  }

  /// False if the browser refuses the URL.
  bool begin(const char* url, const char* protocol) const {
    // clang-format off
    return EM_ASM_INT(
        {
          const sockets = Module["ilmSockets"] || (Module["ilmSockets"] = new Map());
          let socket;
          try {
            socket = new WebSocket(UTF8ToString($1), UTF8ToString($2));
          } catch (refused) {
            return 0;
          }
          socket.binaryType = "arraybuffer";
          sockets.set($0, socket);
          socket.onopen = () => _ilm_websocket_opened($0);
          socket.onmessage = ({ data }) => {
            if (typeof data === "string") return _ilm_websocket_text($0);
            const at = _malloc(data.byteLength);
            HEAPU8.set(new Uint8Array(data), at);
            _ilm_websocket_message($0, at, data.byteLength);
          };
          socket.onclose = ({ code }) => {
            sockets.delete($0);
            _ilm_websocket_closed($0, code);
          };
          return 1;
        },
        id_, url, protocol) != 0;
    // clang-format on
  }

  /// Bytes that the browser has taken and not passed on.
  std::size_t buffered() const {
    // clang-format off
    return static_cast<std::size_t>(
        EM_ASM_DOUBLE({ return Module["ilmSockets"].get($0)?.bufferedAmount ?? 0; }, id_));
    // clang-format on
  }

  /// As one message.
  std::size_t send(buffers parts) {
    tcp::byte_string message;
    for (const asio::const_buffer& p : parts) {
      auto bytes = static_cast<const std::byte*>(p.data());
      message.insert(message.end(), bytes, bytes + p.size());
    }
    // clang-format off
    EM_ASM({ Module["ilmSockets"].get($0)?.send(HEAPU8.slice($1, $1 + $2)); }, id_, message.data(),
           message.size());
    // clang-format on
    return message.size();
  }

  void end(std::error_code why) {
    if (!ended_) ended_ = why;
    drain_.cancel();
    changed_.notify_all();
  }

  asio::any_io_executor executor_;
  std::string url_;
  tcp::async_condition changed_;
  asio::steady_timer drain_;
  const int id_;
  tcp::byte_string contents_;
  std::size_t taken_ = 0;
  std::error_code ended_;
  bool opened_ = false;
  bool cancelled_ = false;
};

}  // namespace ilm::inline v0::detail::websocket

extern "C" {

EMSCRIPTEN_KEEPALIVE inline void ilm_websocket_opened(int id) {
  ilm::detail::websocket::page_stream::handle_opened(id);
}
EMSCRIPTEN_KEEPALIVE inline void ilm_websocket_message(int id, std::byte* data, std::size_t size) {
  ilm::detail::websocket::page_stream::handle_message(id, data, size);
}
EMSCRIPTEN_KEEPALIVE inline void ilm_websocket_text(int id) {
  ilm::detail::websocket::page_stream::handle_text(id);
}
EMSCRIPTEN_KEEPALIVE inline void ilm_websocket_closed(int id, int code) {
  ilm::detail::websocket::page_stream::handle_closed(id, code);
}
}

#pragma clang diagnostic pop
