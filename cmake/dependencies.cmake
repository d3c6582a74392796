# Asio, nlohmann/json and Catch2 come from the parent project, else from the system,
# else (unless ILM_FETCH_DEPENDENCIES is off) a pinned release by FetchContent. SQLite and OpenSSL are
# never fetched. Nothing here installs anything: cmake/bootstrap.cmake does, on request.

include(FetchContent)

# ilm_fetch(<name> <repository> <tag> <display name> <Debian package> [<how to do without>])
# Makes <name> available, or ends the configuration with one message that names the ways out.
macro(ilm_fetch name repository tag display debian)
  ilm_why_not_fetch(ilm_why_not ${name} ${repository} ${tag})
  if(ilm_why_not)
    message(
      FATAL_ERROR
        "ILM needs ${display}, which is not installed here, and ${ilm_why_not}.\n"
        "Debian and Ubuntu have it in the package ${debian}; upstream is ${repository} (tag ${tag}).\n"
        "An installation elsewhere is found by CMAKE_PREFIX_PATH, unpacked sources by "
        "FETCHCONTENT_SOURCE_DIR_<NAME>. ${ARGN}")
  endif()
  message(STATUS "${display} is not installed: taking ${tag} from ${repository}")
  FetchContent_MakeAvailable(${name})
endmacro()

# A failing FetchContent ends in a page of messages about a nested build: so ask beforehand.
function(ilm_why_not_fetch result name repository tag)
  set(${result} "" PARENT_SCOPE)
  string(TOUPPER ${name} upper)
  if(FETCHCONTENT_SOURCE_DIR_${upper})
    return()
  endif()
  if(NOT ILM_FETCH_DEPENDENCIES)
    set(${result} "ILM_FETCH_DEPENDENCIES is off" PARENT_SCOPE)
    return()
  endif()
  if(EXISTS "${FETCHCONTENT_BASE_DIR}/${name}-src/.git" OR FETCHCONTENT_FULLY_DISCONNECTED)
    return()
  endif()
  find_package(Git QUIET)
  if(NOT GIT_FOUND)
    set(${result} "there is no git to fetch it with" PARENT_SCOPE)
    return()
  endif()
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env GIT_TERMINAL_PROMPT=0 "${GIT_EXECUTABLE}" ls-remote
            --exit-code "${repository}" "refs/tags/${tag}"
    TIMEOUT 30
    RESULT_VARIABLE status
    OUTPUT_QUIET ERROR_VARIABLE error)
  if(NOT status EQUAL 0)
    string(STRIP "${error}" error)
    string(REGEX REPLACE "[\r\n]+" "; " error "${error}")
    set(${result} "it cannot be fetched (git ls-remote: ${status}; ${error})" PARENT_SCOPE)
  endif()
endfunction()

# --- threads and Asio ---------------------------------------------------------------------------

# GLOBAL: a target that links ours, in any directory, has to see theirs.
find_package(Threads REQUIRED GLOBAL)

set(ilm_asio_minimum 1.22)
list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
find_package(Asio ${ilm_asio_minimum} MODULE QUIET GLOBAL)
if(NOT Asio_FOUND)
  # Asio's repository has no CMakeLists.txt: a SOURCE_SUBDIR without one keeps it so for later releases.
  FetchContent_Declare(
    asio
    GIT_REPOSITORY https://github.com/chriskohlhoff/asio.git
    GIT_TAG asio-1-30-2
    GIT_SHALLOW ON
    SOURCE_SUBDIR no-cmake-here)
  ilm_fetch(asio https://github.com/chriskohlhoff/asio.git asio-1-30-2
            "Asio ${ilm_asio_minimum} or later" libasio-dev)
  # An older one that was found is of no use. Later releases moved include/ to the top.
  unset(ASIO_INCLUDE_DIR CACHE)
  find_path(ASIO_INCLUDE_DIR NAMES asio/version.hpp NO_DEFAULT_PATH
            PATHS "${asio_SOURCE_DIR}/asio/include" "${asio_SOURCE_DIR}/include")
  find_package(Asio ${ilm_asio_minimum} MODULE REQUIRED GLOBAL)
endif()
list(POP_FRONT CMAKE_MODULE_PATH)

# The optional parts that there are, and below, those that this build has.
set(ilm_optional_parts json sqlite openssl websocket browser)
set(ilm_parts "")

# --- nlohmann/json, for ilm::json ---------------------------------------------------------------

if(NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json 3.11 CONFIG QUIET GLOBAL)
endif()
if(PROJECT_IS_TOP_LEVEL OR TARGET nlohmann_json::nlohmann_json)
  set(ilm_json_default ON)
else()
  set(ilm_json_default OFF)
endif()
option(ILM_JSON "Provide ilm::json, which needs nlohmann/json" ${ilm_json_default})

if(ILM_JSON AND NOT TARGET nlohmann_json::nlohmann_json)
  # Our package names it, so the installation must not lack it.
  set(JSON_Install ${ILM_INSTALL} CACHE INTERNAL "")
  set(JSON_BuildTests OFF CACHE INTERNAL "")
  FetchContent_Declare(
    nlohmann_json
    GIT_REPOSITORY https://github.com/nlohmann/json.git
    GIT_TAG v3.11.3
    GIT_SHALLOW ON
    SYSTEM)
  ilm_fetch(nlohmann_json https://github.com/nlohmann/json.git v3.11.3
            "nlohmann/json 3.11 or later" nlohmann-json3-dev "ILM_JSON=OFF does without.")
endif()
if(ILM_JSON)
  list(APPEND ilm_parts json)
endif()

# --- SQLite, OpenSSL and wslay, for ilm::sqlite, ilm::openssl and ilm::websocket ------------------------------

# ilm_system_part(<part> <targets that it needs> <display name> <Debian packages> <find_package's arguments>...)
# Nothing fetches these: SQLite's makers publish no CMake project, fetched cryptography would need updates as
# well, and wslay is of no use without it.
macro(ilm_system_part part targets display debian)
  string(TOUPPER ${part} ilm_option)
  set(ilm_option ILM_${ilm_option})
  ilm_missing_targets(ilm_part_missing ${targets})
  if(ilm_part_missing)
    find_package(${ARGN} QUIET GLOBAL)
    ilm_missing_targets(ilm_part_missing ${targets})
  endif()
  if(ilm_part_missing)
    set(ilm_part_default OFF)
  else()
    set(ilm_part_default ON)
  endif()
  option(${ilm_option} "Provide ilm::${part}, which needs ${display}" ${ilm_part_default})
  if(${ilm_option})
    if(ilm_part_missing)
      message(
        FATAL_ERROR
          "ilm::${part} needs ${display}, which is not installed here.\n"
          "Debian and Ubuntu have it in the package ${debian}; an installation elsewhere is found by "
          "CMAKE_PREFIX_PATH. ${ilm_option}=OFF does without.")
    endif()
    list(APPEND ilm_parts ${part})
  endif()
endmacro()

# ilm_missing_targets(<variable> <target>...): those that there are not.
function(ilm_missing_targets variable)
  set(missing "")
  foreach(target IN LISTS ARGN)
    if(NOT TARGET ${target})
      list(APPEND missing ${target})
    endif()
  endforeach()
  set(${variable} "${missing}" PARENT_SCOPE)
endfunction()

ilm_system_part(sqlite SQLite::SQLite3 "SQLite 3.40 or later" libsqlite3-dev SQLite3 3.40)
ilm_system_part(openssl OpenSSL::Crypto "OpenSSL 1.1.1 or later" libssl-dev OpenSSL 1.1.1
                COMPONENTS Crypto)
# A page has WebSockets.
if(NOT EMSCRIPTEN)
  list(PREPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")
  ilm_system_part(websocket "Wslay::Wslay;OpenSSL::Crypto" "wslay 1.1 and OpenSSL 1.1.1, or later"
                  "libwslay-dev, with libssl-dev" Wslay MODULE)
  list(POP_FRONT CMAKE_MODULE_PATH)
endif()

# --- the browser, for ilm::browser -----------------------------------------------------------------

if(EMSCRIPTEN)
  option(ILM_BROWSER "Provide ilm::browser and ilm::websocket, for pages and workers" ON)
  if(ILM_BROWSER)
    list(APPEND ilm_parts browser websocket)
  endif()
endif()

# --- Catch2, for the tests ----------------------------------------------------------------------

if(ILM_BUILD_TESTS)
  if(NOT TARGET Catch2::Catch2)
    find_package(Catch2 3 CONFIG QUIET)
    if(NOT Catch2_FOUND)
      find_package(Catch2 2.13.9 CONFIG QUIET)
    endif()
  endif()
  if(NOT TARGET Catch2::Catch2)
    FetchContent_Declare(
      catch2
      GIT_REPOSITORY https://github.com/catchorg/Catch2.git
      GIT_TAG v3.7.1
      GIT_SHALLOW ON
      SYSTEM)
    ilm_fetch(catch2 https://github.com/catchorg/Catch2.git v3.7.1
              "Catch2 3 or 2.13" catch2 "ILM_BUILD_TESTS=OFF does without.")
  endif()
  # Where catch_discover_tests is: beside an installed package's config, or in fetched sources.
  find_file(ilm_catch_module Catch.cmake NO_DEFAULT_PATH NO_CACHE
            PATHS "${Catch2_DIR}" "${catch2_SOURCE_DIR}/extras" "${Catch2_SOURCE_DIR}/extras")
endif()
