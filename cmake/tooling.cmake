# Targets `format`, `format-check` and `tidy`: where the tools are missing, they say so.

file(GLOB_RECURSE ilm_own_files CONFIGURE_DEPENDS
     include/*.hpp tests/*.hpp tests/*.cpp examples/*.hpp examples/*.cpp)
set(ilm_own_sources ${ilm_own_files})
list(FILTER ilm_own_sources INCLUDE REGEX "\\.cpp$")
# Not in a build's compile commands, or not meant to compile.
list(FILTER ilm_own_sources EXCLUDE REGEX "/tests/(compile_fail|consume|support)/")

# ilm_tool_target(<target> <tool's variable> <tool's name> <argument>...)
function(ilm_tool_target target variable name)
  if(${variable})
    add_custom_target(
      ${target}
      COMMAND "${${variable}}" ${ARGN}
      WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
      COMMAND_EXPAND_LISTS VERBATIM)
  else()
    add_custom_target(
      ${target} COMMAND "${CMAKE_COMMAND}" -E echo "${name} is not installed: nothing done" VERBATIM)
  endif()
endfunction()

# The formatting is clang-format 14's, Debian 12's: later ones differ in details.
find_program(ILM_CLANG_FORMAT NAMES clang-format-14 clang-format)
find_program(ILM_RUN_CLANG_TIDY NAMES run-clang-tidy run-clang-tidy-14)
mark_as_advanced(ILM_CLANG_FORMAT ILM_RUN_CLANG_TIDY)

if(ilm_own_files)
  ilm_tool_target(format ILM_CLANG_FORMAT clang-format -i ${ilm_own_files})
  ilm_tool_target(format-check ILM_CLANG_FORMAT clang-format --dry-run --Werror ${ilm_own_files})
endif()
if(ilm_own_sources)
  # Best in the build tree of the preset `clang`: it has no precompiled header of another compiler's.
  ilm_tool_target(tidy ILM_RUN_CLANG_TIDY run-clang-tidy -quiet -p "${PROJECT_BINARY_DIR}"
                  ${ilm_own_sources})
endif()
