#include "support/tcp.hpp"

#include <ilm/networks/tcp/address.hpp>
#ifdef ILM_TEST_WEBSOCKET
#include <ilm/networks/websocket.hpp>
#include <ilm/networks/websocket/http.hpp>
#include <ilm/networks/websocket/messages.hpp>
#include <ilm/networks/websocket/upgrade.hpp>
#endif

#include <asio/connect.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>

namespace test::tcp {

namespace {

asio::ip::tcp::endpoint endpoint_of(const std::string& text) {
  ilm::detail::tcp::address a = ilm::detail::tcp::parse_address(text);
  return {asio::ip::make_address(a.host), a.port};
}

bool over_websocket() {
  const char* transport = std::getenv("ILM_TEST_TRANSPORT");
#ifdef ILM_TEST_WEBSOCKET
  if (transport != nullptr && transport == std::string_view("websocket")) return true;
#endif
  if (transport == nullptr) return false;
  throw std::invalid_argument(std::string("ILM_TEST_TRANSPORT is ") + transport);
}

ilm::detail::tcp::peer_network<std::string> make_network(asio::io_context& context,
                                                         std::string name, options o) {
#ifdef ILM_TEST_WEBSOCKET
  if (over_websocket()) {
    ilm::websocket_options same;
    static_cast<options&>(same) = std::move(o);
    return ilm::websocket_network<>(context, std::move(name), std::move(same));
  }
#endif
  return ilm::tcp_network<>(context, std::move(name), std::move(o));
}

}  // namespace

network::network(asio::io_context& context, std::string name, options o)
    : peer_network(make_network(context, std::move(name), std::move(o))) {}

bytes_vector to_bytes(std::string_view text) {
  auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

std::string to_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string deserted(loop& l) {
  asio::ip::tcp::acceptor a(l.context, {asio::ip::address_v4::loopback(), 0});
  return "127.0.0.1:" + std::to_string(a.local_endpoint().port());
}

options quick() {
  options o;
  o.minimum_reconnect_delay = 10ms;
  o.maximum_reconnect_delay = 50ms;
  return o;
}

node::node(loop& l, std::string name, options o, const std::string& address)
    : node(l, network(l.context, std::move(name), std::move(o)), address) {}

node::node(loop& l, network own, const std::string& address)
    : loop_(&l), line_(std::make_shared<line>(l, own.local_id())) {
  line_->net.emplace(std::move(own));
  line_->control = line_->net->control();
  if (!address.empty()) line_->net->listen(address);
  line_->port = line_->net->port();
  start();
}

void node::start() { asio::co_spawn(loop_->context, receive(line_), asio::detached); }

void node::leave() {
  if (!line_) return;
  line_->net.reset();
  line_->resume.cancel();
}

asio::awaitable<void> node::receive(std::shared_ptr<line> l) {
  while (l->net) {
    if (l->paused) {
      l->resume.expires_after(1h);
      std::error_code ignored;
      co_await l->resume.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      continue;
    }
    event e = co_await l->net->receive();
    l->events.push_back(std::move(e));
  }
}

asio::awaitable<void> node::carry(std::shared_ptr<line> l, std::string to, bytes_vector frame,
                                  std::shared_ptr<bool> done) {
  if (l->net) co_await l->net->send(to, std::move(frame));
  *done = true;
}

std::shared_ptr<bool> node::send(const std::string& to, bytes_vector frame) {
  auto done = std::make_shared<bool>(false);
  asio::co_spawn(loop_->context, carry(line_, to, std::move(frame), done), asio::detached);
  return done;
}

std::size_t node::count(event::type kind, const std::string& peer) const {
  return static_cast<std::size_t>(
      std::count_if(line_->events.begin(), line_->events.end(),
                    [&](const event& e) { return e.kind == kind && e.peer == peer; }));
}

std::vector<std::string> node::texts(const std::string& peer) const {
  std::vector<std::string> all;
  for (const event& e : line_->events) {
    if (e.kind == event::type::frame && e.peer == peer) all.push_back(to_text(e.bytes));
  }
  return all;
}

bool node::reported(std::optional<std::string> peer, std::error_code why) const {
  return std::any_of(line_->events.begin(), line_->events.end(), [&](const event& e) {
    return e.kind == event::type::problem && e.error == why && e.named == peer.has_value() &&
           (!peer || e.peer == *peer);
  });
}

std::vector<std::string> node::problem_texts(std::error_code why) const {
  std::vector<std::string> all;
  for (const event& e : line_->events) {
    if (e.kind == event::type::problem && e.error == why) all.push_back(e.text);
  }
  return all;
}

std::size_t node::problems() const {
  return static_cast<std::size_t>(
      std::count_if(line_->events.begin(), line_->events.end(),
                    [](const event& e) { return e.kind == event::type::problem; }));
}

bool node::orderly() const {
  std::map<std::string, bool> up;
  for (const event& e : line_->events) {
    if (e.kind == event::type::problem) continue;
    bool& now = up[e.peer];
    if (now != (e.kind != event::type::up)) return false;
    if (e.kind != event::type::frame) now = e.kind == event::type::up;
  }
  return true;
}

bool joined(loop& l, const node& a, const node& b) {
  return l.until([&] { return a.up(b.name()) && b.up(a.name()); });
}

void hold(loop& l, node& n) {
  // The receive that is under way has to end with something.
  node other(l, n.name() + "'s holder");
  other.dial(n);
  l.until([&] { return n.up(other.name()); });
  n.pause();
  other.leave();
  l.until([&] { return !n.up(other.name()); });
  n.forget();
}

#ifdef ILM_TEST_WEBSOCKET

class plain_websocket {
 public:
  static bytes_vector request(const std::string& address) {
    auto to = ilm::detail::websocket::parse_url(address, ilm::websocket_options().path);
    return to_bytes(ilm::detail::websocket::make_request(to, "AAAAAAAAAAAAAAAAAAAAAA=="));
  }

  bytes_vector coded(const bytes_vector& contents) {
    bytes_vector out;
    messages_.append(std::array{asio::buffer(contents)}, out);
    return out;
  }

  /// Appends the contents of messages to `heard`; false if it was closed.
  bool take(std::span<const std::byte> in, bytes_vector& heard) {
    head_.append(reinterpret_cast<const char*>(in.data()), upgraded_ ? 0 : in.size());
    auto end = upgraded_ ? std::nullopt : ilm::detail::websocket::end_of_head(head_);
    if (end) {
      in = in.last(head_.size() - *end);
      upgraded_ = true;
    }
    bytes_vector answers;
    if (upgraded_) failed_ = failed_ || messages_.take(in, heard, answers);
    return !failed_ && !messages_.closed();
  }

 private:
  ilm::detail::websocket::messages messages_{1 << 30, [] { return 0x12345678U; }};
  std::string head_;
  bool upgraded_ = false;
  bool failed_ = false;
};

#else

class plain_websocket {
 public:
  static bytes_vector request(const std::string&) { return {}; }
  bytes_vector coded(const bytes_vector&) { return {}; }
  bool take(std::span<const std::byte>, bytes_vector&) { return true; }
};

#endif

plain_socket::plain_socket(loop& l, const std::string& address, const std::string& from)
    : socket_(l.context, endpoint_of(from + ":0")) {
  socket_.connect(endpoint_of(address));
  socket_.non_blocking(true);
  if (!over_websocket()) return;
  say(plain_websocket::request(address));
  websocket_ = std::make_unique<plain_websocket>();
}

plain_socket::plain_socket(plain_socket&&) noexcept = default;
plain_socket& plain_socket::operator=(plain_socket&&) noexcept = default;
plain_socket::~plain_socket() = default;

void plain_socket::say(const bytes_vector& bytes) {
  std::error_code ignored;
  asio::write(socket_, asio::buffer(websocket_ ? websocket_->coded(bytes) : bytes), ignored);
}

const bytes_vector& plain_socket::heard() {
  std::array<std::byte, 4096> part;
  std::error_code failed;
  while (!failed && !closed_) {
    std::size_t size = socket_.read_some(asio::buffer(part), failed);
    auto arrived = std::span(part).first(size);
    if (!websocket_) {
      heard_.insert(heard_.end(), arrived.begin(), arrived.end());
    } else if (!websocket_->take(arrived, heard_)) {
      closed_ = true;
    }
  }
  if (failed && failed != asio::error::would_block) closed_ = true;
  return heard_;
}

proxy::proxy(loop& l, const std::string& target) : line_(std::make_shared<line>(l.context)) {
  line_->target = endpoint_of(target);
  line_->acceptor = asio::ip::tcp::acceptor(l.context, endpoint_of("127.0.0.1:0"));
  asio::co_spawn(l.context, accept(line_), asio::detached);
}

proxy::~proxy() {
  line_->open = false;
  line_->acceptor.close();
  cut();
}

std::string proxy::address() const {
  return "127.0.0.1:" + std::to_string(line_->acceptor.local_endpoint().port());
}

void proxy::stall() {
  for (const auto& p : line_->pipes) p->stalled = true;
}

void proxy::cut() {
  for (const auto& p : std::exchange(line_->pipes, {})) {
    p->from.close();
    p->to.close();
  }
}

asio::awaitable<void> proxy::accept(std::shared_ptr<line> l) {
  while (l->open) {
    asio::ip::tcp::socket s = co_await l->acceptor.async_accept(asio::use_awaitable);
    ++l->accepted;
    auto p = std::make_shared<pipe>(std::move(s));
    l->pipes.push_back(p);
    asio::co_spawn(l->acceptor.get_executor(), serve(p, l->target), asio::detached);
  }
}

asio::awaitable<void> proxy::serve(std::shared_ptr<pipe> p, asio::ip::tcp::endpoint target) {
  std::error_code failed;
  co_await p->to.async_connect(target, asio::redirect_error(asio::use_awaitable, failed));
  if (failed) {
    p->from.close();
    co_return;
  }
  p->from.set_option(asio::ip::tcp::no_delay(true), failed);
  p->to.set_option(asio::ip::tcp::no_delay(true), failed);
  asio::co_spawn(p->from.get_executor(), pump(p, true), asio::detached);
  asio::co_spawn(p->from.get_executor(), pump(p, false), asio::detached);
}

asio::awaitable<void> proxy::pump(std::shared_ptr<pipe> p, bool forth) {
  asio::ip::tcp::socket& in = forth ? p->from : p->to;
  asio::ip::tcp::socket& out = forth ? p->to : p->from;
  std::array<std::byte, 16384> part;
  std::error_code failed;
  while (!failed) {
    std::size_t size = co_await in.async_read_some(
        asio::buffer(part), asio::redirect_error(asio::use_awaitable, failed));
    // Swallowed: neither side learns that the other one is gone.
    if (p->stalled) {
      if (failed) co_return;
      continue;
    }
    if (failed) break;
    co_await asio::async_write(out, asio::buffer(part.data(), size),
                               asio::redirect_error(asio::use_awaitable, failed));
  }
  std::error_code ignored;
  in.close(ignored);
  out.close(ignored);
}

}  // namespace test::tcp
