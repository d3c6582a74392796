# Builds the library for WebAssembly (wasm32, by Emscripten) and runs its tests there, in node, having installed or
# fetched their needs (emscripten.cmake).
#   cmake -P cmake/wasm.cmake
# Options: emscripten.cmake.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/emscripten.cmake")

function(use_emscripten)
  run(Building "${CMAKE_COMMAND}" --build --preset wasm --parallel ${ILM_WASM_JOBS})
  run("A test" "${CMAKE_CTEST_COMMAND}" --preset wasm --parallel ${ILM_WASM_JOBS})

  # What Catch2 said of each suite.
  file(STRINGS "${ilm_root}/build/wasm/Testing/Temporary/LastTest.log" summaries REGEX "in [0-9]+ test cases?")
  set(count 0)
  foreach(summary IN LISTS summaries)
    string(REGEX REPLACE ".*in ([0-9]+) test cases?.*" "\\1" cases "${summary}")
    math(EXPR count "${count} + ${cases}")
  endforeach()
  say("${count} test cases passed in WebAssembly; those left out are named where CMake configured.")
endfunction()

with_emscripten(wasm.cmake)
