#pragma once

// The heavy header of the SQLite store, compiled once: see ilm/compiled.hpp.

#include <ilm/backends/sqlite/threaded_store.hpp>
