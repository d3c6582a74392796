#pragma once

#include <ilm/detail/completion.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

struct send_request;

/// What the sends of a batch share: one end, once the last of them has ended. Either all are in the
/// store, or none is.
class send_batch {
 public:
  using handler = detail::completion<std::error_code, std::vector<std::uint64_t>>;

  explicit send_batch(std::size_t size) : sequences_(size), accepted_(size), open_(size) {}

  /// Set last, when nothing can throw any more.
  void set_handler(handler done) noexcept {
    assert(done && !done_);
    done_ = std::move(done);
  }

  /// A core has the send at `place`.
  void handle_accepted(std::size_t place, send_request& r) noexcept {
    assert(accepted_[place] == nullptr);
    accepted_[place] = &r;
  }
  /// Where it throws, the batch can be told the end again, by the send that was the last one.
  void handle_end(std::size_t place, std::error_code failed, std::uint64_t sequence) {
    assert(done_);
    if (open_ > 0) {
      --open_;
      accepted_[place] = nullptr;
      sequences_[place] = sequence;
      if (failed && !failed_) failed_ = failed;
    }
    if (open_ > 0) return;
    std::vector<std::uint64_t> told;
    if (!failed_) told = sequences_;
    done_(failed_, std::move(told));
  }

  /// Why the batch fails; none if it does not, as far as is known.
  std::error_code failed() const noexcept { return failed_; }
  /// True once, if it fails: then what cores have of it is to be withdrawn.
  bool begin_withdrawal() noexcept { return failed_ && !std::exchange(withdrawn_, true); }
  /// The sends that cores have; null for each other one.
  const std::vector<send_request*>& accepted() const noexcept { return accepted_; }

 private:
  std::vector<std::uint64_t> sequences_;
  std::vector<send_request*> accepted_;
  std::size_t open_;
  std::error_code failed_;
  bool withdrawn_ = false;
  handler done_;
};

}  // namespace ilm::inline v0::runtime
