#pragma once

// Those who hand over frames that their peer does not send: a network that keeps old frames of the
// handshake, and somebody who guesses.

#include "simulation/plan.hpp"
#include "simulation/wire_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <utility>

namespace simulation {

class attacker {
 public:
  /// `knows_tags`: guesses what nobody can, the tags of sessions. A test sees the checker find it.
  explicit attacker(bool knows_tags) : knows_tags_(knows_tags) {}

  /// False for a hello that is not what the encoder here would write.
  bool handle_frame_sent(std::size_t from, std::size_t to, std::span<const std::byte> bytes);
  /// Whether the network would have carried these bytes from one to the other at some time.
  bool was_sent(std::size_t from, std::size_t to, std::span<const std::byte> bytes) const;

  /// The `turn`th frame of a step, from its a to its b; empty if there is none yet.
  wire::bytes replay(const step& s, std::uint64_t turn) const;
  wire::bytes guess(const step& s, std::uint64_t turn);

 private:
  using pair_name = std::pair<std::size_t, std::size_t>;
  /// What passed last from one peer to another. Only a guess near it is made of it: nothing that
  /// the guess has to prove is taken over.
  struct passed {
    wire::bytes frame;  ///< of a session
    wire::header header;
    wire::ack ack;
    std::optional<wire::hello> hello;
  };

  std::uint64_t draw();
  std::uint64_t draw(std::uint64_t bound) { return draw() % bound; }
  std::size_t draw_size(std::size_t bound) { return static_cast<std::size_t>(draw(bound)); }
  std::uint64_t draw_tag(const step& s);
  wire::bytes frame_of_others(const step& s);
  wire::bytes reflected(const step& s);
  wire::bytes guess_hello(const step& s);
  wire::bytes guess_ack(const step& s);
  wire::bytes guess_data(const step& s);
  wire::header guess_header(const step& s);
  wire::claim guess_claim(const step& s);

  bool knows_tags_;
  std::uint64_t state_ = 0;
  std::map<pair_name, std::deque<wire::bytes>> handshakes_;
  std::map<pair_name, passed> passed_;
};

}  // namespace simulation
