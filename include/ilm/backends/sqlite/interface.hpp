#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/encoded/store.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/detail/compiled.hpp>

#include <filesystem>
#include <memory>

// A store in a SQLite file on encoded peer ids. sqlite_backend puts a user's type of peer id in
// front of it; threaded_store.hpp implements it.

namespace ilm::inline v0::detail {

/// Throws std::system_error: error::invalid_options.
ILM_INLINE std::unique_ptr<encoded_store> make_sqlite_store(std::filesystem::path file,
                                                            sqlite_options options,
                                                            durability level);

}  // namespace ilm::inline v0::detail
