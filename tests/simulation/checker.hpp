#pragma once

// The promises that must hold in a history, checked from outside. The checker sees sends,
// deliveries and events of applications, the content of disks and the frames on the wire, and
// includes no header of ilm/protocol or ilm/runtime.

#include "simulation/wire.hpp"
#include "support/confirmed.hpp"

#include <ilm/backend.hpp>
#include <ilm/event.hpp>
#include <ilm/options.hpp>
#include <ilm/statistics.hpp>
#include <ilm/testing/simulated_store.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace simulation {

using test::confirmed;
using nanoseconds = std::chrono::nanoseconds;
using image = ilm::testing::disk_image<std::string>;
using stored_batch = ilm::batch<std::string>;
using event_type = ilm::event<std::string>;

/// The contents of the `number`th message from one peer to another, of `size` bytes.
std::vector<std::byte> contents_of(std::size_t from, std::size_t to, std::size_t number,
                                   std::size_t size);

enum class fate : std::uint8_t { open, accepted, failed, interrupted };

/// The first promise that did not hold: a kind, which shrinking compares, and the details.
struct failure {
  std::string kind;
  std::string text;
  explicit operator bool() const noexcept { return !kind.empty(); }
};

class checker {
 public:
  /// `disks` are read whenever a frame or a delivery depends on their content.
  checker(const std::vector<ilm::options>& options, std::vector<const image*> disks);

  const failure& found() const noexcept { return failure_; }
  void fail(std::string kind, std::string text);

  // Inputs from applications.

  /// An application sends: returns the message's number.
  std::size_t handle_send(std::size_t from, std::size_t to, std::size_t size);
  void handle_sent(std::size_t from, std::size_t to, std::size_t number, fate f,
                   std::uint64_t sequence);
  void handle_consumed(std::size_t at, std::size_t from, std::uint64_t index,
                       std::uint64_t sequence, std::span<const std::byte> contents);
  void handle_receipt(std::size_t from, std::size_t to, std::size_t number);
  void handle_event(std::size_t at, std::size_t about, const event_type& e);
  /// An event without a peer.
  void handle_own_event(std::size_t at, const event_type& e);

  // Inputs from disks.

  void handle_commit(std::size_t at, const stored_batch& change);
  void handle_unreadable(std::size_t at, ilm::queue which, std::size_t peer, std::uint64_t index);
  /// The process at `at` ended. `before` and `after` are its disk's content: equal after a crash,
  /// different after a power cut, a loss or an old copy.
  void handle_end(std::size_t at, const image& before, const image& after);
  void handle_shutdown(std::size_t at, const ilm::shutdown_report<std::string>& report, bool exact);
  void handle_start(std::size_t at);

  // Inputs from the network.

  void handle_frame_sent(std::size_t from, std::size_t to, std::span<const std::byte> bytes);
  void handle_frame_arrived(std::size_t from, std::size_t to, std::span<const std::byte> bytes);
  void corruption_begins() { corruption_ = true; }

  // The end.

  void check_bounds(std::size_t at, const ilm::messenger_statistics<std::string>& s);
  /// The number of messages on the disks.
  std::size_t outstanding() const;
  /// Sends that have not completed.
  std::size_t open_sends() const noexcept { return open_sends_; }
  void finish();
  /// The state of all streams and the events so far, as text.
  std::string summary() const;

  std::uint64_t messages() const noexcept { return messages_; }
  std::uint64_t repeats() const noexcept { return repeats_; }
  std::uint64_t excused() const noexcept { return excused_; }

 private:
  /// One message, as seen from outside.
  struct record {
    std::size_t size = 0;
    unsigned process = 0;  ///< of the sender, which sent it
    fate sent = fate::open;
    std::uint64_t sequence = 0;
    std::uint64_t epoch = 0;
    bool stored = false;          ///< was on the sender's disk
    bool forgotten = false;       ///< the disk went back to before it, or was lost
    bool lost_whole = false;      ///< with the whole store
    bool unknown_to_all = false;  ///< no store had evidence of it when it was forgotten
    nanoseconds forgotten_at{};
    unsigned consumed = 0;
    bool may_repeat = false;     ///< consumed, and not recorded as such when the receiver ended
    bool silent_repeat = false;  ///< consumed, and no store has evidence of that
    std::vector<std::pair<nanoseconds, unsigned>> repeats;  ///< time and process
  };
  struct stream {
    std::vector<record> messages;
    std::size_t next_to_store = 0;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> known;  ///< by epoch, sequence
    std::deque<std::size_t> outbox;  ///< numbers of the messages on the sender's disk
    std::uint64_t last_index = 0;    ///< consumed last by this process of the receiver
  };
  /// One loss or rollback of a store, as it concerns one peer.
  struct store_reset {
    nanoseconds at{};
    bool lost = false;
    bool other_contradicts = false;
  };
  struct flow {
    std::uint64_t acknowledged = 0;
    std::uint64_t credit = 0;
    std::uint64_t acknowledged_received = 0;
    std::uint64_t acknowledged_delivered = 0;
  };
  struct reported_event {
    nanoseconds at{};
    unsigned process = 0;
    event_type event;
  };
  struct unread_message {
    nanoseconds at{};
    std::size_t reader = 0;
    unsigned process = 0;
    ilm::queue which{};
    std::size_t peer = 0;
    std::uint64_t index = 0;
    std::uint64_t sequence = 0;
  };
  using pair_name = std::pair<std::size_t, std::size_t>;

  static nanoseconds now() { return ilm::testing::simulated_clock::now().time_since_epoch(); }
  stream& stream_of(std::size_t from, std::size_t to) { return streams_[{from, to}]; }
  const ilm::cursors* cursors_at(std::size_t at, std::size_t about) const;
  const image::peer_record* peer_record_at(const image& disk, std::size_t about) const;
  std::string title(std::size_t from, std::size_t to, std::size_t number) const;

  void store_outbox(std::size_t at, std::size_t to, const ilm::peer_change<std::string>& c);
  void store_inbox(std::size_t at, std::size_t from, const ilm::peer_change<std::string>& c);
  void note_repeat(std::size_t at, std::size_t from, std::size_t number, record& r);

  void forget(std::size_t at, std::size_t about, const image& before, const image& after);
  void forget_sent(std::size_t at, std::size_t to, const image& before, const image& after);
  void forget_received(std::size_t at, std::size_t from, const image& after);
  bool contradicts(std::size_t at, std::size_t about, const image& before,
                   const image& after) const;

  void check_ack(std::size_t from, std::size_t to, const wire::frame& f);
  void check_hello(std::size_t from, std::size_t to, const wire::frame& f);
  void check_data(std::size_t from, std::size_t to, const wire::frame& f);

  void finish_stream(std::size_t from, std::size_t to, const stream& s);
  void finish_missing(std::size_t from, std::size_t to, std::size_t number, const record& r);
  void finish_store_resets();
  void finish_unread(std::size_t at, unsigned process, nanoseconds end);
  void handle_session(std::size_t at, std::size_t about);
  bool went_back_unnoticed(std::size_t at, std::size_t about) const;
  bool was_reset(std::size_t at, std::size_t about) const {
    return store_resets_.contains({at, about});
  }
  bool named(std::size_t at, std::size_t about, bool outbound, std::uint64_t sequence,
             nanoseconds since) const;
  bool reported(std::size_t at, std::size_t about, nanoseconds since,
                std::initializer_list<ilm::event_kind> kinds) const;

  std::vector<ilm::options> options_;
  std::vector<const image*> disks_;
  failure failure_;
  std::map<pair_name, stream> streams_;
  std::map<pair_name, std::vector<store_reset>> store_resets_;
  std::map<pair_name, std::vector<reported_event>> reported_;
  std::map<std::tuple<std::size_t, std::size_t, std::uint32_t, std::uint32_t>, flow> flows_;
  std::map<pair_name, std::uint64_t> hello_first_;
  std::map<pair_name, std::uint64_t> delivered_seen_;                  ///< by acks that arrived
  std::map<pair_name, std::set<wire::name>> stored_incarnations_;      ///< a disk's, of all times
  std::set<std::tuple<std::size_t, std::size_t, unsigned>> sessions_;  ///< that a process had
  std::map<pair_name, nanoseconds> last_session_;                      ///< when the last one began
  std::vector<unsigned> processes_;
  std::vector<std::map<std::size_t, std::uint64_t>> opened_;  ///< outbox_first at the start
  std::vector<unread_message> unread_;
  bool corruption_ = false;
  std::size_t open_sends_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t repeats_ = 0;
  std::uint64_t excused_ = 0;
};

}  // namespace simulation
