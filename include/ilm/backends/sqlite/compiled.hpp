#pragma once

// What is compiled once of the SQLite store: see ilm/compiled.hpp.

#include <ilm/backends/sqlite.hpp>
#include <ilm/backends/sqlite/threaded_store.hpp>
