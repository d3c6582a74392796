#pragma once

// The checks of disks, and of the end of a process, a machine or a disk.

#include "simulation/observations.hpp"
#include "simulation/relay_checker.hpp"

#include <ilm/statistics.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace simulation {

class store_checker {
 public:
  store_checker(observations& seen, relay_checker& relays)
      : seen_(seen), relays_(relays), opened_(seen.options.size()) {}

  void handle_commit(std::size_t at, const stored_batch& change);
  void handle_unreadable(std::size_t at, ilm::queue which, std::size_t peer, std::uint64_t index);
  void handle_start(std::size_t at);
  /// The process at `at` ended. `before` and `after` are its disk's content: equal after a crash,
  /// different after a power cut, a loss or an old copy.
  void handle_end(std::size_t at, const image& before, const image& after);
  void handle_shutdown(std::size_t at, const ilm::shutdown_report<std::string>& report, bool exact);
  /// An event names each unreadable message, unless the process ended within a moment.
  void finish_unread(std::size_t at);

 private:
  struct unread_message {
    nanoseconds at{};
    std::size_t reader = 0;
    unsigned process = 0;
    ilm::queue which{};
    std::size_t peer = 0;
    std::uint64_t index = 0;
    std::uint64_t sequence = 0;
  };

  bool is_of_former_stream(const unread_message& u) const;

  std::size_t find_sent(std::size_t at, std::size_t to, const ilm::stored_message& m);
  void store_outbox(std::size_t at, std::size_t to, const ilm::peer_change<std::string>& c);
  void store_inbox(std::size_t at, std::size_t from, const ilm::peer_change<std::string>& c);

  void forget(std::size_t at, std::size_t about, const image& before, const image& after);
  void forget_sent(std::size_t at, std::size_t to, const image& before, const image& after);
  void forget_received(std::size_t at, std::size_t from, const image& after);
  bool contradicts(std::size_t at, std::size_t about, const image& after) const;

  observations& seen_;
  relay_checker& relays_;
  std::map<pair_name, ilm::cursors> last_stored_;
  std::vector<std::map<std::size_t, std::uint64_t>> opened_;  ///< outbox_first at the start
  std::vector<unread_message> unread_;
};

}  // namespace simulation
