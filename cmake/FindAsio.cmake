# Finds standalone Asio, for which neither upstream nor Debian ships a CMake or pkg-config file.
#
#   asio::asio         the target; one that exists already is left as it is
#   Asio_VERSION       from asio/version.hpp, e.g. 1.22.1
#   ASIO_INCLUDE_DIR   cache: the directory that holds asio.hpp

set(_asio_hints "")
if(TARGET asio::asio)
  # Somebody else's target, e.g. a parent project's or a package manager's: describe that one.
  get_target_property(_asio_hints asio::asio INTERFACE_INCLUDE_DIRECTORIES)
  if(_asio_hints)
    list(TRANSFORM _asio_hints REPLACE "^\\$<BUILD_INTERFACE:(.*)>$" "\\1")
  else()
    set(_asio_hints "")
  endif()
endif()

find_path(ASIO_INCLUDE_DIR NAMES asio/version.hpp HINTS ${_asio_hints})
mark_as_advanced(ASIO_INCLUDE_DIR)

unset(Asio_VERSION)
if(ASIO_INCLUDE_DIR)
  file(STRINGS "${ASIO_INCLUDE_DIR}/asio/version.hpp" _asio_line
       REGEX "^#define ASIO_VERSION [0-9]+")
  if(_asio_line MATCHES "ASIO_VERSION ([0-9]+)")
    # 102201 is 1.22.1
    math(EXPR _asio_major "${CMAKE_MATCH_1} / 100000")
    math(EXPR _asio_minor "${CMAKE_MATCH_1} / 100 % 1000")
    math(EXPR _asio_patch "${CMAKE_MATCH_1} % 100")
    set(Asio_VERSION "${_asio_major}.${_asio_minor}.${_asio_patch}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Asio
  REQUIRED_VARS ASIO_INCLUDE_DIR
  VERSION_VAR Asio_VERSION
  REASON_FAILURE_MESSAGE "Debian has it as libasio-dev. Set ASIO_INCLUDE_DIR to the directory of asio.hpp.")

if(Asio_FOUND AND NOT TARGET asio::asio)
  find_package(Threads QUIET)
  add_library(asio::asio INTERFACE IMPORTED)
  target_include_directories(asio::asio INTERFACE "${ASIO_INCLUDE_DIR}")
  if(TARGET Threads::Threads)
    target_link_libraries(asio::asio INTERFACE Threads::Threads)
  endif()
endif()
