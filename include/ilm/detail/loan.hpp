#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

namespace ilm::inline v0::detail {

/// Where messages come from that were given and may be given again.
class lender {
 public:
  virtual void give_back(std::uint64_t ticket) noexcept = 0;

 protected:
  ~lender() = default;
};

/// Goes with a message and its copies, and gives it back if an exception destroys the last one.
class loan {
 public:
  loan(std::weak_ptr<lender> from, std::uint64_t ticket)
      : from_(std::move(from)), ticket_(ticket), exceptions_(std::uncaught_exceptions()) {}
  loan(const loan&) = delete;
  loan& operator=(const loan&) = delete;
  ~loan() {
    if (std::uncaught_exceptions() <= exceptions_) return;
    if (std::shared_ptr<lender> l = from_.lock()) l->give_back(ticket_);
  }

  std::uint64_t ticket() const noexcept { return ticket_; }

 private:
  std::weak_ptr<lender> from_;
  std::uint64_t ticket_;
  int exceptions_;
};

struct loan_access;

}  // namespace ilm::inline v0::detail
