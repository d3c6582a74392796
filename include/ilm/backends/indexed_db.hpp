#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/encoded/backend.hpp>
#include <ilm/backends/indexed_db/error.hpp>
#include <ilm/backends/indexed_db/options.hpp>
#include <ilm/backends/indexed_db/store.hpp>

#include <memory>
#include <string>
#include <utility>

namespace ilm::inline v0 {

/// A store in IndexedDB, for a page or a worker: one transaction of durability "strict" a batch,
/// each message a row with a checksum that is verified when it is read. The context runs by its
/// page_loop.
///
/// `name`: of the database, one of ILM's own in this origin; it is made where there is none. One
/// backend at a time has the store, in all tabs and workers (Web Locks, "ilm:" and the name); a
/// worker or page that ends, however, gives it free.
///
/// A completed commit survives a power cut as far as the browser honours "strict". The browser may
/// evict a database, or its user clear it, as a whole: then commits fail (store_lost), and the next
/// `open` finds a new store, which is a lost one to ILM. `navigator.storage.persist()` in the page
/// asks the browser not to evict.
///
/// Errors are of indexed_db_category(), or error::store_in_use and error::store_corrupt; their
/// texts name the database and the browser's error. A commit that fails changes nothing.
template <class PeerId = std::string>
class indexed_db_backend : public detail::encoded_backend<PeerId> {
 public:
  static constexpr durability durable_to = durability::media;

  /// Opens nothing yet. Throws std::system_error (error::invalid_options) with a text that says
  /// which option is wrong.
  explicit indexed_db_backend(std::string name, const indexed_db_options& o = {})
      : detail::encoded_backend<PeerId>(
            std::make_unique<detail::indexed_db_store>(std::move(name), o)) {}
};

}  // namespace ilm::inline v0
