# Builds for a browser (by Emscripten, emscripten.cmake) the package for JavaScript and what the tests load, into
# build/browser, fetches playwright-core into it, and runs these tests in Chromium.
#   cmake -P cmake/browser.cmake
# From then on `ctest -L browser` runs them, too. -DILM_WASM_DEBIAN=<folder> is as for cmake/wasm.cmake.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/emscripten.cmake")

set(playwright playwright-core@1.65.1)
set(tests "${ilm_root}/tests/browser")
set(place "${ilm_root}/build/browser")

function(use_emscripten)
  run(Building "${CMAKE_COMMAND}" --build --preset browser --parallel ${ILM_WASM_JOBS})
endfunction()

# copy_modules(): as new as this build, so that a test can say that it has older ones.
function(copy_modules)
  file(GLOB modules "${ILM_WASM_TREE}/tests/browser/*.mjs" "${ILM_WASM_TREE}/tests/browser/*.wasm")
  file(COPY ${modules} DESTINATION "${place}")
  foreach(module IN LISTS modules)
    get_filename_component(name "${module}" NAME)
    file(TOUCH "${place}/${name}")
  endforeach()
endfunction()

function(fetch_playwright)
  find_program(npm npm NO_CACHE)
  if(NOT npm)
    say("there is no npm, so no ${playwright} to drive a browser with")
    return()
  endif()
  execute_process(
    COMMAND "${npm}" install --silent --no-audit --no-fund --no-package-lock --prefix "${place}" ${playwright}
    RESULT_VARIABLE status ERROR_VARIABLE output OUTPUT_VARIABLE output)
  if(NOT status EQUAL 0)
    say("npm could not install ${playwright}:\n${output}")
  endif()
endfunction()

# copy_package(): the package for JavaScript, and as an archive that npm installs.
function(copy_package)
  file(REMOVE_RECURSE "${place}/package")
  file(COPY "${ILM_WASM_TREE}/package" DESTINATION "${place}")
  find_program(npm npm NO_CACHE)
  if(npm)
    execute_process(COMMAND "${npm}" pack --silent "${place}/package" WORKING_DIRECTORY "${place}"
                    OUTPUT_VARIABLE archive OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
      give_up("npm could not pack the package: see above.")
    endif()
    say("build/browser/${archive} is the package")
  endif()
endfunction()

with_emscripten(browser.cmake)
if(ILM_WASM_INSIDE)
  return()
endif()
file(MAKE_DIRECTORY "${place}")
copy_modules()
copy_package()
fetch_playwright()
file(GLOB scripts "${tests}/*_test.mjs")
foreach(script IN LISTS scripts)
  run("${script}" "${CMAKE_COMMAND}" "-DTEST=${script}" -P "${tests}/run.cmake")
endforeach()
