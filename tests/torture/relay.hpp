#pragma once

#include "driven_peer.hpp"
#include "payload.hpp"
#include "peer_arguments.hpp"

#include <ilm/deliveries/inbox.hpp>
#include <ilm/delivery_context.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

// The peers between the ends of a chain. Each consumes the messages of one neighbour and sends one
// to the other neighbour for each, with the same id, and writes nothing down: the message and its
// consumption are in one commit.

namespace torture {

/// Thrown where the seed says that a message is not consumed this time.
struct drawn_failure : std::runtime_error {
  drawn_failure() : std::runtime_error("not this time") {}
};

template <class Backend, class Delivery>
class relay : public driven_peer<Backend, Delivery> {
 protected:
  using base = driven_peer<Backend, Delivery>;
  using typename base::message;
  using context_type = ilm::delivery_context<std::string>;
  using base::base;

  void begin() override {}

  /// Sends the message for `m`. Sometimes it takes a while before or after that, and sometimes it
  /// fails then.
  asio::awaitable<void> pass_on(const message& m, context_type& context) {
    using namespace std::chrono_literals;
    co_await this->perhaps_pause(100, 20ms);
    const peer_address& from = neighbour(m.from == this->arguments().peers[0].name ? 0 : 1);
    const peer_address& to = neighbour(&from == &neighbour(0) ? 1 : 0);
    std::uint64_t id = payload::id_of(m.contents.view());
    if (!payload(from.number, this->arguments().number, id).matches(m.contents.view())) {
      report("complaint the contents of", id, "from", m.from, "are damaged");
    }
    std::vector<std::byte> output = payload(this->arguments().number, to.number, id).contents();
    if (this->arguments().sabotage == "apart") {
      co_await context.messenger().send_to(to.name, output);
    } else {
      context.send_to(to.name, output);
    }
    co_await this->perhaps_pause(100, 10ms);
    if (this->draw(400) == 0) throw drawn_failure();
  }

 private:
  const peer_address& neighbour(std::size_t which) const { return this->arguments().peers[which]; }
};

template <class Backend>
class handler_relay;

template <class Backend>
struct relay_delivery {
  using message = ilm::message<std::string>;
  using context_type = ilm::delivery_context<std::string>;

  explicit relay_delivery(handler_relay<Backend>* to) : app(to) {}
  asio::awaitable<void> operator()(message m, context_type& context) const {
    return app->deliver(std::move(m), context);
  }
  handler_relay<Backend>* app;
};

/// A relay whose delivery is a handler.
template <class Backend>
class handler_relay final : public relay<Backend, relay_delivery<Backend>> {
 public:
  using base = relay<Backend, relay_delivery<Backend>>;

  handler_relay(asio::io_context& context, const peer_arguments& arguments, Backend store)
      : base(context, arguments) {
    this->start(std::move(store), relay_delivery<Backend>(this));
  }

  asio::awaitable<void> deliver(typename base::message m, typename base::context_type& context) {
    co_await this->pass_on(m, context);
  }
};

/// A relay that reads an inbox in all the ways that there are, with several readers.
template <class Backend>
class inbox_relay final : public relay<Backend, ilm::inbox<std::string>> {
  using inbox = ilm::inbox<std::string>;
  using received = ilm::received<std::string>;

 public:
  using base = relay<Backend, inbox>;

  inbox_relay(asio::io_context& context, const peer_arguments& arguments, Backend store)
      : base(context, arguments) {
    this->start(std::move(store), inbox_);
  }

 private:
  static constexpr int readers = 3;

  void begin() override {
    for (int i = 0; i < readers; ++i) this->spawn(read(inbox_));
  }
  void handle_shut_down() override { inbox_.close(); }

  asio::awaitable<void> read(inbox mine) {
    while (!this->has_ended()) {
      try {
        co_await read_some(mine);
      } catch (const drawn_failure&) {
        // The messages are given again.
      } catch (const std::system_error& e) {
        if (!this->is_ending()) report("complaint a reader failed:", e.code().message());
        co_return;
      }
    }
  }

  asio::awaitable<void> read_some(inbox& mine) {
    std::vector<received> given = co_await take(mine);
    for (received& m : given) {
      co_await this->pass_on(m, m.context);
      // Otherwise the next receive consumes it.
      if (this->draw(12) == 0) co_await mine.consume(m);
    }
    if (this->draw(12) == 0) co_await mine.consume();
  }

  asio::awaitable<std::vector<received>> take(inbox& mine) {
    using namespace std::chrono_literals;
    std::vector<received> given;
    switch (this->draw(4)) {
      case 0:
        given = co_await mine.receive_some(1 + static_cast<std::size_t>(this->draw(3)));
        break;
      case 1:
        if (auto m = co_await mine.receive_for(5ms)) given.push_back(std::move(*m));
        break;
      case 2:
        if (auto m = mine.try_receive()) given.push_back(std::move(*m));
        if (given.empty()) co_await this->pause(1ms);
        break;
      default:
        given.push_back(co_await mine.receive());
    }
    co_return given;
  }

  inbox inbox_;
};

}  // namespace torture
