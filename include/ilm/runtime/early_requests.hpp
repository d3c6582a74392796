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
  // Takes the request, unless it throws.
  void add(std::unique_ptr<delivered_request>& r) { make_entry(r->id).delivered = std::move(r); }
  void add(std::unique_ptr<undelivered_request>& r) {
    make_entry(r->id).undelivered = std::move(r);
  }
  void add(std::unique_ptr<forget_request>& r) { make_entry(0).forget = std::move(r); }

  /// `function(request)` with each, in the order in which they came. It must add none. If it
  /// throws, those that come after stay.
  template <class Function>
  void drain(Function function) {
    arrivals_.clear();
    while (!entries_.empty()) {
      entry e = std::move(entries_.begin()->second);
      entries_.erase(entries_.begin());
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
      if (delivered) delivered->fail(reason);
      if (undelivered) undelivered->fail(reason);
      if (forget) forget->fail(reason);
    }

    std::unique_ptr<delivered_request> delivered;
    std::unique_ptr<undelivered_request> undelivered;
    std::unique_ptr<forget_request> forget;
  };

  entry& make_entry(std::uint64_t id) {
    std::uint64_t arrival = ++count_;
    if (id != 0) arrivals_.emplace(id, arrival);
    return entries_[arrival];
  }

  std::map<std::uint64_t, entry> entries_;                     ///< by arrival
  std::unordered_map<std::uint64_t, std::uint64_t> arrivals_;  ///< by operation, if it has an id
  std::uint64_t count_ = 0;
};

}  // namespace ilm::inline v0::runtime
