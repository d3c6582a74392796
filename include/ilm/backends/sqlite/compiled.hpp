#pragma once

// What of the SQLite store is compiled once: see ilm/compiled.hpp.

#include <ilm/backends/sqlite/threaded_store.hpp>
