# Shared by our own tests, examples and benchmarks. Nothing of this is installed or exported.

set(ilm_warning_options "")
if(MSVC)
  list(APPEND ilm_warning_options /W4)
else()
  list(APPEND ilm_warning_options -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # It sees overlapping and endless copies in "x" + std::to_string(n) (GCC bug 105651).
    list(APPEND ilm_warning_options -Wno-restrict -Wno-stringop-overflow)
  endif()
endif()

add_library(ilm_warnings INTERFACE)
target_compile_options(ilm_warnings INTERFACE ${ilm_warning_options})

# Under Emscripten the programs run in node: with its files, and an exit code.
if(EMSCRIPTEN)
  add_library(ilm_in_node STATIC "${PROJECT_SOURCE_DIR}/tests/support/node_select.cpp")
  target_compile_features(ilm_in_node PRIVATE cxx_std_20)
  target_link_options(ilm_in_node INTERFACE -Wl,--wrap=select -sALLOW_MEMORY_GROWTH -sEXIT_RUNTIME
                      -sNODERAWFS -sSTACK_SIZE=1MB -Wl,--undefined=ilm_in_node)
  target_link_libraries(ilm_warnings INTERFACE ilm_in_node)
endif()

# Warnings are errors, and `cmake --compile-no-warning-as-error` is CMake's own way to say otherwise.
if(NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR)
  set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

# A build that is compiled for once, for tests, is not worth optimising but for the targets that make many runs.
set(ILM_OPTIMISE "" CACHE STRING "Compiler options for targets that run long, e.g. -O3")
separate_arguments(ilm_optimise_options NATIVE_COMMAND "${ILM_OPTIMISE}")

# ilm_optimise(<target>...): this target runs long.
function(ilm_optimise)
  if(MSVC)
    return() # its options conflict with those of the build type
  endif()
  foreach(target IN LISTS ARGN)
    target_compile_options(${target} PRIVATE ${ilm_optimise_options})
  endforeach()
endfunction()

# Ours is compiled once for all that link it. Nothing here is linked with some that is header-only.
set_target_properties(ilm_compiled PROPERTIES
                      COMPILE_WARNING_AS_ERROR "${CMAKE_COMPILE_WARNING_AS_ERROR}" CXX_EXTENSIONS OFF)
target_link_libraries(ilm_compiled PRIVATE ilm_warnings)
ilm_optimise(ilm_compiled)

set(ilm_parts_targets ${ilm_parts})
list(TRANSFORM ilm_parts_targets PREPEND ilm::)
set(ilm_header_only ilm::ilm ${ilm_parts_targets})
set(ilm_all ilm::compiled ${ilm_parts_targets})

# <include that cannot be used here>|<why>
set(ilm_missing_includes "")
foreach(part IN LISTS ilm_optional_parts)
  if(NOT part IN_LIST ilm_parts)
    set(includes ${ilm_${part}_headers})
    list(TRANSFORM includes REPLACE "^${ilm_include_dir}/(.*)$" "\\1|ilm::${part} is off")
    list(APPEND ilm_missing_includes ${includes})
  endif()
endforeach()
if(NOT json IN_LIST ilm_parts)
  list(APPEND ilm_missing_includes "nlohmann/json.hpp|ilm::json is off")
endif()
if(NOT sqlite IN_LIST ilm_parts)
  list(APPEND ilm_missing_includes "sqlite3.h|ilm::sqlite is off" "support/sqlite.hpp|ilm::sqlite is off")
endif()
if(NOT websocket IN_LIST ilm_parts)
  list(APPEND ilm_missing_includes "support/websocket.hpp|ilm::websocket is off")
endif()
if(EMSCRIPTEN)
  list(APPEND ilm_missing_includes
       "ilm/networks/tcp.hpp|no sockets" "support/tcp.hpp|no sockets" "support/websocket.hpp|no sockets" "asio/ip/udp.hpp|no sockets"
       "../../examples/own_network.cpp|no sockets" "thread|no threads" "ilm/detail/worker.hpp|no threads"
       "../../examples/own_backend.cpp|no locks of files"
       "flawed_backend.hpp|it tests the kit" "flawed_network.hpp|it tests the kit")
endif()

set(ILM_TEST_TIMEOUT 60 CACHE STRING "Seconds after which a test has failed")

# ilm_leave_out(<what> <count of test cases> <why>): says so, and keeps it for cmake/wasm.cmake to sum up.
set(ilm_left_out "${PROJECT_BINARY_DIR}/left_out.txt")
file(WRITE "${ilm_left_out}" "")
function(ilm_leave_out what count why)
  set(tests "")
  if(count GREATER 0)
    set(tests ", tests: ${count}")
    file(APPEND "${ilm_left_out}" "${count}|${why}\n")
  endif()
  message(STATUS "Left out, ${why}: ${what}${tests}")
endfunction()

# ilm_glob(<variable> <pattern>...): sources, but for those that include what cannot be used here, which are named.
function(ilm_glob variable)
  file(GLOB sources CONFIGURE_DEPENDS ${ARGN})
  foreach(source IN LISTS sources)
    file(STRINGS "${source}" includes REGEX "^#include [<\"]")
    foreach(missing IN LISTS ilm_missing_includes)
      string(REPLACE "|" ";" missing "${missing}")
      list(GET missing 0 header)
      if(includes MATCHES "[<\"]${header}[>\"]")
        list(GET missing 1 why)
        file(RELATIVE_PATH name "${PROJECT_SOURCE_DIR}" "${source}")
        file(STRINGS "${source}" tests REGEX "^(TEMPLATE_)?TEST_CASE")
        list(LENGTH tests count)
        ilm_leave_out("${name}" ${count} "${why}")
        list(REMOVE_ITEM sources "${source}")
        break()
      endif()
    endforeach()
  endforeach()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# ilm_add_test(<name> [LABELS <label>...] [TIMEOUT <seconds>] [COST <seconds>] COMMAND <command>...)
# COST: about how long it takes, if that is long. A long test that begins last leaves all but one core idle.
function(ilm_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT;COST" "LABELS;COMMAND")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT ${ILM_TEST_TIMEOUT})
  endif()
  if(NOT arg_COST)
    set(arg_COST 1)
  endif()
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT} COST ${arg_COST})
endfunction()
