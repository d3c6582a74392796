# Measures: builds the benchmarks, optimised, runs them in turn, several times, and makes tables and charts of the medians.
#   cmake -P cmake/benchmark.cmake
# They are in build/benchmark/results. The neighbours that are installed are measured beside this library, and the others
# are left out; a line says which. Before -P:
#   -DILM_INSTALL=ON     installs the neighbours first, by apt-get
#   -DILM_QUICK=ON       small counts, one round: a minute, once it is built, to see that all works
#   -DILM_ONLY=<list>    of neighbours, sizes, scale
#   -DILM_ROUNDS=<n>     of the neighbours, and of the others up to 3; 5
#   -DILM_DIR=<path>     the disk to measure on; build/benchmark/disk
#   -DILM_RECORD=ON      puts tables and charts into tests/benchmark, as its page shows them
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/bootstrap.cmake")

set(tree "${ilm_root}/build/benchmark")
if(NOT ILM_ONLY)
  set(ILM_ONLY neighbours sizes scale)
endif()
if(NOT ILM_ROUNDS)
  set(ILM_ROUNDS 5)
endif()
if(NOT ILM_DIR)
  set(ILM_DIR "${tree}/disk")
endif()
set(share 1)
if(ILM_QUICK)
  set(ILM_ROUNDS 1)
  set(share 20)
endif()
set(fewer_rounds ${ILM_ROUNDS})
if(fewer_rounds GREATER 3)
  set(fewer_rounds 3)
endif()

require(asio)
want(parts sqlite)
if(NOT parts)
  give_up("The benchmarks need SQLite. On Debian and Ubuntu: apt-get install libsqlite3-dev")
endif()
if(ILM_INSTALL)
  set(ilm_package_of_neighbours
      nats-server libnats-dev redis-server libhiredis-dev libquickfix-dev mosquitto libpaho-mqtt-dev libzmq3-dev)
  install_packages(neighbours)
endif()
configure("${tree}" -DILM_BUILD_TESTS=OFF -DILM_BUILD_EXAMPLES=OFF -DILM_BUILD_BENCHMARKS=ON -DILM_OPTIMISE=-O3
          -DILM_SQLITE=ON -DILM_BUILD_NEIGHBOURS=ON)
build("${tree}" all)

set(results "${tree}/results")
file(REMOVE_RECURSE "${results}")
file(MAKE_DIRECTORY "${results}" "${ILM_DIR}")
cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
set(lines "figure\tmachine\tcores\t\t${cores}\tcores\t\n")
set(left_out "")
set(done "")

# measure(<name of the program> <argument>...): runs it, and keeps what it printed. One that never ran to its end is
# tried once.
function(measure name)
  set(program "${tree}/tests/benchmark/benchmark_${name}")
  if(name MATCHES "^neighbour_")
    set(program "${tree}/tests/benchmark/neighbours/${name}")
  endif()
  list(JOIN ARGV " " call)
  set(limit 120)
  if(ILM_QUICK)
    set(limit 30)
  endif()
  if(NOT EXISTS "${program}" OR call IN_LIST left_out)
    return()
  endif()
  say("${call}")
  execute_process(COMMAND "${program}" ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE error TIMEOUT ${limit})
  if(NOT status EQUAL 0)
    say("left out, because it failed: ${call}: ${status} ${error}")
    if(NOT call IN_LIST done)
      set(left_out ${left_out} "${call}" PARENT_SCOPE)
    endif()
    return()
  endif()
  set(done ${done} "${call}" PARENT_SCOPE)
  set(lines "${lines}${output}" PARENT_SCOPE)
endfunction()

# of(<variable> <count>): so many, or fewer in a quick run.
macro(of variable count)
  math(EXPR ${variable} "${count} / ${share}")
endmacro()

# --- beside the neighbours: each once a round, so that a slow minute hits all ---------------------

# Enough messages for some seconds each.
of(few 5000)
of(some 60000)
of(many 200000)
of(more 1000000)
of(most 4000000)
if("neighbours" IN_LIST ILM_ONLY)
  foreach(round RANGE 1 ${ILM_ROUNDS})
    say("round ${round} of ${ILM_ROUNDS}")
    measure(neighbour_append --dir "${ILM_DIR}" --messages ${more})
    measure(durable --table neighbours --level media --dir "${ILM_DIR}" --messages ${more})
    measure(neighbour_redis --sync always --dir "${ILM_DIR}" --messages ${many})
    measure(durable --table neighbours --level os --dir "${ILM_DIR}" --messages ${more})
    measure(neighbour_redis --sync everysec --dir "${ILM_DIR}" --messages ${many})
    measure(neighbour_jetstream --dir "${ILM_DIR}" --messages ${many})
    measure(neighbour_quickfix --dir "${ILM_DIR}" --messages ${some})
    measure(neighbour_mosquitto --dir "${ILM_DIR}" --messages ${few})
    measure(neighbour_zeromq --dir "${ILM_DIR}" --messages ${more})
    measure(neighbour_raw_tcp --dir "${ILM_DIR}" --messages ${most})
  endforeach()
endif()

# --- sizes, and how many send at once -------------------------------------------------------------

# sizes(<size> <messages of one sender> <messages of many>)
function(sizes size alone together)
  foreach(senders IN ITEMS 1 100 1000)
    of(messages ${together})
    if(senders EQUAL 1)
      of(messages ${alone})
    endif()
    # Each sender sends at least one.
    if(messages LESS senders)
      set(messages ${senders})
    endif()
    set(common --size ${size} --senders ${senders} --messages ${messages})
    measure(throughput --table ${common})
    foreach(level IN ITEMS memory os media)
      measure(durable --table sizes --level ${level} --dir "${ILM_DIR}" ${common})
    endforeach()
  endforeach()
  set(lines "${lines}" PARENT_SCOPE)
  set(left_out "${left_out}" PARENT_SCOPE)
  set(done "${done}" PARENT_SCOPE)
endfunction()

if("sizes" IN_LIST ILM_ONLY)
  foreach(round RANGE 1 ${fewer_rounds})
    sizes(16 4000 500000)
    sizes(100 4000 500000)
    sizes(1024 4000 200000)
    sizes(65536 1000 6000)
  endforeach()
endif()

# --- cost against scale ---------------------------------------------------------------------------

if("scale" IN_LIST ILM_ONLY)
  of(backlog 1000000)
  of(pending 1000000)
  of(peers 100000)
  math(EXPR fewer "${peers} / 100")
  foreach(round RANGE 1 ${fewer_rounds})
    measure(backlog --table --largest ${backlog})
    measure(idle --table --peers ${fewer} --dir "${ILM_DIR}")
    measure(idle --table --peers ${peers} --dir "${ILM_DIR}")
    measure(pending --table --messages ${pending} --dir "${ILM_DIR}")
  endforeach()
endif()

# --- what they say --------------------------------------------------------------------------------

file(WRITE "${results}/results.txt" "${lines}")
set(page "")
if(ILM_RECORD)
  set(page "${ilm_root}/tests/benchmark/README.md")
endif()
execute_process(COMMAND "${tree}/tests/benchmark/benchmark_report" "${results}/results.txt" "${results}" ${page}
                RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  give_up("The tables and charts could not be made.")
endif()
if(ILM_RECORD)
  file(GLOB charts "${results}/*.svg")
  file(COPY ${charts} DESTINATION "${ilm_root}/tests/benchmark/charts")
endif()
foreach(table IN ITEMS machine side_by_side)
  if(EXISTS "${results}/${table}.md")
    file(READ "${results}/${table}.md" text)
    message("\n${text}")
  endif()
endforeach()
say("tables and charts: ${results}")
