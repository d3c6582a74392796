#pragma once

#include <ilm/attributes.hpp>
#include <ilm/bytes.hpp>
#include <ilm/detail/loan.hpp>
#include <ilm/stored.hpp>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace ilm::inline v0 {

/// A message as the application receives it.
template <class PeerId>
struct message {
  message() = default;
  message(PeerId from_, std::uint64_t sequence_, bytes contents_, std::uint64_t index_ = 0,
          ilm::attributes attributes_ = {})
      : from(std::move(from_)),
        sequence(sequence_),
        index(index_),
        contents(std::move(contents_)),
        attributes(std::move(attributes_)) {}

  PeerId from{};
  /// The number that the sender's send_to returned.
  std::uint64_t sequence = 0;
  /// The message's number among all from this peer in this side's store. The sequence begins anew
  /// when the peer loses its store; this number only grows, so it tells a repetition for certain.
  std::uint64_t index = 0;
  bytes contents;
  /// Headers and others that the sender set.
  ilm::attributes attributes;

  std::string_view text() const noexcept { return contents.text(); }

  /// The contents as a T. Throws std::system_error (error::undecodable_contents) if they are none.
  template <encodable T>
  T as() const {
    return codec<T>::decode(contents.view());
  }

 private:
  friend detail::loan_access;

  std::shared_ptr<const detail::loan> loan_;  ///< of an inbox
};

namespace detail {

/// For inboxes.
struct loan_access {
  template <class PeerId>
  static void lend(message<PeerId>& m, std::shared_ptr<const loan> l) {
    m.loan_ = std::move(l);
  }
  /// 0: it comes from no inbox.
  template <class PeerId>
  static std::uint64_t ticket(const message<PeerId>& m) noexcept {
    return m.loan_ ? m.loan_->ticket() : 0;
  }
};

}  // namespace detail

/// An inclusive range of sequences; empty if `last < first`.
struct sequence_range {
  std::uint64_t first = 1;
  std::uint64_t last = 0;

  bool empty() const noexcept { return last < first; }
  bool contains(std::uint64_t s) const noexcept { return first <= s && s <= last; }
  friend bool operator==(const sequence_range&, const sequence_range&) = default;
};

}  // namespace ilm::inline v0
