# Checks one configuration of the model exhaustively:
#   cmake -DNAME=<name> [-DBOUNDS=<-D flags of the model>] [-DLIVE=ON] [-DEXPECT=error]
#         [-DWORK_DIR=<folder>] [-DMEMORY=<MiB>] -P check.cmake
# Fails unless spin finds no error within its limits or, with EXPECT=error, unless it finds one. On
# an error that nobody expects, prints the steps that lead to it.
cmake_minimum_required(VERSION 3.25)

foreach(default IN ITEMS "NAME model" "WORK_DIR ${CMAKE_CURRENT_BINARY_DIR}/model" "MEMORY 3000"
                         "EXPECT holds" "DEPTH 1000000")
  separate_arguments(default UNIX_COMMAND "${default}")
  list(POP_FRONT default variable)
  if(NOT DEFINED ${variable})
    set(${variable} ${default})
  endif()
endforeach()
find_program(SPIN spin REQUIRED)
find_program(C_COMPILER NAMES cc gcc clang clang-14 REQUIRED)

separate_arguments(flags UNIX_COMMAND "${BOUNDS}")
set(search "")
if(LIVE)
  list(APPEND flags -DLIVE)
  set(search -a)
  set(kind -DNOFAIR)
else()
  set(kind -DSAFETY -DNOFAIR)
endif()
set(model "${CMAKE_CURRENT_LIST_DIR}/ilm.pml")
set(dir "${WORK_DIR}/${NAME}")
file(REMOVE_RECURSE "${dir}")
file(MAKE_DIRECTORY "${dir}")

# run(<what> <command>...): its output in `output`.
macro(run what)
  execute_process(
    COMMAND ${ARGN} WORKING_DIRECTORY "${dir}"
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed (${status}):\n${output}")
  endif()
endmacro()

run("spin" "${SPIN}" -a ${flags} "${model}")
# Nothing is left to reduce: every step touches what both sides see.
run("compiling the verifier" "${C_COMPILER}" -O2 -w ${kind} -DNOREDUCE -DMEMLIM=${MEMORY} -o pan
    pan.c)
string(TIMESTAMP began %s)
run("the verifier" ./pan ${search} -m${DEPTH} -w22)
string(TIMESTAMP ended %s)
math(EXPR seconds "${ended} - ${began}")

foreach(limit IN ITEMS "max search depth too small" "out of memory" "memory limit" "VECTORSZ"
                       "Search not completed" "aborting")
  if(output MATCHES "${limit}" AND NOT (EXPECT STREQUAL "error" OR output MATCHES "errors: [1-9]"))
    message(FATAL_ERROR "The search of ${NAME} was not exhaustive: ${limit}\n${output}")
  endif()
endforeach()
if(NOT output MATCHES "depth reached ([0-9]+), errors: ([0-9]+)")
  message(FATAL_ERROR "The verifier said nothing:\n${output}")
endif()
set(depth "${CMAKE_MATCH_1}")
set(errors "${CMAKE_MATCH_2}")
string(REGEX MATCH "([0-9.e+]+) states, stored" states "${output}")
string(REGEX MATCH "([0-9.]+)[ \t]+total actual memory" memory "${output}")
string(REGEX REPLACE "[ \t].*" "" memory "${memory}")

if(EXPECT STREQUAL "error")
  if(errors EQUAL 0)
    message(FATAL_ERROR "${NAME}: a planted defect was not found in ${states}")
  endif()
  string(REGEX MATCH "pan:1: [^\n]*" found "${output}")
  message("${NAME}: found after ${states} and ${seconds} s: ${found}")
  return()
endif()
if(NOT errors EQUAL 0)
  run("replaying the trail" "${SPIN}" -t -p -k ilm.pml.trail ${flags} "${model}")
  file(WRITE "${dir}/trail.txt" "${output}")
  # One line a step: the line of the model, and whose step it is. All of it is in trail.txt.
  file(STRINGS "${dir}/trail.txt" found REGEX "proc +[12] .*ilm.pml:[0-9]+ .*\\[.*&&|Error")
  file(STRINGS "${model}" lines)
  set(steps "")
  foreach(step IN LISTS found)
    string(REGEX REPLACE ".*proc +([12]) .*ilm.pml:([0-9]+) .*" "\\1;ilm.pml:\\2" step "${step}")
    list(APPEND steps "${step}")
  endforeach()
  list(JOIN steps "\n" steps)
  message(FATAL_ERROR "${NAME} does not hold. The steps (all in ${dir}/trail.txt):\n${steps}")
endif()
message("| ${NAME} | ${states} | depth ${depth} | ${memory} MiB | ${seconds} s |")
