#pragma once

#include <ilm/runtime/operation_index.hpp>
#include <ilm/runtime/requests.hpp>

#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <system_error>
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
  void add(std::unique_ptr<forget_request>& r) { make_entry(r->id).forget = std::move(r); }

  /// `function(request)` with each, in the order in which they came. It must add none. If it
  /// throws, those that come after stay.
  template <class Function>
  void drain(Function function) {
    places_.clear();
    while (!entries_.empty()) {
      entry e = std::move(entries_.front());
      entries_.pop_front();
      if (e.delivered) function(std::move(e.delivered));
      if (e.undelivered) function(std::move(e.undelivered));
      if (e.forget) function(std::move(e.forget));
    }
  }

  bool cancel(std::uint64_t id, std::error_code reason) {
    auto at = places_.take(id);
    if (!at) return false;
    entry e = std::move(**at);
    entries_.erase(*at);
    e.fail(reason);
    return true;
  }

  void fail_all(std::error_code reason) {
    places_.clear();
    for (entry& e : std::exchange(entries_, {})) e.fail(reason);
  }
  /// Destroys the callers that wait.
  void abandon() {
    places_.clear();
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
    entry& e = entries_.emplace_back();
    places_.add(id, std::prev(entries_.end()));
    return e;
  }

  std::list<entry> entries_;  ///< in the order in which they came
  operation_index<std::list<entry>::iterator> places_;
};

}  // namespace ilm::inline v0::runtime
