# Checks which header includes which, and what lies at the top of the repository.
#   cmake -DROOT=<repository> [-DOPTIONAL_HEADERS=<absolute paths>] -P check.cmake
# `protocol/` is written `ilm/protocol/`: paths are as in `#include <ilm/...>`.
#
# Between folders, the lists below name the headers that a folder may include.
# Inside a folder, too, arrows point one way:
#   - No chain of includes leads back to its first header.
#   - A header in x/ does not include x.hpp, the entry of its folder.
# Definitions are the one exception. A light header declares functions, a heavy one defines them, and a
# program without ilm::compiled needs both. So a light header may end in
#   #ifndef ILM_COMPILED
#   #include <ilm/.../heavy.hpp>
#   #endif
# These includes count for neither rule: the heavy header may include its light one. In turn, every heavy
# header is listed in a compiled.hpp, every listed header is included in this way, and in no other: a
# program that links ilm::compiled parses none of them.
cmake_minimum_required(VERSION 3.25)

set(violations "")
macro(violation text)
  string(APPEND violations "  ${text}\n")
endmacro()

# The headers that a folder may include, or may never include. Regular expressions.
set(standard "[a-z_0-9]+") # <vector>
set(vocabulary "ilm/(attributes|bytes|message|stored|event|error|options|printable|detail/(compiled|failure|language))\\.hpp")
set(foreign "[^i].*|i[^l].*|il[^m].*|ilm[^/].*") # anything that is not <ilm/...>
set(detail "ilm/detail/.+")
set(shell "ilm/(ilm|messenger)\\.hpp|ilm/runtime/.+")
set(parts "ilm/(backends|networks|deliveries|browser)/.+")

set(processor "cpuid\\.h|arm_acle\\.h|asm/hwcap\\.h|sys/auxv\\.h") # which instructions it has
set(only_ilm/protocol "${standard}|${processor}|${vocabulary}|ilm/protocol/.+")
set(only_ilm/backends "${foreign}|${vocabulary}|${detail}|ilm/(backend|effects)\\.hpp|ilm/(backends|browser)/.+")
set(only_ilm/networks "${foreign}|${vocabulary}|${detail}|ilm/network\\.hpp|ilm/(networks|browser)/.+")
set(only_ilm/deliveries "${foreign}|${vocabulary}|${detail}|ilm/(delivery|delivery_context|received)\\.hpp|ilm/deliveries/.+")
set(only_ilm/browser "${foreign}|${vocabulary}|${detail}|ilm/browser/.+")
set(only_ilm/codecs "${foreign}|${vocabulary}|${detail}|ilm/codec\\.hpp|ilm/codecs/.+")
set(never_ilm/runtime "${parts}|ilm/testing/.+")
set(never_ilm/detail "${shell}|${parts}|ilm/testing/.+")
set(never_ilm "ilm/runtime/.+|${parts}|ilm/testing/.+") # the concepts and the vocabulary

# Light headers of which a compiled.hpp has instances compiled.
set(instantiated ilm/ilm.hpp ilm/backends/sqlite.hpp ilm/codecs/bytes.hpp ilm/networks/tcp.hpp ilm/networks/websocket.hpp)

# These tie the house together.
set(exempt_from_folder_rule ilm/ilm.hpp ilm/messenger.hpp ilm/messenger_handle.hpp ilm/delivery_context.hpp
    ilm/compiled.hpp)

# The lists of heavy headers, and the header that defines ILM_INLINE.
set(heavy_lists "ilm/(.+/)?compiled\\.hpp")
set(linkage ilm/detail/compiled.hpp)

file(GLOB_RECURSE headers RELATIVE "${ROOT}/include" "${ROOT}/include/*")
list(FILTER headers EXCLUDE REGEX "^ilm/browser/package/") # no headers: the parts of a package for JavaScript
set(optional_headers "")
foreach(header IN LISTS OPTIONAL_HEADERS)
  file(RELATIVE_PATH header "${ROOT}/include" "${header}")
  list(APPEND optional_headers "${header}")
endforeach()

# read_definitions(<header> <variable of its text>): notes the heavy headers that the header ends in.
macro(read_definitions header text)
  if(NOT ${header} IN_LIST linkage AND ${text} MATCHES "\n[ \t]*#[ \t]*(if|elif)[^\n]*ILM_COMPILED")
    if(${text} MATCHES "\n#ifndef ILM_COMPILED\n((#include <ilm/[^>\n]+>\n)+)#endif\n$")
      string(REGEX MATCHALL "ilm/[^>]+" defined_by_${header} "${CMAKE_MATCH_1}")
    else()
      violation("${header}: a block for ILM_COMPILED holds includes of ours alone, at the end of the header")
    endif()
    if(${text} MATCHES "ILM_COMPILED.*#[ \t]*(if|elif)[^\n]*ILM_COMPILED")
      violation("${header}: more than one block depends on ILM_COMPILED")
    endif()
  endif()
endmacro()

# note_arrow(<header> <included>): for the rules inside a folder, and for those about heavy headers.
macro(note_arrow header included)
  string(REGEX REPLACE "\\.hpp$" "/" included_folder ${included})
  string(FIND ${header} ${included_folder} place)
  if(${included} IN_LIST defined_by_${header})
    list(APPEND definitions ${included})
  else()
    list(APPEND arrows_of_${header} ${included})
    if(${header} MATCHES "^(${heavy_lists})$")
      if(NOT ${included} IN_LIST instantiated)
        list(APPEND listed ${included})
      endif()
    elseif(place EQUAL 0)
      violation("${header} includes ${included}, the entry of its folder")
    endif()
  endif()
endmacro()

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

  file(READ "${ROOT}/include/${header}" text)
  read_definitions(${header} text)
  string(REGEX MATCHALL "(^|\n)[ \t]*#[ \t]*include[^\n]*" lines "${text}")
  foreach(line IN LISTS lines)
    string(STRIP "${line}" line)
    if(NOT line MATCHES "include[ \t]*<([^>]+)>")
      violation("${header}: `${line}` is not written #include <...>")
      continue()
    endif()
    set(included "${CMAKE_MATCH_1}")
    set(arrow "${header} includes ${included}")
    if(EXISTS "${ROOT}/include/${included}")
      note_arrow(${header} ${included})
    endif()

    if(included STREQUAL "asio.hpp")
      violation("${arrow}: include single headers of Asio")
    elseif(included MATCHES "^ilm/" AND NOT EXISTS "${ROOT}/include/${included}")
      violation("${arrow}, which does not exist")
    elseif(included STREQUAL "ilm/messenger.hpp" AND NOT header STREQUAL "ilm/ilm.hpp")
      violation("${arrow}: only ilm/ilm.hpp may")
    elseif(included IN_LIST optional_headers AND NOT header IN_LIST optional_headers)
      violation("${arrow}: a core header includes one of an optional part")
    elseif(included MATCHES "^(nlohmann/.*|sqlite3\\.h|openssl/.*|emscripten([./].*)?)$"
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

# --- inside the folders -------------------------------------------------------------------------

list(REMOVE_ITEM listed ${linkage})
foreach(heavy IN LISTS definitions)
  if(NOT heavy IN_LIST listed)
    violation("${heavy} is compiled once, but no compiled.hpp lists it")
  endif()
endforeach()
foreach(heavy IN LISTS listed)
  if(NOT heavy IN_LIST definitions)
    violation("${heavy} is listed in a compiled.hpp, but no header ends in it")
  endif()
  foreach(header IN LISTS headers)
    if(heavy IN_LIST arrows_of_${header} AND NOT header MATCHES "^(${heavy_lists})$")
      violation("${header} includes ${heavy}, which is compiled once, for ilm::compiled as well")
    endif()
  endforeach()
endforeach()

# A header that includes none of those left is on no cycle: remove such headers until there is none.
set(left ${headers})
set(removed TRUE)
while(removed)
  set(removed "")
  foreach(header IN LISTS left)
    set(leads_on FALSE)
    foreach(included IN LISTS arrows_of_${header})
      if(included IN_LIST left)
        set(leads_on TRUE)
        break()
      endif()
    endforeach()
    if(NOT leads_on)
      list(APPEND removed ${header})
    endif()
  endforeach()
  if(removed)
    list(REMOVE_ITEM left ${removed})
  endif()
endwhile()

# leads_back(<result> <from> <to>): whether the includes of <from>, and theirs, reach <to>.
function(leads_back result from to)
  set(seen "")
  set(next ${from})
  while(next)
    list(POP_FRONT next header)
    if(header STREQUAL to)
      set(${result} TRUE PARENT_SCOPE)
      return()
    endif()
    if(NOT header IN_LIST seen)
      list(APPEND seen ${header})
      list(APPEND next ${arrows_of_${header}})
    endif()
  endwhile()
  set(${result} FALSE PARENT_SCOPE)
endfunction()

foreach(header IN LISTS left)
  foreach(included IN LISTS arrows_of_${header})
    leads_back(cycle ${included} ${header})
    if(cycle)
      violation("${header} includes ${included}, which leads back to it")
    endif()
  endforeach()
endforeach()

# --- the top ------------------------------------------------------------------------------------

set(allowed_at_the_top include tests examples cmake build CMakeLists.txt README.md LICENSE
                       # files that a tool demands there
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
