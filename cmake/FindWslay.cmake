# Finds wslay, which reads and writes the frames of WebSockets: Debian has a package config, others have none.
#
#   Wslay::Wslay       the target; a target `wslay`, of a parent project or of wslay's own package, is taken
#   WSLAY_INCLUDE_DIR, WSLAY_LIBRARY    cache

if(NOT TARGET Wslay::Wslay AND TARGET wslay)
  add_library(Wslay::Wslay INTERFACE IMPORTED)
  target_link_libraries(Wslay::Wslay INTERFACE wslay)
endif()
if(TARGET Wslay::Wslay)
  set(Wslay_FOUND TRUE)
  return()
endif()

find_path(WSLAY_INCLUDE_DIR NAMES wslay/wslay.h)
find_library(WSLAY_LIBRARY NAMES wslay)
mark_as_advanced(WSLAY_INCLUDE_DIR WSLAY_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Wslay
  REQUIRED_VARS WSLAY_LIBRARY WSLAY_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Debian has it as libwslay-dev. Set WSLAY_INCLUDE_DIR and WSLAY_LIBRARY.")

if(Wslay_FOUND)
  add_library(Wslay::Wslay UNKNOWN IMPORTED)
  set_target_properties(Wslay::Wslay PROPERTIES IMPORTED_LOCATION "${WSLAY_LIBRARY}"
                                                INTERFACE_INCLUDE_DIRECTORIES "${WSLAY_INCLUDE_DIR}")
endif()
