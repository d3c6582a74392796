# ilm_asio_workarounds(<variable> <version of Asio>): the compile definitions that this Asio needs.
# Used for the build tree and, installed, by the package config.
function(ilm_asio_workarounds variable asio_version)
  set(definitions "")
  # Before 1.26, Asio takes clang to have the coroutines TS or none: C++20's have to be pointed out.
  if(asio_version AND asio_version VERSION_LESS 1.26)
    set(definitions "$<$<CXX_COMPILER_ID:Clang,AppleClang>:ASIO_HAS_CO_AWAIT=1>")
  endif()
  set(${variable} "${definitions}" PARENT_SCOPE)
endfunction()
