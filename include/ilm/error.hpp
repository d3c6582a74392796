#pragma once

#include <ilm/detail/compiled.hpp>
#include <ilm/detail/language.hpp>

#include <string>
#include <system_error>

namespace ilm::inline v0 {

/// The errors of ILM itself. Every text says how to go on; errors of a store or a
/// transport keep their own category and pass through unchanged.
enum class error {
  shut_down = 1,
  would_block,
  outbox_full,
  message_too_large,
  send_to_self,
  invalid_options,
  invalid_peer_id,
  unknown_sequence,
  store_in_use,
  store_closed,
  store_corrupt,
  network_ended,
  inbox_closed,
  undecodable_contents,
  malformed_frame,
  frame_too_large,
  unsupported_version,
  checksum_mismatch,
  wrong_destination,
  mismatched_source,
  acknowledged_unsent,
  cursor_out_of_range,
  credit_out_of_range,
  credit_exceeded,
  stream_diverged,
  unknown_record,
  unknown_attribute,
  invalid_attributes,
  peer_version_too_new,
  peer_version_too_old,
  feature_missing_here,
  feature_missing_at_peer,
  exception_without_code,
  delivery_ended,
  shutdown_in_delivery,
  message_returned,
  store_of_another,
  peer_forgotten,
  batch_too_large,
  no_transaction,
  effect_failed,
  delivery_postponed,
};

namespace detail {

class error_category_impl final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ilm"; }

  std::string message(int value) const override;
  std::error_condition default_error_condition(int value) const noexcept override;
};

}  // namespace detail

/// The category of ilm::error.
inline const std::error_category& error_category() noexcept {
  static const detail::error_category_impl category;
  return category;
}

inline std::error_code make_error_code(error e) noexcept {
  return {static_cast<int>(e), error_category()};
}

}  // namespace ilm::inline v0

template <>
struct std::is_error_code_enum<ilm::error> : std::true_type {};

#ifndef ILM_COMPILED
#include <ilm/detail/error_text.hpp>
#endif
