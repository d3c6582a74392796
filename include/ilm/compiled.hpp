#pragma once

// All that ilm::compiled compiles once: the heavy headers, and the light ones with templates of
// which it has instances. Its sources are generated from this list (cmake/compiled.cmake): one of
// what lies in networks/tcp*, one of ilm.hpp, one of the rest. SQLite's are listed in
// backends/sqlite/compiled.hpp, for they need SQLite. Without CMake, one source of your own
// includes this one first, and then the others that you need; everything is compiled with
// ILM_COMPILED defined.

#define ILM_COMPILES_INSTANCES

#include <ilm/backends/memory/records.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/detail/attribute_form.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/error_text.hpp>
#include <ilm/detail/failure_text.hpp>
#include <ilm/detail/post.hpp>
#include <ilm/detail/printable_text.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/memory/hub.hpp>
#include <ilm/networks/tcp.hpp>
#include <ilm/networks/tcp/node.hpp>
#include <ilm/runtime/shell.hpp>
