# Builds and runs examples/demo.cpp, having installed or fetched its needs (bootstrap.cmake).
#   cmake -P cmake/demo.cmake [-- <the demo's arguments>]
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/bootstrap.cmake")

set(tree "${ilm_root}/build/demo")
script_arguments(arguments)

require(asio json)
configure("${tree}" -DILM_BUILD_TESTS=OFF -DILM_BUILD_BENCHMARKS=OFF -DILM_BUILD_EXAMPLES=ON)
build("${tree}" demo)

# A generator for several configurations puts it one directory deeper.
find_program(demo NAMES demo PATHS "${tree}/examples" "${tree}/examples/Release" NO_DEFAULT_PATH NO_CACHE)
if(NOT demo)
  give_up("The demo was built, but is not in ${tree}/examples.")
endif()
execute_process(COMMAND "${demo}" ${arguments} RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  give_up("The demo failed (${status}).")
endif()
