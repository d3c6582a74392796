#pragma once

// Peers with disks and applications on a simulated network, and the steps of a plan.

#include "simulation/attacker.hpp"
#include "simulation/play.hpp"

#include <ilm/deliveries/inbox.hpp>
#include <ilm/ilm.hpp>
#include <ilm/testing/scheduler.hpp>
#include <ilm/testing/simulated_clock.hpp>
#include <ilm/testing/simulated_network.hpp>
#include <ilm/testing/simulated_store.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace simulation {

using peer_id = std::string;
using clock = ilm::testing::simulated_clock;
using disk = ilm::testing::simulated_disk<peer_id>;
using network = ilm::testing::simulated_network<peer_id>;
using fabric = ilm::testing::simulated_fabric<peer_id>;

/// Shared by the callbacks of one process: they ignore results once it has ended.
struct process_state {
  bool alive = true;
};
using process_pointer = std::shared_ptr<process_state>;

/// The behaviour of an application.
struct application {
  nanoseconds time{};             ///< that it takes over a message
  std::uint64_t fails_every = 0;  ///< offers; 0: never, 1: always
  std::uint64_t offers = 0;
  bool interrupted = false;  ///< its readers are cancelled again and again
  std::uint64_t drawn = 0;   ///< choices so far
  std::function<void(const ilm::message<peer_id>&)> consumed;

  /// Counts an offer: whether it fails.
  bool fails_now() { return fails_every != 0 && ++offers % fails_every == 0; }
};

/// The store of a peer, with the defects that a test may plant.
class peer_store {
 public:
  static constexpr ilm::durability durable_to = ilm::durability::media;
  using transaction = ilm::memory_transaction;

  peer_store(const disk& d, sabotage planted) : store_(d), planted_(planted) {}

  asio::awaitable<ilm::store_state<peer_id>> open() { return store_.open(); }
  asio::awaitable<void> commit(const ilm::batch<peer_id>& change);
  asio::awaitable<void> commit(const ilm::batch<peer_id>& change, ilm::effects<transaction>& with) {
    return planted_ == sabotage::dropped_effects ? commit(change) : store_.commit(change, with);
  }
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const peer_id& peer,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    return store_.read(which, peer, from, limit);
  }
  asio::awaitable<void> close() { return store_.close(); }

 private:
  ilm::testing::simulated_store<peer_id> store_;
  sabotage planted_;
  unsigned commits_ = 0;
};

/// Stands between a messenger and its application.
class handler {
 public:
  handler(std::shared_ptr<application> app, process_pointer l)
      : app_(std::move(app)), process_(std::move(l)) {}

  asio::awaitable<void> operator()(ilm::message<peer_id> m);

 private:
  std::shared_ptr<application> app_;
  process_pointer process_;
};

class player;

/// One message with an application that sends others with its consumption.
class task {
 public:
  using context_type = ilm::delivery_context<peer_id>;

  /// Throws if the process has ended.
  task(player& p, std::size_t at, process_pointer l, const ilm::message<peer_id>& m,
       context_type context);

  /// Sends some of the messages that go with this one.
  void send_some();
  /// Sends the others, and fails where the application does.
  void finish();
  /// The application is done with the message.
  void end();
  void give_up();
  /// Its store says that it is recorded.
  void handle_recorded();

 private:
  struct output {
    std::size_t to = 0;
    std::size_t size = 0;
  };

  std::vector<output> choose_outputs() const;
  void send_next();

  player& player_;
  std::size_t at_;
  process_pointer process_;
  ilm::message<peer_id> message_;
  context_type context_;
  input input_;
  std::vector<output> outputs_;
  std::size_t sent_ = 0;
  bool ended_ = false;
};

/// An application that sends messages with the consumption of each: a coroutine.
class relay {
 public:
  relay(player& p, std::size_t at, process_pointer l)
      : player_(&p), at_(at), process_(std::move(l)) {}

  asio::awaitable<void> operator()(ilm::message<peer_id> m,
                                   ilm::delivery_context<peer_id>& context);

 private:
  player* player_;
  std::size_t at_;
  process_pointer process_;
};

/// The same as a function that returns at once.
class quick_relay {
 public:
  quick_relay(player& p, std::size_t at, process_pointer l)
      : player_(&p), at_(at), process_(std::move(l)) {}

  void operator()(ilm::message<peer_id> m, ilm::delivery_context<peer_id>& context);

 private:
  player* player_;
  std::size_t at_;
  process_pointer process_;
};

using inbox_type = ilm::inbox<peer_id>;
using received = ilm::received<peer_id>;

/// A worker with an inbox: a coroutine that may be cancelled, and is followed by another.
struct reader {
  reader(ilm::testing::scheduler& s, inbox_type from, bool copies)
      : own(std::move(from)), makes_copies(copies), timer(s.get_executor()) {}

  inbox_type own;
  bool makes_copies;
  asio::cancellation_signal stop;
  ilm::testing::simulated_timer timer;
  std::uint64_t runs = 0;
};
using reader_pointer = std::shared_ptr<reader>;

using messenger = ilm::messenger_handle<peer_id>;

struct actor {
  std::string name;
  disk store;
  std::shared_ptr<application> app = std::make_shared<application>();
  process_pointer process;
  std::shared_ptr<messenger> instance;  ///< of any kind of application
  std::vector<reader_pointer> readers;
  std::vector<image> copies;
  std::uint64_t starts = 0;
  bool leaving = false;     ///< is being shut down
  std::uint64_t build = 0;  ///< of the next starts
  std::uint64_t failures_before = 0;
};

/// A step that hands over frames again and again.
struct attack {
  explicit attack(ilm::testing::scheduler& s, const step& what)
      : cause(what), timer(s.get_executor()) {}

  const step& cause;
  std::uint64_t done = 0;
  ilm::testing::simulated_timer timer;
};

class player {
 public:
  player(const plan& p, const playing& how);
  player(const player&) = delete;
  player& operator=(const player&) = delete;
  ~player();

  outcome play();

 private:
  friend class task;
  friend class relay;

  void run_to(const step& s);
  void act(const step& s);
  void act_on_application(const step& s);
  void act_on_network(const step& s);
  void act_on_store(const step& s);

  void start(std::size_t a);
  std::shared_ptr<messenger> make_messenger(std::size_t a, const ilm::options& o);
  void begin_reading(std::size_t a, const process_pointer& l, const reader_pointer& r);
  asio::awaitable<void> read(std::size_t a, process_pointer l, reader_pointer r);
  asio::awaitable<bool> try_to_read_some(std::size_t a, process_pointer l, inbox_type& from);
  asio::awaitable<void> read_some(std::size_t a, process_pointer l, inbox_type& from);
  void interrupt_later(std::size_t a, const process_pointer& l, const reader_pointer& r);
  void interrupt_after(const process_pointer& l, const reader_pointer& r, std::uint64_t run,
                       unsigned turns);
  void interrupt(std::size_t a);
  std::size_t draw(std::size_t a, std::size_t bound);
  void watch_events(std::size_t a, const process_pointer& l);
  void handle_event(std::size_t a, const event_type& e);
  void send(const step& s);
  struct outgoing {
    std::size_t to = 0;
    std::size_t number = 0;
    std::size_t size = 0;
  };
  std::size_t open_send(std::size_t from, std::size_t to, std::size_t size);
  void send_one(std::size_t from, std::size_t to, std::size_t size);
  void send_alone(std::size_t from, const outgoing& out);
  void send_batch(std::size_t from, std::vector<outgoing> all);
  static ilm::send_options options_of(const outgoing& out);
  void handle_sent(std::size_t from, const outgoing& out, const process_state& process,
                   std::error_code e, std::uint64_t sequence);
  void ask_receipt(std::size_t from, std::size_t to, std::size_t number, std::uint64_t sequence);
  void consume(std::size_t at, const ilm::message<peer_id>& m);
  /// In the transaction that records a message as consumed.
  void apply_effect(std::size_t at, const input& in, ilm::memory_transaction& t);
  void kill(std::size_t a, bool lands);
  /// Ends a's process, then calls `change` to alter its disk.
  void destroy(std::size_t a, bool lands, const std::function<void()>& change);
  void shut_down(std::size_t a, nanoseconds time);
  void flap(std::size_t a, std::size_t b, std::uint64_t count, nanoseconds pause);
  void flip(std::size_t a, std::size_t b, bool inbox, std::uint64_t which);
  void cure(std::size_t a);

  void handle_frame_sent(const peer_id& from, const peer_id& to, std::span<const std::byte> f);
  void handle_injected(const peer_id& from, const peer_id& to, std::span<const std::byte> f);
  void go_on(attack& x);
  void hand_over(const step& s, std::uint64_t turn);
  /// Ends the attacks that do not go on in the calm, or all.
  void end_attacks(bool all);
  nanoseconds calm_delay() const;
  void reconnect_all();
  void withstand();
  void send_to_all();
  bool all_meet() const;

  void end_trouble();
  bool quiet();
  void converge();
  void idle();
  void leave();
  void sample();

  template <class... Words>
  void note(const Words&... words) {
    mix(static_cast<std::uint64_t>(clock::now().time_since_epoch().count()));
    if (!how_.trace) return;
    std::ostringstream out;
    out << clock::now().time_since_epoch() / 1us << " us: ";
    (out << ... << words);
    out_.trace.push_back(out.str());
  }
  void mix(std::uint64_t value) noexcept;
  void mix(std::span<const std::byte> bytes) noexcept;

  const plan& plan_;
  playing how_;
  ilm::testing::scheduler scheduler_;
  fabric fabric_;
  std::vector<std::unique_ptr<actor>> actors_;
  std::unique_ptr<checker> checker_;
  outcome out_;
  nanoseconds jumped_{};
  attacker attacker_;
  bool attacked_ = false;  ///< whether any step is an attack
  bool calm_ = false;      ///< the trouble is over
  std::vector<std::unique_ptr<attack>> attacks_;
  std::uint64_t deliveries_ = 0;  ///< for planted defects
  std::unique_ptr<ilm::message<peer_id>> withheld_;
  std::uint64_t asked_ = 0;
  std::uint64_t chatter_ = 0;  ///< frames with more than a ping or an answer to one
};

}  // namespace simulation
