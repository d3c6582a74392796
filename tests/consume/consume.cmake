# One way of using the project, from nothing: see CMakeLists.txt, which gives the arguments.
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "failed (${status}): ${command}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}")

if(MODE MATCHES "^(find_package|unknown_component)$")
  run("${CMAKE_COMMAND}" --install "${ILM_BINARY_DIR}" --config ${CONFIG} --prefix "${WORK_DIR}/prefix")
  set(where "-Dilm_ROOT=${WORK_DIR}/prefix" "-Dnlohmann_json_ROOT=${WORK_DIR}/prefix")
elseif(MODE STREQUAL "fetch_content")
  set(where "-DFETCHCONTENT_SOURCE_DIR_ILM=${ILM_SOURCE_DIR}")
else()
  set(where "-DILM_SOURCE_DIR=${ILM_SOURCE_DIR}")
endif()

list(TRANSFORM ARGUMENTS REPLACE ";" "\\\\;")
run("${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/project" -B "${WORK_DIR}/build" -G "${GENERATOR}"
    "-DCMAKE_BUILD_TYPE=${CONFIG}" "-DMODE=${MODE}" "-DFORM=${FORM}" ${where} ${ARGUMENTS})
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build" --config ${CONFIG})
# The executable's directory depends on the generator: ctest knows it.
run("${CMAKE_CTEST_COMMAND}" --test-dir "${WORK_DIR}/build" -C ${CONFIG} --output-on-failure
    --no-tests=error)
