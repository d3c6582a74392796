#include "parts.hpp"

#include "wire.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace crash_points {

asio::awaitable<void> watched_network::send(const std::string& to, std::vector<std::byte> bytes) {
  std::shared_ptr<instance> l = instance_;
  // Once: a lie ends the session, and would end the next one as well.
  if (l->defect == sabotage::lying && !l->lied) l->lied = inflate_ack(bytes);
  l->require();
  l->checks.handle_frame(l->self, l->own.store, bytes);
  std::string text = l->traced ? frame::read(bytes).text() : std::string();
  l->at(place::before_send, text);
  co_await inner_.send(to, std::move(bytes));
  l->at(place::after_send);
}

asio::awaitable<watched_network::event> watched_network::receive() {
  std::shared_ptr<instance> l = instance_;
  // The messenger receives the next event when it has handled the last one.
  if (std::exchange(handling_, false)) l->at(place::after_handling);
  for (;;) {
    event e = co_await inner_.receive();
    l->require();
    if (hides(e)) continue;
    if (e.kind == event::type::frame) {
      std::string text = l->traced ? frame::read(e.bytes).text() : std::string();
      l->at(place::before_receive, text);
      handling_ = true;
    }
    co_return e;
  }
}

bool watched_network::hides(const event& e) {
  if (!silent_) return false;
  if (e.kind == event::type::up) return std::exchange(up_reported_, true);
  return e.kind == event::type::down;
}

}  // namespace crash_points
