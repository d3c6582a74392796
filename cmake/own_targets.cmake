# What our own tests, examples and benchmarks share. Nothing of this is installed or exported.

set(ilm_warning_options "")
if(MSVC)
  list(APPEND ilm_warning_options /W4)
else()
  list(APPEND ilm_warning_options -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
endif()

add_library(ilm_warnings INTERFACE)
target_compile_options(ilm_warnings INTERFACE ${ilm_warning_options})

# Warnings are errors, and `cmake --compile-no-warning-as-error` is CMake's own way to say otherwise.
if(NOT DEFINED CMAKE_COMPILE_WARNING_AS_ERROR)
  set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

set(ilm_parts ilm::ilm)
if(ILM_JSON)
  list(APPEND ilm_parts ilm::json)
endif()

set(ILM_TEST_TIMEOUT 60 CACHE STRING "Seconds after which a test has failed")

# ilm_glob(<variable> <pattern>...): sources, but for those that need a part that is switched off.
function(ilm_glob variable)
  file(GLOB sources CONFIGURE_DEPENDS ${ARGN})
  if(NOT ILM_JSON)
    foreach(source IN LISTS sources)
      file(STRINGS "${source}" uses_json REGEX "^#include <(ilm/codecs/json|ilm/statistics_json|nlohmann/)")
      if(uses_json)
        list(REMOVE_ITEM sources "${source}")
      endif()
    endforeach()
  endif()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# ilm_add_test(<name> [LABELS <label>...] [TIMEOUT <seconds>] COMMAND <command>...)
function(ilm_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LABELS;COMMAND")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT ${ILM_TEST_TIMEOUT})
  endif()
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
endfunction()
