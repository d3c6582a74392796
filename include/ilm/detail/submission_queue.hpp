#pragma once

#include <atomic>

namespace ilm::inline v0::detail {

/// Brings nodes from any thread to one, in order for each thread. Node has a `Node* next`.
/// (Treiber, "Systems Programming: Coping with Parallelism", 1986; taken as a whole, so no ABA.)
template <class Node>
class submission_queue {
 public:
  submission_queue() = default;
  submission_queue(const submission_queue&) = delete;
  submission_queue& operator=(const submission_queue&) = delete;
  ~submission_queue() { clear(); }

  /// True if the queue was empty: then, and only then, the consumer has to be called.
  bool push(Node* node) noexcept {
    // Once the node is in, it is the consumer's: only the local copy may be read.
    Node* top = top_.load(std::memory_order_relaxed);
    do {
      node->next = top;
    } while (!top_.compare_exchange_weak(top, node, std::memory_order_release,
                                         std::memory_order_relaxed));
    return top == nullptr;
  }

  bool empty() const noexcept { return top_.load(std::memory_order_relaxed) == nullptr; }

  /// Destroys all nodes.
  void clear() noexcept {
    for (Node* n = take_all(); n != nullptr;) {
      Node* next = n->next;
      delete n;
      n = next;
    }
  }

  /// All nodes, the oldest first.
  Node* take_all() noexcept {
    Node* newest = top_.exchange(nullptr, std::memory_order_acquire);
    Node* oldest = nullptr;
    while (newest != nullptr) {
      Node* next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }

 private:
  std::atomic<Node*> top_{nullptr};
};

}  // namespace ilm::inline v0::detail
