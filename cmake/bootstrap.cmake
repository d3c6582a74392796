# Shared by cmake/demo.cmake, cmake/test.cmake, cmake/benchmark.cmake and cmake/emscripten.cmake: from a bare machine to a built tree.
#
# A thing is taken from the system; else, where there is apt-get and we may use it, from Debian's
# package; else (libraries only) cmake/dependencies.cmake fetches it. Only these scripts install
# packages; configuring the project never does.

get_filename_component(ilm_root "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)

function(say text)
  message("-- ${text}")
endfunction()

# give_up(<text>): ends the script with a message and an exit code other than 0.
function(give_up)
  list(JOIN ARGV "" text)
  message(FATAL_ERROR "${text}")
endfunction()

# script_arguments(<variable>): the arguments after `--` on the command line.
function(script_arguments variable)
  set(arguments "")
  set(seen FALSE)
  math(EXPR last "${CMAKE_ARGC} - 1")
  foreach(index RANGE ${last})
    if(seen)
      list(APPEND arguments "${CMAKE_ARGV${index}}")
    elseif(CMAKE_ARGV${index} STREQUAL "--")
      set(seen TRUE)
    endif()
  endforeach()
  set(${variable} "${arguments}" PARENT_SCOPE)
endfunction()

# --- missing things -----------------------------------------------------------------------------

set(ilm_include_dirs /usr/include /usr/local/include /opt/homebrew/include /opt/local/include)

# is_installed(<result> <compiler|builder|asio|json|catch2|sqlite|openssl|websocket|git|python|nginx>)
function(is_installed result what)
  unset(found) # a caller's variable of that name would pass for one that find_* has found
  if(what STREQUAL "compiler" AND NOT "$ENV{CXX}" STREQUAL "")
    # CMake tries it, and reports if it is none.
    set(found TRUE)
  elseif(what STREQUAL "compiler")
    find_program(found NAMES c++ g++ clang++ cl NO_CACHE)
  elseif(what STREQUAL "builder")
    find_program(found NAMES ninja ninja-build make gmake nmake NO_CACHE)
  elseif(what STREQUAL "git")
    find_program(found NAMES git NO_CACHE)
  elseif(what STREQUAL "python")
    find_program(found NAMES python3 NO_CACHE)
  elseif(what STREQUAL "nginx")
    find_program(openssl NAMES openssl NO_CACHE) # makes its certificates
    if(openssl)
      find_program(found NAMES nginx PATHS /usr/sbin /usr/local/sbin NO_CACHE)
    endif()
  elseif(what STREQUAL "asio")
    find_path(found asio/version.hpp PATHS ${ilm_include_dirs} NO_CACHE)
  elseif(what STREQUAL "json")
    find_path(found nlohmann/json.hpp PATHS ${ilm_include_dirs} NO_CACHE)
  elseif(what STREQUAL "sqlite")
    find_path(found sqlite3.h PATHS ${ilm_include_dirs} NO_CACHE)
  elseif(what STREQUAL "openssl")
    find_path(found openssl/hmac.h PATHS ${ilm_include_dirs} NO_CACHE)
  elseif(what STREQUAL "websocket")
    find_path(found wslay/wslay.h PATHS ${ilm_include_dirs} NO_CACHE)
  elseif(what STREQUAL "catch2")
    find_path(found NAMES catch2/catch.hpp catch2/catch_test_macros.hpp PATHS ${ilm_include_dirs} NO_CACHE)
  endif()
  if(found)
    set(${result} TRUE PARENT_SCOPE)
  else()
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()

set(ilm_package_of_compiler g++)
set(ilm_package_of_builder ninja-build)
set(ilm_package_of_git git ca-certificates)
set(ilm_package_of_python python3)
set(ilm_package_of_nginx nginx-light openssl)
set(ilm_package_of_asio libasio-dev)
set(ilm_package_of_json nlohmann-json3-dev)
set(ilm_package_of_openssl libssl-dev)
set(ilm_package_of_websocket libwslay-dev libssl-dev)
set(ilm_package_of_catch2 catch2)
set(ilm_package_of_sqlite libsqlite3-dev)
set(ilm_package_of_debootstrap debootstrap)

# missing_of(<variable> <thing>...): those that are not installed.
function(missing_of variable)
  set(missing "")
  foreach(what IN LISTS ARGN)
    is_installed(found ${what})
    if(NOT found)
      list(APPEND missing ${what})
    endif()
  endforeach()
  set(${variable} "${missing}" PARENT_SCOPE)
endfunction()

# --- Debian's packages --------------------------------------------------------------------------

# apt_get_command(<variable>): how to call apt-get here, or nothing where we may not.
function(apt_get_command variable)
  set(${variable} "" PARENT_SCOPE)
  find_program(apt_get apt-get NO_CACHE)
  find_program(id id NO_CACHE)
  if(NOT apt_get OR NOT id)
    return()
  endif()
  set(command "${CMAKE_COMMAND}" -E env DEBIAN_FRONTEND=noninteractive "${apt_get}" -q
              # Without a network, fail soon; while another apt-get runs, wait for it.
              -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=120)
  execute_process(COMMAND "${id}" -u OUTPUT_VARIABLE user OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT user STREQUAL "0")
    find_program(sudo sudo NO_CACHE)
    if(NOT sudo)
      return()
    endif()
    execute_process(COMMAND "${sudo}" -n true RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(NOT status EQUAL 0)
      return()
    endif()
    list(PREPEND command "${sudo}" -n)
  endif()
  set(${variable} "${command}" PARENT_SCOPE)
endfunction()

# install_packages(<thing>...): installs as many as it can; the caller looks for those still missing.
function(install_packages)
  set(packages "")
  foreach(what IN LISTS ARGN)
    list(APPEND packages ${ilm_package_of_${what}})
  endforeach()
  list(JOIN packages " " names)
  apt_get_command(apt_get)
  if(NOT apt_get)
    say("not installed: ${names} (and no apt-get that we may use)")
    return()
  endif()

  get_property(updated GLOBAL PROPERTY ilm_apt_updated)
  if(NOT updated)
    say("apt-get update")
    execute_process(COMMAND ${apt_get} update OUTPUT_QUIET)
    set_property(GLOBAL PROPERTY ilm_apt_updated TRUE)
  endif()
  say("apt-get install ${names}")
  execute_process(
    COMMAND ${apt_get} install -y --no-install-recommends ${packages}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(status EQUAL 0)
    return()
  endif()
  # One package that this release does not have must not stand in the way of the others.
  foreach(package IN LISTS packages)
    execute_process(
      COMMAND ${apt_get} install -y --no-install-recommends ${package}
      RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
      say("apt-get could not install ${package}:\n${output}")
    endif()
  endforeach()
endfunction()

# require(<asio|json|catch2>...): has a compiler, a build tool and these libraries in place.
function(require)
  missing_of(missing compiler builder ${ARGN})
  if(missing)
    install_packages(${missing})
    missing_of(missing compiler builder ${ARGN})
  endif()

  foreach(tool IN ITEMS compiler builder)
    if(tool IN_LIST missing)
      give_up("A C++20 compiler and ninja or make are needed, and cannot be installed from here. "
              "On Debian and Ubuntu: apt-get install g++ ninja-build")
    endif()
  endforeach()

  if(missing)
    say("to be fetched by CMake: ${missing}")
    missing_of(missing git)
    if(missing)
      install_packages(git)
    endif()
  endif()
endfunction()

# want(<variable> <sqlite|openssl|python|nginx>...): installs these if it can, for nothing fetches them; the variable
# gets those that are there.
function(want variable)
  missing_of(missing ${ARGN})
  if(missing)
    install_packages(${missing})
    missing_of(missing ${ARGN})
  endif()
  if(missing)
    say("left out, because not installed: the parts that need ${missing}")
  endif()
  set(present ${ARGN})
  list(REMOVE_ITEM present ${missing})
  set(${variable} "${present}" PARENT_SCOPE)
endfunction()

# --- configure and build ------------------------------------------------------------------------

# configure(<build tree> <argument>...)
function(configure tree)
  set(generator "")
  find_program(ninja NAMES ninja ninja-build NO_CACHE)
  # A build tree keeps the generator that it began with, and the environment's choice comes first.
  if(ninja AND "$ENV{CMAKE_GENERATOR}" STREQUAL "" AND NOT EXISTS "${tree}/CMakeCache.txt")
    set(generator -G Ninja)
  endif()
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -S "${ilm_root}" -B "${tree}" ${generator}
            -DCMAKE_BUILD_TYPE=Release ${ARGN}
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    give_up("Configuring failed: see above for what is missing.")
  endif()
endfunction()

# parallelism(<variable>): how many compilers this machine bears; each may take more than a gigabyte.
function(parallelism variable)
  cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
  cmake_host_system_information(RESULT megabytes QUERY TOTAL_PHYSICAL_MEMORY)
  math(EXPR fitting "${megabytes} / 1500")
  if(fitting GREATER 0 AND fitting LESS cores)
    set(cores ${fitting})
  endif()
  if(cores LESS 1)
    set(cores 1)
  endif()
  set(${variable} ${cores} PARENT_SCOPE)
endfunction()

# build(<build tree> <target>...)
function(build tree)
  parallelism(jobs)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" --build "${tree}" --config Release --parallel ${jobs} --target ${ARGN}
    RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    give_up("Building failed.")
  endif()
endfunction()
