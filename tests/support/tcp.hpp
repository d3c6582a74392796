#pragma once

// Peers over TCP on this machine, in real time: tests wait for the expected event, and never
// for a time to pass that has to be short.

#include <ilm/codecs/bytes.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test::tcp {

using namespace std::chrono_literals;
using options = ilm::tcp_options;
using event = ilm::network_event<std::string>;
using bytes_vector = std::vector<std::byte>;

/// Over TCP; with ILM_TEST_TRANSPORT=websocket in the environment over WebSocket, so that tests
/// that are about networks run over both.
class network : public ilm::detail::tcp::peer_network<std::string> {
 public:
  network(asio::io_context& context, std::string name, options o = {});
  explicit network(peer_network&& over) : peer_network(std::move(over)) {}
};

bytes_vector to_bytes(std::string_view text);
std::string to_text(std::span<const std::byte> bytes);

/// Short times, so that waiting for one is soon over.
options quick();

/// Runs a context in this thread.
class loop {
 public:
  asio::io_context context;

  /// Until `done()`; false if that takes unreasonably long.
  template <class Predicate>
  bool until(Predicate done, std::chrono::nanoseconds limit = 40s) {
    auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      context.restart();
      context.run_one_for(5ms);
    }
    return true;
  }
  void run_for(std::chrono::nanoseconds time) {
    until([] { return false; }, time);
  }
};

/// A network, and a coroutine that receives from it and records its events.
class node {
 public:
  node(loop& l, std::string name, options o = quick(), const std::string& address = "127.0.0.1:0");
  /// With a network of the test's own.
  node(loop& l, network own, const std::string& address = "127.0.0.1:0");
  node(node&&) = default;
  node& operator=(node&&) = default;
  ~node() { leave(); }

  network& net() { return *line_->net; }
  const std::string& name() const { return line_->name; }
  std::string address() const { return "127.0.0.1:" + std::to_string(line_->port); }
  ilm::tcp_control<> control() const { return *line_->control; }

  void dial(const node& other) { control().add_peer(other.name(), other.address()); }

  /// Receives until told otherwise, as a messenger does.
  void start();
  /// Receives nothing for a while, as a messenger that is slow.
  void pause(bool paused = true) {
    line_->paused = paused;
    line_->resume.cancel();
  }
  /// Destroys the network.
  void leave();

  /// Sends, and says when `send` has completed.
  std::shared_ptr<bool> send(const std::string& to, bytes_vector frame);
  std::shared_ptr<bool> send(const std::string& to, std::string_view text) {
    return send(to, to_bytes(text));
  }

  bool up(const std::string& peer) const { return ups(peer) > downs(peer); }
  std::size_t ups(const std::string& peer) const { return count(event::type::up, peer); }
  std::size_t downs(const std::string& peer) const { return count(event::type::down, peer); }
  std::size_t frames(const std::string& peer) const { return count(event::type::frame, peer); }
  /// The frames that arrived from the peer, in order.
  std::vector<std::string> texts(const std::string& peer) const;
  /// Whether a problem with the peer, or of no name, was reported.
  bool reported(std::optional<std::string> peer, std::error_code why) const;
  /// The texts of the problems with this error, in order.
  std::vector<std::string> problem_texts(std::error_code why) const;
  std::size_t problems() const;
  /// Whether `up` and `down` alternate for each peer, and frames come between them only.
  bool orderly() const;

  const std::vector<event>& events() const { return line_->events; }
  void forget() { line_->events.clear(); }

 private:
  /// Shared by the node and its coroutines.
  struct line {
    line(loop& l, std::string n) : name(std::move(n)), resume(l.context) {}
    std::string name;
    std::optional<network> net;
    std::optional<ilm::tcp_control<>> control;
    std::uint16_t port = 0;
    std::vector<event> events;
    bool paused = false;
    asio::steady_timer resume;
  };

  static asio::awaitable<void> receive(std::shared_ptr<line> l);
  static asio::awaitable<void> carry(std::shared_ptr<line> l, std::string to, bytes_vector frame,
                                     std::shared_ptr<bool> done);
  std::size_t count(event::type kind, const std::string& peer) const;

  loop* loop_;
  std::shared_ptr<line> line_;
};

/// An address at which nobody listens.
std::string deserted(loop& l);

/// Waits until both have a session with each other and neither has more to say.
bool joined(loop& l, const node& a, const node& b);

/// Has the node receive nothing from here on, not even the next event.
void hold(loop& l, node& n);

/// The WebSocket of a plain_socket.
class plain_websocket;

/// A plain socket that sends the bytes of a test: as they are, or in the messages of a WebSocket
/// where `network` is one.
class plain_socket {
 public:
  /// `from` is the address of this machine that it connects from.
  plain_socket(loop& l, const std::string& address, const std::string& from = "127.0.0.1");
  plain_socket(plain_socket&&) noexcept;
  plain_socket& operator=(plain_socket&&) noexcept;
  ~plain_socket();

  void say(std::string_view text) { say(to_bytes(text)); }
  void say(const bytes_vector& bytes);
  /// The bytes that have arrived so far.
  const bytes_vector& heard();
  /// Whether the other side has closed it.
  bool closed() {
    heard();
    return closed_;
  }
  void close() { socket_.close(); }
  asio::ip::tcp::socket& socket() { return socket_; }

 private:
  asio::ip::tcp::socket socket_;
  std::unique_ptr<plain_websocket> websocket_;
  bytes_vector heard_;
  bool closed_ = false;
};

/// Forwards connections to an address, until told to stall, silently, or to cut them.
class proxy {
 public:
  proxy(loop& l, const std::string& target);
  proxy(const proxy&) = delete;
  proxy& operator=(const proxy&) = delete;
  ~proxy();

  std::string address() const;
  std::size_t accepted() const { return line_->accepted; }
  /// Bytes on connections that are open now never arrive from now on.
  void stall();
  /// Ends all connections.
  void cut();

 private:
  struct pipe {
    explicit pipe(asio::ip::tcp::socket s) : from(std::move(s)), to(from.get_executor()) {}
    asio::ip::tcp::socket from, to;
    bool stalled = false;
  };
  struct line {
    explicit line(asio::io_context& c) : acceptor(c) {}
    asio::ip::tcp::acceptor acceptor;
    asio::ip::tcp::endpoint target;
    std::vector<std::shared_ptr<pipe>> pipes;
    std::size_t accepted = 0;
    bool open = true;
  };

  static asio::awaitable<void> accept(std::shared_ptr<line> l);
  static asio::awaitable<void> serve(std::shared_ptr<pipe> p, asio::ip::tcp::endpoint target);
  static asio::awaitable<void> pump(std::shared_ptr<pipe> p, bool forth);

  std::shared_ptr<line> line_;
};

}  // namespace test::tcp
