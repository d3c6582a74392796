#pragma once

// What must hold in a history, judged from outside. It knows what applications sent and took, what
// events said, what is on the disks and what went over the wire, and includes no header of
// ilm/protocol or ilm/runtime.

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
using told_event = ilm::event<std::string>;

/// What a message of `size` bytes, the `number`th from one peer to another, contains.
std::vector<std::byte> contents_of(std::size_t from, std::size_t to, std::size_t number,
                                   std::size_t size);

enum class fate : std::uint8_t { open, accepted, failed, interrupted };

/// The first thing that did not hold: a kind, by which shrinking knows it again, and the details.
struct failure {
  std::string kind;
  std::string text;
  explicit operator bool() const noexcept { return !kind.empty(); }
};

class checker {
 public:
  /// `disks` are looked at whenever something is said or taken that must be true of them.
  checker(const std::vector<ilm::options>& options, std::vector<const image*> disks);

  const failure& found() const noexcept { return failure_; }
  void fail(std::string kind, std::string text);

  // What applications did.

  /// An application sends; gives the message its number.
  std::size_t sending(std::size_t from, std::size_t to, std::size_t size);
  void sent(std::size_t from, std::size_t to, std::size_t number, fate f, std::uint64_t sequence);
  void took(std::size_t at, std::size_t from, std::uint64_t index, std::uint64_t sequence,
            std::span<const std::byte> contents);
  void got_receipt(std::size_t from, std::size_t to, std::size_t number);
  void told(std::size_t at, std::size_t about, const told_event& e);
  /// Events that are about nobody.
  void told_alone(std::size_t at, const told_event& e);

  // What disks did.

  void committed(std::size_t at, const stored_batch& change);
  void unreadable(std::size_t at, ilm::box which, std::size_t peer, std::uint64_t index);
  /// The process at `at` ended. `before` and `after`: its disk, which a crash alone leaves as it
  /// is, but for what a power cut, a loss or an old copy made of it.
  void ended(std::size_t at, const image& before, const image& after);
  void shut_down(std::size_t at, const ilm::shutdown_report<std::string>& report, bool exact);
  void started(std::size_t at);

  // What the network saw.

  void frame_sent(std::size_t from, std::size_t to, std::span<const std::byte> bytes);
  void frame_arrived(std::size_t from, std::size_t to, std::span<const std::byte> bytes);
  void corruption_begins() { corruption_ = true; }

  // The end.

  void bound(std::size_t at, const ilm::messenger_statistics<std::string>& s);
  /// How many messages are under way as far as the disks know.
  std::size_t outstanding() const;
  /// Sends that have not completed.
  std::size_t open_sends() const noexcept { return open_sends_; }
  void finish();
  /// How things stand, in words.
  std::string standing() const;

  std::uint64_t messages() const noexcept { return messages_; }
  std::uint64_t repeats() const noexcept { return repeats_; }
  std::uint64_t excused() const noexcept { return excused_; }

 private:
  /// One message, as the outside saw it go.
  struct record {
    std::size_t size = 0;
    unsigned life = 0;  ///< of the sender, in which it was sent
    fate sent = fate::open;
    std::uint64_t sequence = 0;
    std::uint64_t epoch = 0;
    bool stored = false;       ///< was on the sender's disk
    bool forgotten = false;    ///< the disk went back to before it, or was lost
    bool lost_whole = false;   ///< with the whole store
    bool nobody_knew = false;  ///< no store knew of it when it was forgotten
    nanoseconds forgotten_at{};
    unsigned taken = 0;
    bool may_repeat = false;     ///< taken, and not recorded as such when the receiver ended
    bool silent_repeat = false;  ///< taken, and no store remembers that
    std::vector<std::pair<nanoseconds, unsigned>> repeats;  ///< when, and in which life
  };
  struct stream {
    std::vector<record> messages;
    std::size_t next_to_store = 0;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::size_t> known;  ///< by epoch, sequence
    std::deque<std::size_t> outbox;  ///< what the sender's disk holds, as numbers
    std::uint64_t last_index = 0;    ///< taken last in this life of the receiver
  };
  /// One side of a pair as its disk was when the other side's went back.
  struct act {
    nanoseconds at{};
    bool lost = false;
    bool other_could_tell = false;
  };
  struct flow {
    std::uint64_t acknowledged = 0;
    std::uint64_t credit = 0;
    std::uint64_t said_received = 0;
    std::uint64_t said_delivered = 0;
  };
  struct telling {
    nanoseconds at{};
    unsigned life = 0;
    told_event what;
  };
  struct unread_message {
    nanoseconds at{};
    std::size_t whose = 0;
    unsigned life = 0;
    ilm::box which{};
    std::size_t peer = 0;
    std::uint64_t index = 0;
    std::uint64_t sequence = 0;
  };
  using pair_name = std::pair<std::size_t, std::size_t>;

  static nanoseconds now() { return ilm::testing::simulated_clock::now().time_since_epoch(); }
  stream& stream_of(std::size_t from, std::size_t to) { return streams_[{from, to}]; }
  const ilm::cursors* cursors_at(std::size_t at, std::size_t about) const;
  const image::shelf* shelf_at(const image& disk, std::size_t about) const;
  std::string title(std::size_t from, std::size_t to, std::size_t number) const;

  void store_outbox(std::size_t at, std::size_t to, const ilm::peer_change<std::string>& c);
  void store_inbox(std::size_t at, std::size_t from, const ilm::peer_change<std::string>& c);
  void note_repeat(std::size_t at, std::size_t from, std::size_t number, record& r);

  void forget(std::size_t at, std::size_t about, const image& before, const image& after);
  void forget_sent(std::size_t at, std::size_t to, const image& before, const image& after);
  void forget_received(std::size_t at, std::size_t from, const image& after);
  bool could_tell(std::size_t at, std::size_t about, const image& before, const image& after) const;

  void check_ack(std::size_t from, std::size_t to, const wire::frame& f);
  void check_hello(std::size_t from, std::size_t to, const wire::frame& f);
  void check_data(std::size_t from, std::size_t to, const wire::frame& f);

  void finish_stream(std::size_t from, std::size_t to, const stream& s);
  void finish_missing(std::size_t from, std::size_t to, std::size_t number, const record& r);
  void finish_acts();
  void finish_unread(std::size_t at, unsigned life, nanoseconds end);
  void meet(std::size_t at, std::size_t about);
  bool went_back_unmet(std::size_t at, std::size_t about) const;
  bool acted(std::size_t at, std::size_t about) const { return acts_.contains({at, about}); }
  bool named(std::size_t at, std::size_t about, bool outbound, std::uint64_t sequence,
             nanoseconds since) const;
  bool told_of(std::size_t at, std::size_t about, nanoseconds since,
               std::initializer_list<ilm::event_kind> kinds) const;

  std::vector<ilm::options> options_;
  std::vector<const image*> disks_;
  failure failure_;
  std::map<pair_name, stream> streams_;
  std::map<pair_name, std::vector<act>> acts_;
  std::map<pair_name, std::vector<telling>> told_;
  std::map<std::tuple<std::size_t, std::size_t, std::uint32_t, std::uint32_t>, flow> flows_;
  std::map<pair_name, std::uint64_t> hello_first_;
  std::map<pair_name, std::uint64_t> told_delivered_;    ///< what arrived at one from the other
  std::map<pair_name, std::set<wire::name>> met_peers_;  ///< incarnations that a disk ever held
  std::set<std::tuple<std::size_t, std::size_t, unsigned>> met_;  ///< in which lives they met
  std::map<pair_name, nanoseconds> met_at_;                       ///< when they met last
  std::vector<unsigned> lives_;
  std::vector<std::map<std::size_t, std::uint64_t>> opened_;  ///< outbox_first at the start
  std::vector<unread_message> unread_;
  bool corruption_ = false;
  std::size_t open_sends_ = 0;
  std::uint64_t messages_ = 0;
  std::uint64_t repeats_ = 0;
  std::uint64_t excused_ = 0;
};

}  // namespace simulation
