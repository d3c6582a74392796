# ilm_catch: Catch2 2 or 3 with a main(), for `#include "support/catch.hpp"`.

if(TARGET Catch2::Catch2WithMain)
  add_library(ilm_catch INTERFACE)
  target_link_libraries(ilm_catch INTERFACE Catch2::Catch2WithMain)
else()
  # Catch2 2 compiles its main() wherever it is asked for: once, here.
  add_library(ilm_catch STATIC "${CMAKE_CURRENT_LIST_DIR}/catch2_main.cpp")
  target_link_libraries(ilm_catch PUBLIC Catch2::Catch2)
endif()
target_compile_features(ilm_catch INTERFACE cxx_std_20)
target_include_directories(ilm_catch INTERFACE "${PROJECT_SOURCE_DIR}/tests")

include("${ilm_catch_module}")

# ilm_discover_tests(<suite>): one ctest test for each of ilm_<suite>_tests' test cases.
macro(ilm_discover_tests suite)
  catch_discover_tests(
    ilm_${suite}_tests
    TEST_PREFIX "${suite}."
    PROPERTIES LABELS ${suite} TIMEOUT ${ILM_TEST_TIMEOUT})
endmacro()
