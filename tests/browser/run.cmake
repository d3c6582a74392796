# Runs a test in Chromium, or says in one line what is missing.
#   cmake -DTEST=<file> -P run.cmake
cmake_minimum_required(VERSION 3.25)

get_filename_component(root "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(build "${root}/build/browser")
get_filename_component(module "${TEST}" NAME)
string(REPLACE "_test.mjs" ".mjs" module "${module}")

# is_older(<variable>): whether a source was changed since the module was built.
function(is_older variable)
  file(GLOB_RECURSE sources "${root}/include/ilm/*.hpp" "${root}/tests/browser/*.[ch]pp")
  set(${variable} FALSE PARENT_SCOPE)
  foreach(source IN LISTS sources)
    if("${source}" IS_NEWER_THAN "${build}/${module}")
      set(${variable} TRUE PARENT_SCOPE)
    endif()
  endforeach()
endfunction()

find_program(node node NO_CACHE)
find_program(chromium NAMES chromium chromium-browser google-chrome NO_CACHE)
set(missing "")
if(NOT node)
  set(missing "there is no node (Debian's package nodejs)")
elseif(NOT chromium)
  set(missing "there is no chromium (Debian's package chromium)")
elseif(NOT EXISTS "${build}/${module}")
  set(missing "build/browser has no ${module} (cmake -P cmake/browser.cmake builds it)")
elseif(NOT EXISTS "${build}/node_modules/playwright-core")
  set(missing "build/browser has no playwright-core (cmake -P cmake/browser.cmake fetches it, with npm)")
else()
  is_older(older)
  if(older)
    set(missing "build/browser/${module} is older than the sources (cmake -P cmake/browser.cmake builds it)")
  endif()
endif()
if(missing)
  message("skipped: ${missing}")
  return()
endif()

execute_process(
  COMMAND "${CMAKE_COMMAND}" -E env "ILM_BROWSER_BUILD=${build}" "ILM_CHROMIUM=${chromium}"
          "${node}" --test-reporter=spec "${TEST}"
  TIMEOUT 280 # then the browser ends with it
  RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${TEST} failed: see above.")
endif()
