#pragma once

#include <cassert>
#include <cstddef>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// A list in which each peer knows its place, so that it leaves at once. The last one takes the
/// place of one that leaves. `Peer` has the member `Place`: 0 for one that is not listed.
template <class Peer, std::size_t Peer::*Place>
class peer_list {
 public:
  bool empty() const noexcept { return list_.empty(); }
  std::size_t size() const noexcept { return list_.size(); }
  Peer& back() const noexcept { return *list_.back(); }
  auto begin() const noexcept { return list_.begin(); }
  auto end() const noexcept { return list_.end(); }

  static bool contains(const Peer& p) noexcept { return p.*Place != 0; }

  /// One that is listed stays where it is.
  void add(Peer& p) {
    if (contains(p)) return;
    list_.push_back(&p);
    p.*Place = list_.size();
  }
  void remove(Peer& p) noexcept {
    if (!contains(p)) return;
    std::size_t place = std::exchange(p.*Place, 0);
    assert(list_[place - 1] == &p);
    if (place != list_.size()) {
      list_[place - 1] = list_.back();
      list_.back()->*Place = place;
    }
    list_.pop_back();
  }

  /// `function(peer&)` with each, which is listed no more; it must list none.
  template <class Function>
  void drain(Function function) {
    [[maybe_unused]] std::size_t count = list_.size();
    for (Peer* p : list_) {
      p->*Place = 0;
      function(*p);
    }
    assert(list_.size() == count);
    list_.clear();
  }

 private:
  std::vector<Peer*> list_;
};

}  // namespace ilm::inline v0::runtime
