#pragma once

#include <ilm/stored.hpp>

#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::protocol {

/// The shell's name for a send. The core gives it back with the result and reads nothing in it.
enum class send_id : std::uint64_t {};

/// The fate of a send if the change that has it fails.
enum class on_failure : bool {
  ends,   ///< it ends with the error
  stays,  ///< it goes with the next change
};

/// A send that has no sequence yet.
struct submission {
  submission(send_id name, payload p, on_failure then = on_failure::ends)
      : id(name), failing(then), message(std::move(p)) {}

  send_id id;
  on_failure failing;
  payload message;
  std::uint64_t salt = 0;  ///< with the hash, once it is in commit
  stream_hash hash;
};

/// The end of a send.
struct send_result {
  send_id id{};
  std::uint64_t sequence = 0;  ///< 0 if `error` is set
  std::error_code error;
};

/// One atomic change of the store, for one peer.
struct store_change {
  cursors next;
  std::vector<stored_message> outbox;
  std::vector<stored_message> inbox;
};

}  // namespace ilm::inline v0::protocol
