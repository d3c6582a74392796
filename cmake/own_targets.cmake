# What our own tests, examples and benchmarks share. Nothing of this is installed or exported.

set(ilm_warning_options "")
if(MSVC)
  list(APPEND ilm_warning_options /W4)
else()
  list(APPEND ilm_warning_options -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # It sees overlapping copies in "x" + std::to_string(n) (GCC bug 105651).
    list(APPEND ilm_warning_options -Wno-restrict)
  endif()
endif()

add_library(ilm_warnings INTERFACE)
target_compile_options(ilm_warnings INTERFACE ${ilm_warning_options})

# Warnings are errors, and `cmake --compile-no-warning-as-error` is CMake's own way to say otherwise.
if(NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR)
  set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

# A build that is compiled for once, for tests, is not worth optimising but for the targets that make many runs.
set(ILM_OPTIMISE "" CACHE STRING "Compiler options for targets that run long, e.g. -O3")
separate_arguments(ilm_optimise_options NATIVE_COMMAND "${ILM_OPTIMISE}")

# ilm_optimise(<target>...): this target runs long.
function(ilm_optimise)
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

# The includes that need a part that is switched off.
set(ilm_missing_includes "")
foreach(part IN LISTS ilm_optional_parts)
  if(NOT part IN_LIST ilm_parts)
    list(APPEND ilm_missing_includes ${ilm_${part}_headers})
  endif()
endforeach()
list(TRANSFORM ilm_missing_includes REPLACE "^${ilm_include_dir}/" "")
if(NOT json IN_LIST ilm_parts)
  list(APPEND ilm_missing_includes nlohmann/json.hpp)
endif()
if(NOT sqlite IN_LIST ilm_parts)
  list(APPEND ilm_missing_includes sqlite3.h)
endif()

set(ILM_TEST_TIMEOUT 60 CACHE STRING "Seconds after which a test has failed")

# ilm_glob(<variable> <pattern>...): sources, but for those that need a part that is switched off.
function(ilm_glob variable)
  file(GLOB sources CONFIGURE_DEPENDS ${ARGN})
  foreach(source IN LISTS sources)
    foreach(header IN LISTS ilm_missing_includes)
      file(STRINGS "${source}" needs_part REGEX "^#include <${header}>")
      if(needs_part)
        list(REMOVE_ITEM sources "${source}")
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
