#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/memory/transaction.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/erased_id.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// A batch for peer ids of any one type; it refers to one that knows the type.
struct memory_batch {
  struct entry {
    entry(const void* id, const cursors& c, const std::vector<stored_message>& out,
          const std::vector<stored_message>& in) noexcept
        : peer(id), next(c), outbox(out), inbox(in) {}

    const void* peer;
    const cursors& next;
    const std::vector<stored_message>& outbox;
    const std::vector<stored_message>& inbox;
  };

  const incarnation* local = nullptr;  ///< null: as it was
  const void* local_id = nullptr;      ///< null: as it was
  std::vector<entry> changes;
  std::vector<const void*> forgotten;
};

/// The store behind the handles of memory_backend, for peer ids of any one type. All members but
/// `lock` and `copy` need the lock.
class memory_store {
 public:
  struct contents {
    incarnation local;
    const void* local_id = nullptr;  ///< null if there is none
    std::vector<std::pair<const void*, cursors>> peers;
  };

  memory_store() = default;
  memory_store(const memory_store&) = delete;
  memory_store& operator=(const memory_store&) = delete;
  virtual ~memory_store() = default;

  [[nodiscard]] virtual std::unique_lock<std::mutex> lock() = 0;

  /// A store of its own with the same contents, not open.
  virtual std::shared_ptr<memory_store> copy() const = 0;

  /// False if a handle has the store open.
  virtual bool acquire() = 0;
  virtual void release() noexcept = 0;

  /// The cursors of all peers, in the order of their ids. All ids are the store's.
  virtual contents list() const = 0;
  virtual std::size_t size(queue which) const = 0;
  /// The values that effects have stored.
  virtual memory_transaction::values& values() noexcept = 0;
  /// All of it, or nothing where something throws.
  virtual void apply(const memory_batch& change) = 0;
  virtual std::vector<stored_message> read(queue which, const void* peer, std::uint64_t from,
                                           page_limit limit) const = 0;
};

/// An empty store.
ILM_INLINE std::shared_ptr<memory_store> make_memory_store(const id_type& ids);

}  // namespace ilm::inline v0::detail

#ifndef ILM_COMPILED
#include <ilm/backends/memory/records.hpp>
#endif
