# Shared by cmake/wasm.cmake and cmake/browser.cmake: an Emscripten, and a script that runs where it is.
#
# An Emscripten of at least 3.1.50 is taken from the PATH. Else, on Debian and as root, the one of Debian 13 is installed
# in a folder of its own, where the sources are copied to: build/wasm-debian, 3 GB, or the one that
# -DILM_WASM_DEBIAN=<folder> names (before -P).
include("${CMAKE_CURRENT_LIST_DIR}/bootstrap.cmake")

set(minimum 3.1.50) # whose library has coroutines, and exceptions that cross them
if(NOT ILM_WASM_DEBIAN)
  set(ILM_WASM_DEBIAN "${ilm_root}/build/wasm-debian")
endif()
set(needs "${ilm_root}/build/wasm-needs")

# find_emscripten(<variable>): its root folder, or nothing and the reason in <variable>_missing.
function(find_emscripten variable)
  set(${variable} "" PARENT_SCOPE)
  find_program(emcc emcc NO_CACHE)
  find_program(config em-config NO_CACHE)
  if(NOT emcc OR NOT config)
    set(${variable}_missing "there is no Emscripten" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND "${emcc}" -dumpversion OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(version VERSION_LESS minimum)
    set(${variable}_missing "Emscripten ${version} is older than ${minimum}" PARENT_SCOPE)
    return()
  endif()
  execute_process(COMMAND "${config}" EMSCRIPTEN_ROOT OUTPUT_VARIABLE root OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${variable} "${root}" PARENT_SCOPE)
endfunction()

# copy_needs(): what Debian's packages have of headers and CMake files, without the rest of /usr/include, which is not
# for this compiler. What is not there is fetched.
function(copy_needs)
  find_program(dpkg_query dpkg-query NO_CACHE)
  if(NOT dpkg_query)
    return()
  endif()
  set(packages libasio-dev nlohmann-json3-dev)
  # Catch2 3 has a library, which is for this machine.
  if(EXISTS /usr/include/catch2/catch.hpp)
    list(APPEND packages catch2)
  endif()
  foreach(package IN LISTS packages)
    execute_process(
      COMMAND "${dpkg_query}" -L ${package}
      OUTPUT_VARIABLE files ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    string(REPLACE "\n" ";" files "${files}")
    list(FILTER files INCLUDE REGEX "^/usr/(include|share/cmake|lib/cmake|lib/[^/]*\\.a)")
    foreach(file IN LISTS files)
      if(NOT IS_DIRECTORY "${file}")
        get_filename_component(folder "${file}" DIRECTORY)
        file(COPY "${file}" DESTINATION "${needs}${folder}")
      endif()
    endforeach()
  endforeach()
endfunction()

# run(<what> <command>...): in the project's folder, where CMake looks for presets.
function(run what)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY "${ilm_root}" RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    give_up("${what} failed: see above.")
  endif()
endfunction()

# install_debian(): Debian 13 with Emscripten in ILM_WASM_DEBIAN.
function(install_debian)
  set(reason "${emscripten_missing}, and that of Debian 13 cannot be installed:")
  find_program(id id NO_CACHE)
  set(user unknown)
  if(id)
    execute_process(COMMAND "${id}" -u OUTPUT_VARIABLE user OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  if(NOT user STREQUAL "0")
    give_up("${reason} only root may, with debootstrap. Put emcc of Emscripten ${minimum} or later on the PATH.")
  endif()
  find_program(debootstrap debootstrap PATHS /usr/sbin NO_CACHE)
  if(NOT debootstrap)
    install_packages(debootstrap)
    find_program(debootstrap debootstrap PATHS /usr/sbin NO_CACHE)
  endif()
  if(NOT debootstrap)
    give_up("${reason} there is no debootstrap. Put emcc of Emscripten ${minimum} or later on the PATH.")
  endif()
  say("installing Debian 13 with Emscripten in ${ILM_WASM_DEBIAN}")
  set(unfinished "${ILM_WASM_DEBIAN}.unfinished")
  file(REMOVE_RECURSE "${unfinished}")
  execute_process(
    COMMAND "${debootstrap}" --variant=minbase --include=emscripten,cmake,ninja-build trixie "${unfinished}"
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    string(REGEX MATCH "[^\n]*\n[^\n]*\n[^\n]*$" last_lines "${output}")
    give_up("${reason} debootstrap ended with ${status}.\n${last_lines}")
  endif()
  file(RENAME "${unfinished}" "${ILM_WASM_DEBIAN}")
endfunction()

# run_on_debian(<script>): there.
function(run_on_debian script)
  if(NOT EXISTS "${ILM_WASM_DEBIAN}/usr/bin/emcc")
    install_debian()
  endif()
  set(place "${ILM_WASM_DEBIAN}/ilm")
  foreach(entry IN ITEMS include tests examples cmake CMakeLists.txt CMakePresets.json README.md LICENSE)
    file(REMOVE_RECURSE "${place}/${entry}")
    file(COPY "${ilm_root}/${entry}" DESTINATION "${place}")
  endforeach()
  file(COPY "${needs}" DESTINATION "${place}/build")
  find_program(chroot chroot PATHS /usr/sbin REQUIRED NO_CACHE)
  execute_process(
    COMMAND "${chroot}" "${ILM_WASM_DEBIAN}" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin
            cmake -DILM_WASM_INSIDE=ON -DILM_WASM_JOBS=${ILM_WASM_JOBS} -DILM_WASM_VOLUME=${ILM_WASM_VOLUME}
            -P "/ilm/cmake/${script}"
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    give_up("Failed in ${ILM_WASM_DEBIAN}: see above.")
  endif()
endfunction()

# with_emscripten(<script>): configures, and calls use_emscripten(), a function of this script: here, or on Debian.
# Sets ILM_WASM_TREE, the build tree that it used, as seen from here.
macro(with_emscripten script)
  set(ILM_WASM_TREE "${ilm_root}/build/wasm")
  if(NOT ILM_WASM_INSIDE)
    parallelism(ILM_WASM_JOBS) # here: without /proc, as in that folder, one core is all that CMake sees
    require(asio json catch2)
    copy_needs()
  endif()
  find_emscripten(emscripten)
  if(emscripten)
    set(ENV{EMSCRIPTEN} "${emscripten}")
    run(Configuring "${CMAKE_COMMAND}" --preset wasm "-DCMAKE_FIND_ROOT_PATH=${needs}/usr")
    use_emscripten()
  elseif(ILM_WASM_INSIDE)
    give_up("${emscripten_missing} in ${CMAKE_SOURCE_DIR}.")
  else()
    run_on_debian("${script}")
    set(ILM_WASM_TREE "${ILM_WASM_DEBIAN}/ilm/build/wasm")
  endif()
endmacro()
