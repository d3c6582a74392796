# Builds and runs tests and examples, having installed or fetched their needs (bootstrap.cmake).
#   cmake -P cmake/test.cmake [-- <ctest's arguments, e.g. -R unit>]
# Without arguments, all but the tests labelled `long`, which take as long again; for these
#   ctest --test-dir build/test -L long
# -DILM_UNITE_TESTS=ON (before -P) compiles several files of tests at once, in less time.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/bootstrap.cmake")

set(tree "${ilm_root}/build/test")
script_arguments(arguments)
if(NOT arguments)
  set(arguments --label-exclude "^long$")
endif()

require(asio json catch2)
want(parts sqlite openssl websocket)
want(tools python nginx)
# Said, so that a find_package that fails is not a test left out.
list(TRANSFORM parts TOUPPER)
list(TRANSFORM parts REPLACE "^(.+)$" "-DILM_\\1=ON")
# Optimising is a third of the compiler's time, and pays where many runs are made or time is measured.
configure("${tree}" -DCMAKE_CXX_FLAGS_RELEASE=-O0 -DILM_OPTIMISE=-O3 "-DILM_UNITE_TESTS=${ILM_UNITE_TESTS}"
          -DILM_BUILD_TESTS=ON -DILM_BUILD_EXAMPLES=ON -DILM_BUILD_BENCHMARKS=ON ${parts})
build("${tree}" all)

parallelism(jobs)
execute_process(
  COMMAND "${CMAKE_CTEST_COMMAND}" --test-dir "${tree}" --build-config Release --parallel ${jobs}
          --output-on-failure --no-tests=error ${arguments}
  RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  give_up("Tests failed: ctest's summary above names them.")
endif()
