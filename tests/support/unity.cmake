# ilm_unite(<target> <source>...): up to eight of the sources are one for the compiler. It compiles the library's
# templates once for all of them, in less than half of the time. So names in their anonymous namespaces have to
# differ. Files over TCP are not put together with those of the simulated world: both worlds use the same names.
# Nor are files that give such names a meaning of their own.
option(ILM_UNITE_TESTS "Compile several files of the scenario tests at once" OFF)

function(ilm_unite target)
  set(alone removed_peers threads throwing)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  # A name of one file may stand before a local one of another. As a library's, the option comes last.
  if(NOT TARGET ilm_united)
    add_library(ilm_united INTERFACE)
    target_compile_options(ilm_united INTERFACE -Wno-shadow)
  endif()
  target_link_libraries(${target} PRIVATE ilm_united)
  foreach(source IN LISTS ARGN)
    get_filename_component(name "${source}" NAME_WE)
    if(name IN_LIST alone)
      continue()
    endif()
    set(group world)
    if(name MATCHES "^tcp_")
      set(group tcp)
    endif()
    list(APPEND ${group} "${source}")
    list(LENGTH ${group} count)
    math(EXPR part "(${count} - 1) / 8")
    set_source_files_properties("${source}" PROPERTIES UNITY_GROUP ${group}_${part})
  endforeach()
endfunction()
