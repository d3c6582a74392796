# Checks which header includes which, and what lies at the top of the repository.
#   cmake -DROOT=<repository> [-DOPTIONAL_HEADERS=<absolute paths>] -P check.cmake
# `protocol/` is written `ilm/protocol/`: paths are as in `#include <ilm/...>`.
cmake_minimum_required(VERSION 3.25)

set(violations "")
macro(violation text)
  string(APPEND violations "  ${text}\n")
endmacro()

# What may be included, by the folder of the header that includes. Regular expressions.
set(standard "[a-z_0-9]+") # <vector>
set(vocabulary "ilm/(bytes|message|stored|event|error|options)\\.hpp")
set(foreign "[^i].*|i[^l].*|il[^m].*|ilm[^/].*") # anything that is not <ilm/...>
set(detail "ilm/detail/.+")
set(shell "ilm/(ilm|messenger)\\.hpp|ilm/runtime/.+")
set(parts "ilm/(backends|networks|deliveries)/.+")

set(only_ilm/protocol "${standard}|${vocabulary}|ilm/protocol/.+")
set(only_ilm/backends "${foreign}|${vocabulary}|${detail}|ilm/backend\\.hpp|ilm/backends/.+")
set(only_ilm/networks "${foreign}|${vocabulary}|${detail}|ilm/network\\.hpp|ilm/networks/.+")
set(only_ilm/deliveries "${foreign}|${vocabulary}|${detail}|ilm/delivery\\.hpp|ilm/deliveries/.+")
set(only_ilm/codecs "${foreign}|${vocabulary}|${detail}|ilm/codec\\.hpp|ilm/codecs/.+")
set(never_ilm/runtime "${parts}|ilm/testing/.+")
set(never_ilm/detail "${shell}|${parts}|ilm/testing/.+")
set(never_ilm "ilm/runtime/.+|${parts}|ilm/testing/.+") # the concepts and the vocabulary

# These two are what ties the house together.
set(exempt_from_folder_rule ilm/ilm.hpp ilm/messenger.hpp)

file(GLOB_RECURSE headers RELATIVE "${ROOT}/include" "${ROOT}/include/*")
set(optional_headers "")
foreach(header IN LISTS OPTIONAL_HEADERS)
  file(RELATIVE_PATH header "${ROOT}/include" "${header}")
  list(APPEND optional_headers "${header}")
endforeach()

foreach(header IN LISTS headers)
  if(header MATCHES "/README\\.md$")
    continue()
  endif()
  if(NOT header MATCHES "^ilm/(.+/)?[a-z0-9_]+\\.hpp$")
    violation("${header} is not named like a header of ours: ilm/<snake_case>.hpp")
    continue()
  endif()
  # ilm/protocol/wire/frame.hpp belongs to ilm/protocol, ilm/error.hpp to ilm.
  if(header MATCHES "^(ilm/[^/]+)/")
    set(folder "${CMAKE_MATCH_1}")
  else()
    set(folder ilm)
  endif()

  file(STRINGS "${ROOT}/include/${header}" lines REGEX "^[ \t]*#[ \t]*include")
  foreach(line IN LISTS lines)
    if(NOT line MATCHES "include[ \t]*<([^>]+)>")
      violation("${header}: `${line}` is not written #include <...>")
      continue()
    endif()
    set(included "${CMAKE_MATCH_1}")
    set(arrow "${header} includes ${included}")

    if(included STREQUAL "asio.hpp")
      violation("${arrow}: include single headers of Asio")
    elseif(included MATCHES "^ilm/" AND NOT EXISTS "${ROOT}/include/${included}")
      violation("${arrow}, which does not exist")
    elseif(included STREQUAL "ilm/messenger.hpp" AND NOT header STREQUAL "ilm/ilm.hpp")
      violation("${arrow}: only ilm/ilm.hpp may")
    elseif(included IN_LIST optional_headers AND NOT header IN_LIST optional_headers)
      violation("${arrow}: a core header includes one of an optional part")
    elseif(included MATCHES "^(nlohmann/.*|sqlite3\\.h|openssl/.*)$"
           AND NOT header IN_LIST optional_headers)
      violation("${arrow}: a core header needs Asio only")
    elseif(header IN_LIST exempt_from_folder_rule)
      continue()
    elseif(DEFINED only_${folder} AND NOT included MATCHES "^(${only_${folder}})$")
      violation("${arrow}: not for ${folder}/")
    elseif(DEFINED never_${folder} AND included MATCHES "^(${never_${folder}})$")
      violation("${arrow}: not for ${folder}/")
    endif()
  endforeach()
endforeach()

set(allowed_at_the_top include tests examples cmake build CMakeLists.txt README.md LICENSE
                       # what a tool demands there
                       CMakePresets.json CMakeUserPresets.json compile_commands.json vcpkg.json)
file(GLOB entries RELATIVE "${ROOT}" "${ROOT}/*")
foreach(entry IN LISTS entries)
  if(entry IN_LIST allowed_at_the_top OR entry MATCHES "^\\."
     OR EXISTS "${ROOT}/${entry}/CMakeCache.txt") # somebody's build tree
    continue()
  endif()
  violation("${entry} does not belong at the top of the repository")
endforeach()

if(violations)
  message(FATAL_ERROR "The house is out of order:\n${violations}")
endif()
list(LENGTH headers count)
message("${count} headers, every arrow points the right way")
