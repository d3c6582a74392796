# ilm_catch: Catch2 2 or 3 with a main(), for `#include "support/catch.hpp"`.

# An installed Catch2 2 has a main() for the machine that compiles, which may not be the one that runs.
if(TARGET Catch2::Catch2WithMain
   AND NOT (CMAKE_CROSSCOMPILING AND Catch2_FOUND AND Catch2_VERSION VERSION_LESS 3))
  add_library(ilm_catch INTERFACE)
  target_link_libraries(ilm_catch INTERFACE Catch2::Catch2WithMain)
else()
  # Catch2 2 compiles its main() wherever it is asked for: once, here.
  add_library(ilm_catch STATIC "${CMAKE_CURRENT_LIST_DIR}/catch2_main.cpp")
  target_link_libraries(ilm_catch PUBLIC Catch2::Catch2)
  target_compile_features(ilm_catch PRIVATE cxx_std_20) # its text for std::byte depends on that
endif()
target_compile_features(ilm_catch INTERFACE cxx_std_20)
target_include_directories(ilm_catch INTERFACE "${PROJECT_SOURCE_DIR}/tests")

include("${ilm_catch_module}")

# ilm_discover_tests(<suite>): one ctest test for each of ilm_<suite>_tests' test cases. In WebAssembly one for all
# of them: to load the module takes longer than most tests. Those with very many messages, peers or days have the
# label `volume` as well, others `effects` or `outcomes`: a tag of theirs.
macro(ilm_discover_tests suite)
  if(EMSCRIPTEN)
    ilm_add_test(${suite} LABELS ${suite} COST 60 COMMAND ilm_${suite}_tests "~[volume]")
    if("${suite}" STREQUAL "scenario")
      ilm_add_test(${suite}.volume LABELS ${suite} volume COST 60 COMMAND ilm_${suite}_tests "[volume]")
    endif()
  else()
    catch_discover_tests(
      ilm_${suite}_tests
      TEST_SPEC "~[websocket]~[volume]~[effects]~[outcomes]~[.]"
      TEST_PREFIX "${suite}."
      PROPERTIES LABELS ${suite} TIMEOUT ${ILM_TEST_TIMEOUT})
    if("${suite}" STREQUAL "scenario")
      foreach(tag IN ITEMS volume effects outcomes)
        catch_discover_tests(
          ilm_${suite}_tests
          TEST_SPEC "[${tag}]"
          TEST_PREFIX "${suite}."
          TEST_LIST ilm_tests_of_${tag}
          PROPERTIES TIMEOUT ${ILM_TEST_TIMEOUT})
        # A property of catch_discover_tests cannot be a list.
        file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/label_${tag}.cmake" "
if(ilm_tests_of_${tag})
  set_tests_properties(\${ilm_tests_of_${tag}} PROPERTIES LABELS \"${suite};${tag}\")
endif()
")
        set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${CMAKE_CURRENT_BINARY_DIR}/label_${tag}.cmake")
      endforeach()
    endif()
    if(websocket IN_LIST ilm_parts AND "${suite}" MATCHES "^(unit|scenario|kits)$")
      ilm_add_test(${suite}.websocket LABELS ${suite} websocket COMMAND ilm_${suite}_tests "[websocket]")
    endif()
  endif()
endmacro()
