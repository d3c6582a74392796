# Counts the instructions of a message on each hot path, by valgrind's callgrind, and compares them with those that
# instructions.txt has, each with its margin in per cent, so that nobody makes one dearer unnoticed. They are of one
# compiler and machine: elsewhere nothing is compared.
#   cmake -DPROGRAM=<benchmark_instructions> -DVALGRIND=<valgrind> -DBUILD="<compiler and machine>" -P instructions.cmake
# -DRECORD=ON writes instructions.txt anew.
cmake_minimum_required(VERSION 3.25)

set(file "${CMAKE_CURRENT_LIST_DIR}/instructions.txt")
set(few 2000)
set(many 6000)
file(STRINGS "${file}" lines)
list(POP_FRONT lines recorded_build)

# count(<variable> <path> <messages>): the instructions of a whole run.
function(count variable path messages)
  execute_process(
    COMMAND "${VALGRIND}" --tool=callgrind --callgrind-out-file=/dev/null "${PROGRAM}" --path ${path}
            --messages ${messages}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0 OR NOT output MATCHES "Collected : ([0-9]+)")
    message(FATAL_ERROR "${path}: the run failed:\n${output}")
  endif()
  set(${variable} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

set(found "")
set(wrong "")
foreach(line IN LISTS lines)
  string(REGEX MATCH "^([a-z_]+) +([0-9]+) +([0-9]+)$" line "${line}")
  set(path ${CMAKE_MATCH_1})
  set(recorded ${CMAKE_MATCH_2})
  set(margin ${CMAKE_MATCH_3})
  count(of_few ${path} ${few})
  count(of_many ${path} ${many})
  math(EXPR a_message "(${of_many} - ${of_few}) / (${many} - ${few})")
  message("${path}: ${a_message} instructions a message, ${recorded} recorded")
  string(APPEND found "${path} ${a_message} ${margin}\n")
  math(EXPR difference "(${a_message} - ${recorded}) * 100 / ${recorded}")
  if(difference GREATER margin OR difference LESS -${margin})
    list(APPEND wrong "${path}: ${difference} %")
  endif()
endforeach()

if(RECORD)
  file(WRITE "${file}" "${BUILD}\n${found}")
elseif(NOT BUILD STREQUAL recorded_build)
  message("skipped: the record is of ${recorded_build}, and this is ${BUILD}")
elseif(wrong)
  list(JOIN wrong ", " wrong)
  message(FATAL_ERROR "Farther from the record than it allows: ${wrong}. If that is meant, write it anew with "
                      "-DRECORD=ON, and say in the commit why.")
endif()
