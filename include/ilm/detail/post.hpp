#pragma once

#include <ilm/detail/waiting_handler.hpp>

#include <memory>
#include <utility>

namespace ilm::inline v0::detail {

ILM_INLINE void post(const std::shared_ptr<waiting_handler>& h) {
  h->executor().execute([held = h]() mutable {
    waiting_handler& handler = *held;
    handler.run(std::move(held));
  });
}

}  // namespace ilm::inline v0::detail
