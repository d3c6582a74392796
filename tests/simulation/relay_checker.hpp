#pragma once

// The checks of applications that send with the consumption of a message: the store gets both in
// one commit, or neither.

#include "simulation/observations.hpp"

#include <ilm/message.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace simulation {

/// A message that an application got.
struct input {
  std::size_t from = 0;
  std::size_t number = 0;
  std::uint64_t index = 0;
  unsigned depth = 0;  ///< how many messages led to it
};

class relay_checker {
 public:
  using message = ilm::message<std::string>;

  explicit relay_checker(observations& seen)
      : seen_(seen), producing_(seen.options.size(), false) {}

  /// The process at `at` started. `produces`: whether its applications call what follows.
  void handle_start(std::size_t at, bool produces);

  /// An application has a message, and will send `outputs` others with its consumption. None if
  /// that is no message that it may have.
  std::optional<input> handle_offered(std::size_t at, std::size_t from, const message& m,
                                      unsigned attempt);
  void expect_outputs(std::size_t at, const input& in, std::size_t outputs);
  /// It sends the `which`th of them: returns the number of that message.
  std::size_t handle_output(std::size_t at, const input& in, std::size_t which, std::size_t to,
                            std::size_t size);
  /// It does not consume the message this time: all that it sent is void.
  void handle_given_up(std::size_t at, const input& in);
  /// It is done: from now on the store may record that.
  void handle_done(std::size_t at, const input& in);
  /// It was told that the store has recorded that.
  void handle_recorded(std::size_t at, const input& in);

  /// An effect of the message is applied, after that of the message with index `last`.
  void check_effect(std::size_t at, const input& in, std::uint64_t last);

  // A commit: its consumptions, the messages for the outboxes, its end.

  void begin_commit(std::size_t at, const stored_batch& change);
  /// The number of the message, if an application sent it with a consumption.
  std::optional<std::size_t> take(std::size_t at, std::size_t to, const ilm::stored_message& m);
  void end_commit(std::size_t at);

  /// Each input has each of its outputs once, as far as no store was lost or went back.
  void finish();

 private:
  using place = std::tuple<std::size_t, std::size_t, std::uint64_t>;  ///< at, from, index

  struct output {
    std::size_t to = 0;
    std::size_t number = 0;
  };
  struct offer {
    std::uint64_t index = 0;
    unsigned attempt = 0;
  };

  void check_effects(std::size_t at, const stored_batch& change);
  void check_turn(std::size_t at, const input& in, unsigned attempt);
  void forget(std::size_t at);
  bool fits(std::size_t at, const output& o, const ilm::stored_message& m) const;
  std::optional<std::size_t> output_named_in(std::size_t at, std::size_t to,
                                             const ilm::stored_message& m) const;
  bool store_is_whole(std::size_t at) const;

  observations& seen_;
  std::vector<bool> producing_;
  std::map<pair_name, offer> offered_;                    ///< by this process, last
  std::map<place, std::vector<output>> sent_;             ///< with what was offered last
  std::map<place, std::vector<output>> done_;             ///< of what may be recorded
  std::map<pair_name, std::set<std::uint64_t>> inboxes_;  ///< their indexes
  std::map<pair_name, std::deque<output>> in_commit_;  ///< by the sender of the input, and receiver
  std::map<std::tuple<std::size_t, std::size_t, std::size_t>, std::vector<unsigned>> stored_;
};

}  // namespace simulation
