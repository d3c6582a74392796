#pragma once

#include <ilm/runtime/requests.hpp>

#include <cassert>
#include <cstdint>
#include <map>
#include <memory>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace ilm::inline v0::runtime {

/// The requests whose answers are in the store, while it is not open.
class early_requests {
 public:
  void add(std::unique_ptr<delivered_request> r) {
    std::uint64_t id = r->id;
    add(id, entry{std::move(r), nullptr, nullptr});
  }
  void add(std::unique_ptr<undelivered_request> r) {
    std::uint64_t id = r->id;
    add(id, entry{nullptr, std::move(r), nullptr});
  }
  void add(std::unique_ptr<forget_request> r) { add(0, entry{nullptr, nullptr, std::move(r)}); }

  /// `function(request)` with each, in the order in which they came. It must add none.
  template <class Function>
  void drain(Function function) {
    arrivals_.clear();
    for (auto& [arrival, e] : std::exchange(entries_, {})) {
      if (e.delivered) function(std::move(e.delivered));
      if (e.undelivered) function(std::move(e.undelivered));
      if (e.forget) function(std::move(e.forget));
    }
  }

  bool cancel(std::uint64_t id, std::error_code reason) {
    auto at = arrivals_.find(id);
    if (at == arrivals_.end()) return false;
    auto found = entries_.find(at->second);
    assert(found != entries_.end());
    arrivals_.erase(at);
    entry e = std::move(found->second);
    entries_.erase(found);
    e.fail(reason);
    return true;
  }

  void fail_all(std::error_code reason) {
    arrivals_.clear();
    for (auto& [arrival, e] : std::exchange(entries_, {})) e.fail(reason);
  }
  /// Destroys the callers that wait.
  void abandon() {
    arrivals_.clear();
    std::exchange(entries_, {}).clear();
  }

 private:
  struct entry {
    void fail(std::error_code reason) {
      if (delivered) delivered->done(reason);
      if (undelivered) undelivered->done(reason, {});
      if (forget) forget->done(reason, {});
    }

    std::unique_ptr<delivered_request> delivered;
    std::unique_ptr<undelivered_request> undelivered;
    std::unique_ptr<forget_request> forget;
  };

  void add(std::uint64_t id, entry e) {
    std::uint64_t arrival = ++count_;
    if (id != 0) arrivals_.emplace(id, arrival);
    entries_.emplace(arrival, std::move(e));
  }

  std::map<std::uint64_t, entry> entries_;                     ///< by arrival
  std::unordered_map<std::uint64_t, std::uint64_t> arrivals_;  ///< by operation, if it has an id
  std::uint64_t count_ = 0;
};

}  // namespace ilm::inline v0::runtime
