# ilm::compiled, a static library of the library's plain classes, and of its templates for ids of std::string. A
# program that links it compiles these once, and not in each translation unit; its compile definition ILM_COMPILED
# leaves the definitions out of the headers. The project that links it builds it, with its own flags, and only if
# something links it.
#
# ilm_add_compiled(<directory that holds ilm/> <part>...): makes ilm_compiled and its alias ilm::compiled, with
# the heavy headers of the named optional parts. Also installed: the package config calls it for
# find_package(ilm COMPONENTS compiled).
function(ilm_add_compiled include_dir)
  set(lists ilm/compiled.hpp)
  set(links ilm::ilm)
  if(sqlite IN_LIST ARGN)
    list(APPEND lists ilm/backends/sqlite/compiled.hpp)
    list(APPEND links ilm::sqlite)
  endif()
  if(websocket IN_LIST ARGN)
    list(APPEND lists ilm/networks/websocket/compiled.hpp)
    list(APPEND links ilm::websocket)
  endif()

  # One source a part, so that more than one compiler can be at work.
  set(parts "")
  foreach(list IN LISTS lists)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${include_dir}/${list}")
    file(STRINGS "${include_dir}/${list}" includes REGEX "^#include <ilm/.*>$")
    foreach(include IN LISTS includes)
      set(part core)
      if(include MATCHES "<ilm/(networks/(tcp|websocket)|backends/(sqlite)|(ilm)\\.hpp)")
        set(part "${CMAKE_MATCH_2}${CMAKE_MATCH_3}${CMAKE_MATCH_4}")
      endif()
      list(APPEND parts ${part})
      string(APPEND includes_of_${part} "${include}\n")
    endforeach()
  endforeach()

  list(REMOVE_DUPLICATES parts)
  set(sources "")
  foreach(part IN LISTS parts)
    set(instances "#define ILM_COMPILES_INSTANCES\n#include <ilm/codecs/bytes.hpp>\n")
    if(part STREQUAL core) # one of the others has each of them
      set(instances "")
    endif()
    set(source "${CMAKE_CURRENT_BINARY_DIR}/ilm_compiled/${part}.cpp")
    file(CONFIGURE OUTPUT "${source}" @ONLY
         CONTENT "${instances}${includes_of_${part}}")
    list(APPEND sources "${source}")
  endforeach()

  add_library(ilm_compiled STATIC EXCLUDE_FROM_ALL ${sources})
  add_library(ilm::compiled ALIAS ilm_compiled)
  set_target_properties(ilm_compiled PROPERTIES CXX_SCAN_FOR_MODULES OFF) # there are none
  target_compile_definitions(ilm_compiled PUBLIC ILM_COMPILED)
  target_link_libraries(ilm_compiled PUBLIC ${links})
endfunction()
