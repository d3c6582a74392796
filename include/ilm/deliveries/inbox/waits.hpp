#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// A reader's wait for messages of an inbox. Its handler is given tickets, and changes them for the
/// messages when it runs.
struct inbox_wait {
  using tickets = std::vector<std::uint64_t>;
  using handler = completion<std::error_code, tickets>;

  inbox_wait(std::uint64_t i, std::uint64_t r, std::size_t m, handler h, asio::execution_context* x)
      : id(i), reader(r), most(m), done(std::move(h)), home(x) {
    assert(most > 0 && reader != 0 && done);
  }

  std::uint64_t id;  ///< of the operation
  std::uint64_t reader;
  std::size_t most;
  handler done;
  asio::execution_context* home;  ///< of the handler
  // Once it has ended:
  std::error_code result;
  tickets given;
};

/// Waits of readers, the oldest first. To move one to others takes no memory. Not synchronized.
class inbox_waits {
 public:
  bool empty() const noexcept { return all_.empty(); }
  inbox_wait& front() noexcept { return all_.begin()->second; }

  /// Takes the wait, unless it throws.
  void add(inbox_wait& w) {
    std::set<key> one{{w.reader, w.id}};
    std::uint64_t id = w.id;
    all_.try_emplace(id, std::move(w));
    keys_.merge(one);
  }
  void drop_front() noexcept {
    inbox_waits gone;
    move_front(gone);
  }

  void move_front(inbox_waits& to) noexcept { move(all_.begin(), to); }
  void move_all(inbox_waits& to) noexcept {
    to.all_.merge(all_);
    to.keys_.merge(keys_);
  }
  /// Those whose handlers are in that context.
  void move_of(const asio::execution_context& home, inbox_waits& to) noexcept {
    for (auto next = all_.begin(); next != all_.end();) {
      auto at = next++;
      if (at->second.home == &home) move(at, to);
    }
  }

  template <class F>
  void for_each(F f) {
    for (auto& [id, w] : all_) f(w);
  }

  // The ends of waits.

  void end(std::uint64_t id, std::error_code result, inbox_waits& ended) noexcept {
    auto at = all_.find(id);
    if (at == all_.end()) return;
    at->second.result = result;
    move(at, ended);
  }
  void end_of(std::uint64_t reader, std::error_code result, inbox_waits& ended) noexcept {
    for (auto k = keys_.lower_bound({reader, 0}); k != keys_.end() && k->first == reader;) {
      end((k++)->second, result, ended);
    }
  }
  void end_all(std::error_code result, inbox_waits& ended) noexcept {
    while (!empty()) end(front().id, result, ended);
  }

 private:
  using table = std::map<std::uint64_t, inbox_wait>;
  using key = std::pair<std::uint64_t, std::uint64_t>;

  void move(table::iterator at, inbox_waits& to) noexcept {
    to.keys_.insert(keys_.extract({at->second.reader, at->first}));
    to.all_.insert(all_.extract(at));
  }

  table all_;           ///< by the id of the operation
  std::set<key> keys_;  ///< the same: reader, and operation
};

}  // namespace ilm::inline v0::detail
