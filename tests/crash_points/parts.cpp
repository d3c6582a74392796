#include "parts.hpp"

#include "wire.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
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

void begin_taking(instance& l, const message& m) {
  l.at(place::before_taking, std::string(m.text()));
  if (!l.own.declines) return;
  l.checks.handle_declined(l.self, m);
  throw std::runtime_error("not now");
}

void answer(instance& l, const message& m, delivery_context& context) {
  context.send_to(m.from, text_of(l.self, l.checks.handle_answer(l.self, m)));
  l.at(place::at_work, std::string(m.text()));
}

void end_taking(instance& l, const message& m) {
  bool first = std::exchange(l.first_message, false);
  if (!first || l.defect != sabotage::dropping) l.checks.handle_consumed(l.self, m, l.own.store);
  if (first && l.defect == sabotage::repeating) l.checks.handle_consumed(l.self, m, l.own.store);
  ++l.own.consumed;
}

namespace {

/// Answers with the messenger's own send, which is stored before the consumption.
asio::awaitable<void> answer_apart(instance& l, received m) {
  std::string text = text_of(l.self, l.checks.handle_answer(l.self, m));
  co_await m.context.messenger().send_to(m.from, text);
  l.at(place::at_work, std::string(m.text()));
}

constexpr auto work = 700us;

}  // namespace

asio::awaitable<void> read(std::shared_ptr<instance> l, inbox_type from) {
  for (;;) {
    received m = co_await from.receive();
    begin_taking(*l, m);
    co_await test::sleep_for(work);
    if (l->defect == sabotage::apart) {
      co_await answer_apart(*l, m);
    } else {
      answer(*l, m, m.context);
    }
    co_await test::sleep_for(work);
    l->require();
    end_taking(*l, m);
    // Of two messages one is consumed by the question for the next.
    if (m.index % 2 == 0) continue;
    co_await from.consume();
    l->require();
    l->checks.handle_recorded(l->self, m, l->own.store);
    l->at(place::after_taking, std::string(m.text()));
  }
}

}  // namespace crash_points
