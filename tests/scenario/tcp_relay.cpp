#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <ilm/backends/memory.hpp>
#include <ilm/deliveries/inbox.hpp>
#include <ilm/messenger.hpp>
#include <ilm/networks/tcp_psk.hpp>

#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include <array>
#include <functional>

using namespace test::tcp;
using ilm::tcp_error;

// Somebody on the path between two peers that share a key: all bytes go through their hands.

namespace {

options with_key() {
  options o = quick();
  o.prove = ilm::pre_shared_key("correct horse battery staple");
  return o;
}

/// Forwards connections, message by message and frame by frame, as an attack would have it.
class relay {
 public:
  /// What is forwarded in the place of a frame. `forth`: of the side that dialed.
  using attack = std::function<std::vector<bytes_vector>(bool forth, const bytes_vector& frame)>;

  relay(loop& l, const node& target) : line_(std::make_shared<line>(l.context)) {
    line_->target = {asio::ip::address_v4::loopback(), target.control().port()};
    asio::co_spawn(l.context, accept(line_), asio::detached);
  }
  relay(loop& l, std::uint16_t port) : line_(std::make_shared<line>(l.context)) {
    line_->target = {asio::ip::address_v4::loopback(), port};
    asio::co_spawn(l.context, accept(line_), asio::detached);
  }
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;
  ~relay() {
    line_->acceptor.close();
    for (auto& p : line_->pipes) {
      if (auto open = p.lock()) close(*open);
    }
  }

  std::string address() const {
    return "127.0.0.1:" + std::to_string(line_->acceptor.local_endpoint().port());
  }
  void set(attack a) { line_->act = std::move(a); }
  /// Frames that the other side sends, such as an attack has put aside, to the side named.
  void inject(bool forth, const bytes_vector& bytes) {
    for (auto& p : line_->pipes) {
      std::error_code ignored;
      auto open = p.lock();
      if (open) asio::write(forth ? open->to : open->from, asio::buffer(bytes), ignored);
    }
  }

 private:
  struct pipe {
    explicit pipe(asio::ip::tcp::socket s) : from(std::move(s)), to(from.get_executor()) {}
    asio::ip::tcp::socket from, to;
  };
  struct line {
    explicit line(asio::io_context& c)
        : acceptor(c, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
    asio::ip::tcp::acceptor acceptor;
    asio::ip::tcp::endpoint target;
    attack act;
    std::vector<std::weak_ptr<pipe>> pipes;
  };

  static void close(pipe& p) {
    std::error_code ignored;
    p.from.close(ignored);
    p.to.close(ignored);
  }

  static asio::awaitable<void> accept(std::shared_ptr<line> l) {
    while (l->acceptor.is_open()) {
      std::error_code failed;
      asio::ip::tcp::socket s =
          co_await l->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, failed));
      if (failed) co_return;
      auto p = std::make_shared<pipe>(std::move(s));
      p->to.connect(l->target, failed);
      l->pipes.push_back(p);
      for (bool forth : {true, false}) {
        asio::co_spawn(l->acceptor.get_executor(), pump(l, p, forth), asio::detached);
      }
    }
  }

  /// The size of the first message or frame; 0 if it is not all there.
  static std::size_t unit_size(const bytes_vector& in) {
    if (in.size() < 8) return 0;
    auto number = [&](std::size_t at, std::size_t size) {
      std::size_t n = 0;
      for (std::size_t i = at; i < at + size; ++i) n = n << 8 | std::to_integer<std::size_t>(in[i]);
      return n;
    };
    if (is_message(in)) return 8 + number(6, 2);
    std::size_t size = number(0, 4);
    return size == 0 || size == 0xffffffff ? 20 : 36 + size;
  }
  static bool is_message(const bytes_vector& in) { return to_text(in).starts_with("ILMT"); }

  static asio::awaitable<void> pump(std::shared_ptr<line> l, std::shared_ptr<pipe> p, bool forth) {
    asio::ip::tcp::socket& in = forth ? p->from : p->to;
    asio::ip::tcp::socket& out = forth ? p->to : p->from;
    std::array<std::byte, 16384> part;
    std::error_code failed;
    bytes_vector held;
    while (!failed) {
      std::size_t size = co_await in.async_read_some(
          asio::buffer(part), asio::redirect_error(asio::use_awaitable, failed));
      held.insert(held.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(size));
      for (std::size_t unit = unit_size(held); unit > 0 && unit <= held.size() && !failed;
           unit = unit_size(held)) {
        auto end = held.begin() + static_cast<std::ptrdiff_t>(unit);
        bytes_vector first(held.begin(), end);
        held.erase(held.begin(), end);
        std::vector<bytes_vector> forwarded{first};
        if (l->act && !is_message(first)) forwarded = l->act(forth, first);
        for (const bytes_vector& bytes : forwarded) {
          co_await asio::async_write(out, asio::buffer(bytes),
                                     asio::redirect_error(asio::use_awaitable, failed));
        }
      }
    }
    close(*p);
  }

  std::shared_ptr<line> line_;
};

/// The numbers among the frames of a peer, if they grow: then none was repeated or overtaken.
bool grow(const std::vector<std::string>& texts) {
  int last = -1;
  for (const std::string& text : texts) {
    if (text != std::to_string(std::stoi(text)) || std::stoi(text) <= last) return false;
    last = std::stoi(text);
  }
  return true;
}

}  // namespace

TEST_CASE("nothing that somebody on the path has changed, dropped, repeated or moved is taken",
          "[tcp][wire]") {
  struct attacks {
    static std::vector<bytes_vector> flip(bytes_vector frame, std::size_t at) {
      frame[std::min(at, frame.size() - 1)] ^= std::byte{1};
      return {frame};
    }
  };
  auto kept = std::make_shared<bytes_vector>();
  std::vector<relay::attack> all{
      [](bool, const bytes_vector& f) { return attacks::flip(f, 3); },         // the size
      [](bool, const bytes_vector& f) { return attacks::flip(f, 1); },         // the size, by far
      [](bool, const bytes_vector& f) { return attacks::flip(f, 10); },        // its tag
      [](bool, const bytes_vector& f) { return attacks::flip(f, 30); },        // the frame's tag
      [](bool, const bytes_vector& f) { return attacks::flip(f, f.size()); },  // the message
      [](bool, const bytes_vector&) { return std::vector<bytes_vector>{}; },   // dropped
      [](bool, const bytes_vector& f) {
        return std::vector<bytes_vector>{f, f};
      },
      [kept](bool, const bytes_vector& f) {  // overtaken
        std::vector<bytes_vector> out{f};
        if (!kept->empty()) out.push_back(*kept);
        if (kept->empty()) out.clear();
        *kept = f;
        return out;
      },
      [](bool, const bytes_vector& f) {
        return std::vector<bytes_vector>{bytes_vector(20), f};
      },
  };
  for (std::size_t n = 0; n < all.size(); ++n) {
    loop l;
    node a(l, "a", with_key()), b(l, "b", with_key(), "");
    relay between(l, a);
    b.control().add_peer("a", between.address());
    REQUIRE(joined(l, a, b));
    int next = 0;
    auto send_some = [&](int count) {
      for (int end = next + count; next < end; ++next) b.send("a", std::to_string(next));
    };
    send_some(5);
    REQUIRE(l.until([&] { return a.frames("b") == 5; }));
    // One frame, and all is honest again.
    int attacked = 0;
    between.set([&](bool forth, const bytes_vector& frame) {
      bool now = forth && attacked < (n == 7 ? 2 : 1);
      if (now) ++attacked;
      return now ? all[n](forth, frame) : std::vector<bytes_vector>{frame};
    });
    send_some(5);
    REQUIRE(l.until([&] { return a.reported("b", tcp_error::frame_altered); }));
    // Once it knows of the attack, the side that was attacked has taken at most the repeated frame.
    CHECK(a.frames("b") <= 6);
    REQUIRE(l.until([&] { return a.ups("b") == 2 && b.ups("a") == 2; }));
    std::size_t before = a.frames("b");
    send_some(5);
    REQUIRE(l.until([&] { return a.frames("b") == before + 5; }));
    CHECK(grow(a.texts("b")));
    CHECK(a.orderly());
  }
}

TEST_CASE("a frame that is sent back to its sender, or was of an earlier session, is not taken",
          "[tcp][wire]") {
  loop l;
  node a(l, "a", with_key()), b(l, "b", with_key(), "");
  relay between(l, a);
  b.control().add_peer("a", between.address());
  REQUIRE(joined(l, a, b));
  bytes_vector seen;
  between.set([&](bool, const bytes_vector& frame) {
    seen = frame;
    return std::vector<bytes_vector>{frame};
  });
  b.send("a", "once");
  REQUIRE(l.until([&] { return a.frames("b") == 1; }));
  bytes_vector first = seen;
  between.inject(false, first);
  REQUIRE(l.until([&] { return b.reported("a", tcp_error::frame_altered); }));
  REQUIRE(l.until([&] { return a.ups("b") == 2 && b.ups("a") == 2; }));
  CHECK(b.frames("a") == 0);
  between.inject(true, first);
  REQUIRE(l.until([&] { return a.reported("b", tcp_error::frame_altered); }));
  REQUIRE(l.until([&] { return a.ups("b") == 3 && b.ups("a") == 3; }));
  b.send("a", "twice");
  REQUIRE(l.until([&] { return a.frames("b") == 2; }));
  CHECK(a.texts("b") == std::vector<std::string>{"once", "twice"});
}

TEST_CASE("an altered frame is reported with the peer and the address", "[tcp][wire]") {
  loop l;
  node a(l, "a", with_key()), b(l, "b", with_key(), "");
  relay between(l, a);
  b.control().add_peer("a", between.address());
  REQUIRE(joined(l, a, b));
  between.inject(false, bytes_vector(20));
  REQUIRE(l.until([&] { return b.reported("a", tcp_error::frame_altered); }));
  bool named = false;
  for (const event& e : b.events()) {
    if (e.error == tcp_error::frame_altered) {
      named = e.text.find(between.address()) != std::string::npos;
    }
  }
  CHECK(named);
}

TEST_CASE("somebody who alters each session is met at growing intervals", "[tcp][wire]") {
  loop l;
  options o = with_key();
  o.minimum_reconnect_delay = 1ms;
  o.maximum_reconnect_delay = 1h;
  node a(l, "a", with_key()), b(l, "b", o, "");
  relay between(l, a);
  b.control().add_peer("a", between.address());
  for (std::size_t session = 1; session < 8; ++session) {
    REQUIRE(l.until([&] { return b.ups("a") == session; }));
    // However long a session has lasted.
    l.run_for(200ms);
    between.inject(false, bytes_vector(20));
    REQUIRE(l.until([&] { return b.downs("a") == session; }));
  }
  // Seven doublings make at least 64 ms.
  l.run_for(30ms);
  CHECK(b.ups("a") == 7);
}

TEST_CASE("messages arrive once and in order although somebody on the path alters frames",
          "[tcp][wire]") {
  using store = ilm::memory_backend<std::string>;
  using inbox = ilm::inbox<std::string>;
  constexpr int count = 500;
  loop l;
  network net_a(l.context, "a", with_key()), net_b(l.context, "b", with_key());
  net_a.listen("127.0.0.1:0");
  relay between(l, net_a.port());
  net_b.add_peer("a", between.address());
  inbox box_a, box_b;
  ilm::messenger<store, network, inbox> a(l.context, store(), std::move(net_a), box_a);
  // Frames of a few messages, so that there are enough for each attack.
  ilm::options few;
  few.frame_fill = 50;
  ilm::messenger<store, network, inbox> b(l.context, store(), std::move(net_b), box_b, few);
  int frames = 0;
  between.set([&](bool, bytes_vector frame) {
    std::vector<bytes_vector> out{frame};
    switch (++frames % 28) {
      case 0:
        out.front().back() ^= std::byte{64};
        break;
      case 7:
        out.clear();
        break;
      case 14:
        out.push_back(frame);
        break;
      case 21:
        out.front()[2] ^= std::byte{1};
        break;
    }
    return out;
  });
  int taken = 0;
  bool ordered = true;
  auto send = [](auto& from) -> asio::awaitable<void> {
    for (int i = 0; i < count; ++i) co_await from.send_to("a", std::to_string(i));
  };
  auto consume = [](inbox from, int& n, bool& in_order) -> asio::awaitable<void> {
    while (n < count) {
      ilm::message<std::string> m = co_await from.receive();
      if (m.text() != std::to_string(n)) in_order = false;
      ++n;
    }
    co_await from.consume();
  };
  asio::co_spawn(l.context, send(b), asio::detached);
  asio::co_spawn(l.context, consume(box_a, taken, ordered), asio::detached);
  CHECK(l.until([&] { return taken == count; }));
  CHECK(ordered);
  CHECK(frames > 28);
}
