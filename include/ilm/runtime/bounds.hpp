#pragma once

#include <chrono>
#include <cstddef>

namespace ilm::inline v0::runtime {

// The bounds that are no options: each is a matter of turns on the strand, or of courtesy at the
// end.

/// For how many turns frames wait after a commit. A sender that awaits each send needs a few turns
/// for its next one; messages that come in them share a frame.
inline constexpr unsigned coalescing_turns = 4;

/// How many commits may follow one another before frames go all the same.
inline constexpr unsigned commits_before_flush = 64;

/// How many deliveries to one peer's application may follow one another before others have a turn.
inline constexpr unsigned deliveries_before_yield = 64;

/// How many reports of the network may follow one another before others have a turn.
inline constexpr unsigned reports_before_yield = 8;

/// For how long the network is not read at most while messages that came take all the memory that
/// those may which the store does not have. Well below the silence that ends a session.
inline constexpr std::chrono::milliseconds longest_reading_pause{1000};

/// How long a shutdown waits for calls of the application that ignore their cancellation.
inline constexpr std::chrono::milliseconds delivery_grace{200};

/// How long a shutdown waits for the last frames to leave.
inline constexpr std::chrono::milliseconds bye_grace{200};

/// For how many refusals, and how long after its beginning, the changes that a store refuses are
/// looked for in one batch; but the batch, and two of its changes, are tried in any case.
inline constexpr unsigned most_refusals = 16;
inline constexpr unsigned fewest_refusals = 3;
inline constexpr std::chrono::seconds longest_search{2};

/// How soon after an input a peer is called again at the earliest: what is due sooner comes
/// together.
inline constexpr std::chrono::milliseconds timer_granularity{1};

/// How long a peer stays in memory that has no session and nothing to do: one whose sessions flap
/// is not made anew each time. And how many leave before others have a turn.
inline constexpr std::chrono::milliseconds quiet_before_leaving{50};
inline constexpr unsigned leaving_before_yield = 64;

/// How much of a peer id an error text shows, in bytes: two fit into one.
inline constexpr std::size_t maximum_shown_id = 128;

/// How many names that something holds may be released before the table is swept for those that
/// nothing holds any more: besides half as many as it has.
inline constexpr std::size_t names_before_sweep = 16;

/// For how many peers a reader of the statistics copies the figures at a time.
inline constexpr std::size_t peers_in_slice = 64;

/// How many points in time an outbox keeps to tell its oldest age.
inline constexpr std::size_t most_age_marks = 256;

/// At which intervals events that repeat are summed up: each is twice the one before it.
inline constexpr std::chrono::nanoseconds shortest_repeat_interval = std::chrono::seconds(10);
inline constexpr std::chrono::nanoseconds longest_repeat_interval = std::chrono::hours(1);

/// How many changes of a state that flaps are told at once, and how late another one may be told.
inline constexpr unsigned state_changes_at_once = 16;
inline constexpr std::chrono::nanoseconds longest_state_interval = std::chrono::minutes(30);
/// Of how many peers that the store does not have this is kept.
inline constexpr std::size_t most_states_of_strangers = 256;

/// How many kinds of repeating events are told apart, over all peers; further ones share a sum for
/// each kind of event. And how many of peers that the store does not have.
inline constexpr std::size_t most_repeating_events = 4096;
inline constexpr std::size_t most_repeating_strangers = 64;

/// How many unread events of a peer that tell of messages lost or repeated stay apart.
inline constexpr std::size_t vital_events_per_peer = 8;

/// How long after the report of events that were lost the next such report comes, unless all
/// events were read meanwhile.
inline constexpr std::chrono::nanoseconds lost_events_interval = std::chrono::seconds(10);

}  // namespace ilm::inline v0::runtime
