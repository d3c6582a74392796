#pragma once

// The observations of a history from outside, shared by the checkers. Nothing here includes a
// header of ilm/protocol or ilm/runtime.

#include "simulation/wire.hpp"

#include <ilm/backend.hpp>
#include <ilm/event.hpp>
#include <ilm/options.hpp>
#include <ilm/testing/simulated_store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace simulation {

using nanoseconds = std::chrono::nanoseconds;
using image = ilm::testing::disk_image<std::string>;
using stored_batch = ilm::batch<std::string>;
using event_type = ilm::event<std::string>;

/// The mixing function of SplitMix64.
std::uint64_t mixed(std::uint64_t z);

/// The contents of the `number`th message from one peer to another, of `size` bytes.
std::vector<std::byte> contents_of(std::size_t from, std::size_t to, std::size_t number,
                                   std::size_t size);
/// The number of the message with these contents; none if they are too short to tell.
std::optional<std::size_t> number_in(std::span<const std::byte> contents);

/// Its attributes, in the form of the wire: of some messages a header, the time of sending, and one
/// that nobody knows yet; of most none.
std::vector<std::byte> attributes_of(std::size_t number, std::size_t size);

enum class fate : std::uint8_t { open, accepted, failed, interrupted };

/// The first promise that did not hold: a kind, which shrinking compares, and the details.
struct failure {
  std::string kind;
  std::string text;
  explicit operator bool() const noexcept { return !kind.empty(); }
};

/// The input that an application consumed when it sent a message.
struct cause_of_output {
  std::size_t from = 0;
  std::size_t number = 0;
  std::size_t which = 0;  ///< of the outputs of that input
};

/// One message, as seen from outside.
struct record {
  std::size_t size = 0;
  unsigned process = 0;  ///< of the sender, which sent it
  unsigned depth = 0;    ///< how many messages led to it
  std::optional<cause_of_output> cause;
  fate sent = fate::open;
  std::uint64_t sequence = 0;
  ilm::stream_hash hash;
  ilm::stamp stream;            ///< that it was accepted for
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

/// The messages of one peer to another.
struct stream {
  std::vector<record> messages;
  std::size_t next_to_store = 0;
  std::map<wire::name, std::size_t> known;  ///< by hash
  std::deque<std::size_t> outbox;           ///< numbers of the messages on the sender's disk
  std::uint64_t last_index = 0;             ///< consumed last by this process of the receiver
};

/// One loss or rollback of a store, as it concerns one peer.
struct store_reset {
  nanoseconds at{};
  bool lost = false;
  bool other_contradicts = false;
};

struct reported_event {
  nanoseconds at{};
  unsigned process = 0;
  event_type event;
};

using pair_name = std::pair<std::size_t, std::size_t>;

inline wire::name name_of(const ilm::stream_hash& h) { return {h.high, h.low}; }
inline wire::name name_of(const ilm::stamp& s) { return {s.count, s.random}; }

inline nanoseconds now() { return ilm::testing::simulated_clock::now().time_since_epoch(); }

struct observations {
  /// `known_disks` are read whenever a frame or a delivery depends on their content.
  observations(const std::vector<ilm::options>& known_options,
               std::vector<const image*> known_disks);

  /// Records the first failure.
  void fail(std::string kind, std::string text);

  stream& stream_of(std::size_t from, std::size_t to) { return streams[{from, to}]; }
  const ilm::cursors* cursors_at(std::size_t at, std::size_t about) const;
  static const image::peer_record* peer_record_at(const image& disk, std::size_t about);
  std::string title(std::size_t from, std::size_t to, std::size_t number) const;

  /// Whether the store of `at` was lost or went back, as it concerns `about`.
  bool was_reset(std::size_t at, std::size_t about) const {
    return store_resets.contains({at, about});
  }
  nanoseconds last_meeting(std::size_t at, std::size_t about) const;
  bool went_back_unnoticed(std::size_t at, std::size_t about) const;
  bool named(std::size_t at, std::size_t about, bool outbound, std::uint64_t sequence,
             nanoseconds since) const;
  /// Whether this process said that the store refuses changes of some peer, or did.
  bool was_any_refused(std::size_t at) const;
  bool was_reported(std::size_t at, std::size_t about, nanoseconds since,
                    std::initializer_list<ilm::event_kind> kinds) const;

  /// The number of messages on the disks.
  std::size_t outstanding() const;
  /// The state of all streams and the events so far, as text.
  std::string summary() const;

  std::vector<ilm::options> options;
  std::vector<const image*> disks;
  simulation::failure failure;
  std::map<pair_name, stream> streams;
  std::map<pair_name, std::vector<store_reset>> store_resets;
  std::map<pair_name, std::vector<reported_event>> reported;
  std::map<pair_name, std::set<wire::name>> stored_streams;  ///< a disk's, of all times
  /// The last cursors of the stream or lineage before.
  std::map<pair_name, ilm::cursors> former_histories;
  std::set<std::tuple<std::size_t, std::size_t, unsigned>> sessions;  ///< that a process had
  std::map<pair_name, nanoseconds> last_session;                      ///< when the last one began
  std::vector<unsigned> processes;                                    ///< started, for each peer
  /// Sender, and receivers with numbers.
  std::vector<std::pair<std::size_t, std::vector<std::pair<std::size_t, std::size_t>>>> batches;
  bool effects = false;  ///< whether deliveries have effects, some of which fail
  std::size_t open_sends = 0;
  std::uint64_t messages = 0;
  std::uint64_t outputs = 0;  ///< of them
  std::uint64_t repeats = 0;
  std::uint64_t excused = 0;
};

}  // namespace simulation
