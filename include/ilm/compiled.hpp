#pragma once

// The heavy headers: all that ilm::compiled compiles once. Its sources are generated from this list
// (cmake/compiled.cmake): one of what lies in networks/tcp*, one of the rest. SQLite's are listed
// in backends/sqlite/compiled.hpp, for they need SQLite. Without CMake, one source of your own
// includes both, or this one alone, and everything is compiled with ILM_COMPILED defined.

#include <ilm/backends/memory/records.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/post.hpp>
#include <ilm/networks/memory/hub.hpp>
#include <ilm/networks/tcp/node.hpp>
#include <ilm/runtime/shell.hpp>
