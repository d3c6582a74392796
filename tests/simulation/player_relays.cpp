// Applications that send with the consumption of a message: handlers, and readers of an inbox. The
// one file that instantiates messengers.

#include "simulation/player.hpp"
#include "support/sleep.hpp"

#include <ilm/messenger.hpp>

#include <algorithm>
#include <stdexcept>
#include <system_error>

namespace simulation {
namespace {

/// Messages that outputs lead to bring no further ones.
constexpr unsigned deepest = 2;
/// The bytes of attributes_of, at most.
constexpr std::size_t most_attributes = 60;

/// Whether the coroutine may still begin an operation: one that was cancelled asks for nothing.
asio::awaitable<void> require_not_cancelled() {
  asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw std::system_error(asio::error::operation_aborted);
  }
}

}  // namespace

// The messages of an application.

task::task(player& p, std::size_t at, process_pointer l, const ilm::message<peer_id>& m,
           context_type context)
    : player_(p), at_(at), process_(std::move(l)), message_(m), context_(std::move(context)) {
  if (!process_->alive) throw std::runtime_error("the process ended");
  std::optional<input> in =
      player_.checker_->relays().handle_offered(at_, number_of(m.from), m, context_.attempt());
  if (!in) throw std::runtime_error("no such message");
  input_ = *in;
  player_.mix(640 + m.index * 16 + context_.attempt());
  player_.note(peer_name(at_), " has ", m.from, "'s sequence ", m.sequence, ", index ", m.index,
               ", attempt ", context_.attempt());
  outputs_ = choose_outputs();
  player_.checker_->relays().expect_outputs(at_, input_, outputs_.size());
}

/// The same for the same message, whoever sends it again and whatever happens.
std::vector<task::output> task::choose_outputs() const {
  if (input_.depth >= deepest) return {};
  std::uint64_t z = player_.plan_.seed * 512 + at_ * 64 + input_.from * 8;
  z = mixed(z * 0x9e3779b97f4a7c15 + input_.number);
  auto draw = [&z](std::size_t bound) {
    z = mixed(z + 0x9e3779b97f4a7c15);
    return static_cast<std::size_t>(z % bound);
  };
  constexpr std::uint64_t counts[] = {0, 1, 1, 1, 2, most_outputs};
  std::size_t peers = player_.plan_.peers();
  const ilm::options& o = player_.plan_.options[at_];
  // Two whose outboxes are full would wait for each other: then outputs go one way only.
  bool one_way = o.outbox_limit != 0;
  std::vector<output> all;
  for (std::uint64_t n = counts[draw(6)]; n > 0; --n) {
    output out;
    out.to = draw(2) == 0 ? input_.from : (at_ + 1 + draw(peers - 1)) % peers;
    out.size = 8 + (draw(8) == 0 ? draw(o.maximum_message_size - 7) : draw(30));
    // With its attributes, it has to be within the limit.
    if (out.size <= 200) out.size = std::min(out.size, o.maximum_message_size - most_attributes);
    if (one_way && out.to < at_) continue;
    all.push_back(out);
  }
  return all;
}

void task::send_next() {
  const output& out = outputs_[sent_];
  std::size_t number =
      player_.checker_->relays().handle_output(at_, input_, sent_, out.to, out.size);
  ++sent_;
  player_.note(peer_name(at_), " sends message ", number, " to ", peer_name(out.to), " with it, ",
               out.size, " bytes");
  ilm::send_options with;
  with.forwarded = ilm::attributes(ilm::bytes(attributes_of(number, out.size)));
  std::vector<std::byte> contents = contents_of(at_, out.to, number, out.size);
  if (player_.how_.planted == sabotage::separate_sends) {
    context_.messenger().send_to(peer_name(out.to), contents, with,
                                 [](std::error_code, std::uint64_t) {});
  } else {
    context_.send_to(peer_name(out.to), contents, with);
  }
}

void task::send_some() {
  while (sent_ < outputs_.size() && player_.draw(at_, 3) == 0) send_next();
}

void task::finish() {
  if (!process_->alive) throw std::runtime_error("the process ended");
  while (sent_ < outputs_.size()) send_next();
  if (player_.actors_[at_]->app->fails_now()) {
    give_up();
    throw std::runtime_error("not now");
  }
  if (!player_.plan_.effects) return;
  context_.apply<ilm::memory_transaction>(
      [&p = player_, at = at_, in = input_](auto& t) { p.apply_effect(at, in, t); });
}

void task::end() {
  if (ended_ || !process_->alive) return;
  ended_ = true;
  player_.checker_->relays().handle_done(at_, input_);
  player_.consume(at_, message_);
}

void task::give_up() {
  if (ended_ || !process_->alive) return;
  ended_ = true;
  player_.checker_->relays().handle_given_up(at_, input_);
}

void task::handle_recorded() {
  if (process_->alive) player_.checker_->relays().handle_recorded(at_, input_);
}

asio::awaitable<void> relay::operator()(ilm::message<peer_id> m,
                                        ilm::delivery_context<peer_id>& context) {
  player& p = *player_;
  task t(p, at_, process_, m, context);
  t.send_some();
  co_await test::sleep_for(p.actors_[at_]->app->time);
  t.finish();
  t.end();
}

void quick_relay::operator()(ilm::message<peer_id> m, ilm::delivery_context<peer_id>& context) {
  task t(*player_, at_, process_, m, context);
  t.finish();
  t.end();
}

std::shared_ptr<messenger> player::make_messenger(std::size_t a, const ilm::options& o) {
  actor& x = *actors_[a];
  peer_store store(x.store, how_.planted);
  auto make = [&]<class Delivery>(Delivery deliver) -> std::shared_ptr<messenger> {
    return std::make_shared<ilm::messenger<peer_store, network, Delivery>>(
        scheduler_, std::move(store), fabric_.join(x.name), std::move(deliver), o);
  };
  switch (plan_.role_of(a)) {
    case role::relay:
      return make(relay(*this, a, x.process));
    case role::quick_relay:
      return make(quick_relay(*this, a, x.process));
    case role::reader: {
      inbox_type incoming;
      auto made = make(incoming);
      for (std::uint64_t n = 1 + draw(a, 2); n > 0; --n) {
        bool copies = draw(a, 2) == 0;
        x.readers.push_back(std::make_shared<reader>(scheduler_, incoming, copies));
        begin_reading(a, x.process, x.readers.back());
      }
      return made;
    }
    default:
      return make(handler(x.app, x.process));
  }
}

/// A choice of the application of `a`.
std::size_t player::draw(std::size_t a, std::size_t bound) {
  std::uint64_t z = plan_.seed * 64 + a;
  z = mixed(z * 0x9e3779b97f4a7c15 + ++actors_[a]->app->drawn);
  return static_cast<std::size_t>(z % bound);
}

// Readers.

void player::begin_reading(std::size_t a, const process_pointer& l, const reader_pointer& r) {
  ++r->runs;
  auto ended = [this, a, l, r](std::exception_ptr) {
    if (l->alive) begin_reading(a, l, r);
  };
  asio::co_spawn(scheduler_.get_executor(), read(a, l, r),
                 asio::bind_cancellation_slot(r->stop.slot(), std::move(ended)));
  interrupt_later(a, l, r);
}

/// Reads a few messages with the reader's inbox object, or always with one that ends before the
/// last of them is consumed.
asio::awaitable<void> player::read(std::size_t a, process_pointer l, reader_pointer r) {
  inbox_type copy = r->own;
  inbox_type& from = r->makes_copies ? copy : r->own;
  for (std::uint64_t n = 1 + draw(a, 20); n > 0 && l->alive; --n) {
    bool done = co_await try_to_read_some(a, l, from);
    co_await require_not_cancelled();
    if (!done) co_await test::sleep_for(1ms);
  }
}

/// Apart from the loop: tests/coroutines.
asio::awaitable<bool> player::try_to_read_some(std::size_t a, process_pointer l, inbox_type& from) {
  try {
    co_await read_some(a, l, from);
  } catch (const std::runtime_error&) {
    co_return false;
  }
  co_return true;
}

asio::awaitable<void> player::read_some(std::size_t a, process_pointer l, inbox_type& from) {
  std::vector<received> all;
  if (draw(a, 3) == 0) {
    std::size_t most = 1 + draw(a, 3);
    all = co_await from.receive_some(most);
  } else {
    received m = co_await from.receive();
    all.push_back(std::move(m));
  }
  std::vector<task> tasks;
  for (const received& m : all) tasks.emplace_back(*this, a, l, m, m.context);
  try {
    if (how_.planted == sabotage::hasty_reader) co_await from.consume();
    for (task& t : tasks) {
      t.send_some();
      co_await test::sleep_for(actors_[a]->app->time);
      t.finish();
    }
    co_await require_not_cancelled();
    if (draw(a, 4) == 0) {
      tasks.front().end();
      co_await from.consume(all.front());
      tasks.front().handle_recorded();
      co_await require_not_cancelled();
    }
  } catch (...) {
    for (task& t : tasks) t.give_up();
    throw;
  }
  // From here on the next that asks may be done with all of them.
  for (task& t : tasks) t.end();
  if (draw(a, 3) != 0) co_return;
  co_await from.consume();
  for (task& t : tasks) t.handle_recorded();
}

void player::interrupt(std::size_t a) {
  // The coroutines end in calls of this, and others begin.
  std::vector<reader_pointer> readers = actors_[a]->readers;
  for (const reader_pointer& r : readers) r->stop.emit(asio::cancellation_type::terminal);
}

/// Cancels the coroutine that runs now, wherever it is then.
void player::interrupt_later(std::size_t a, const process_pointer& l, const reader_pointer& r) {
  if (!actors_[a]->app->interrupted) return;
  nanoseconds time(10'000 + draw(a, draw(a, 2) == 0 ? 300'000 : 10'000'000));
  unsigned turns = static_cast<unsigned>(draw(a, 2) == 0 ? 0 : draw(a, 30));
  r->timer.expires_at(clock::now() + time);
  r->timer.async_wait([this, l, r, run = r->runs, turns](std::error_code failed) {
    if (failed) return;
    interrupt_after(l, r, run, turns);
  });
}

void player::interrupt_after(const process_pointer& l, const reader_pointer& r, std::uint64_t run,
                             unsigned turns) {
  if (!l->alive || r->runs != run) return;
  if (turns == 0) return r->stop.emit(asio::cancellation_type::terminal);
  asio::post(scheduler_.get_executor(),
             [this, l, r, run, turns] { interrupt_after(l, r, run, turns - 1); });
}

}  // namespace simulation
