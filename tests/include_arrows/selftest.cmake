# A check that never fails checks nothing: each of these wrong includes has to be found, and no right one.
cmake_minimum_required(VERSION 3.25)

# house(): a small one in order, in ${root}.
macro(house)
  set(root "${WORK_DIR}/case")
  file(REMOVE_RECURSE "${root}")
  foreach(existing ilm compiled messenger error message options backend network delivery runtime/loop
                   protocol/peer backends/memory backends/memory/store networks/memory networks/memory/hub
                   networks/memory/queue deliveries/inbox codecs/json browser/page_loop detail/bytes detail/compiled)
    file(WRITE "${root}/include/ilm/${existing}.hpp" "#pragma once\n")
  endforeach()
  file(APPEND "${root}/include/ilm/detail/compiled.hpp" "#ifdef ILM_COMPILED\n#define ILM_INLINE\n#endif\n")
endmacro()

# check(<pass, fail, or a regular expression for the reason of failing> <name of the case>)
function(check outcome case)
  execute_process(
    COMMAND "${CMAKE_COMMAND}" "-DROOT=${root}"
            "-DOPTIONAL_HEADERS=${root}/include/ilm/codecs/json.hpp"
            -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check.cmake"
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output)
  if(outcome STREQUAL "pass" AND NOT status EQUAL 0)
    message(SEND_ERROR "${case} is in order, but: ${output}")
  elseif(NOT outcome STREQUAL "pass" AND status EQUAL 0)
    message(SEND_ERROR "${case} is not in order, and nobody noticed")
  elseif(NOT outcome MATCHES "^(pass|fail)$" AND NOT output MATCHES "${outcome}")
    message(SEND_ERROR "${case} should fail with `${outcome}`, but: ${output}")
  endif()
endfunction()

# expect(<pass|fail> <header> <its include, with brackets or quotes>)
function(expect outcome header include)
  house()
  file(APPEND "${root}/include/${header}" "#include ${include}\n")
  check(${outcome} "${header} with ${include}")
endfunction()

# expect_inside(<outcome> <case> [<header> <lines>]...): `|` ends a line, and <a/b> is an include.
function(expect_inside outcome case)
  house()
  set(arguments ${ARGN})
  while(arguments)
    list(POP_FRONT arguments header text)
    string(REPLACE "|" "\n" text "${text}")
    string(REGEX REPLACE "<([a-z/]+)>" "#include <ilm/\\1.hpp>" text "${text}")
    file(APPEND "${root}/include/ilm/${header}.hpp" "${text}\n")
  endwhile()
  check(${outcome} "${case}")
endfunction()

expect(pass ilm/protocol/peer.hpp <vector>)
expect(pass ilm/protocol/peer.hpp <ilm/error.hpp>)
expect(fail ilm/protocol/peer.hpp <asio/buffer.hpp>)
expect(fail ilm/protocol/peer.hpp <ilm/backend.hpp>)
expect(fail ilm/protocol/peer.hpp <ilm/detail/bytes.hpp>)
expect(fail ilm/protocol/peer.hpp "\"loop.hpp\"")
expect(pass ilm/backends/memory.hpp <asio/buffer.hpp>)
expect(pass ilm/backends/memory.hpp <ilm/backend.hpp>)
expect(pass ilm/backends/memory.hpp <ilm/detail/bytes.hpp>)
expect(fail ilm/backends/memory.hpp <ilm/network.hpp>)
expect(fail ilm/backends/memory.hpp <ilm/protocol/peer.hpp>)
expect(fail ilm/backends/memory.hpp <nlohmann/json.hpp>)
expect(fail ilm/networks/memory.hpp <ilm/runtime/loop.hpp>)
expect(fail ilm/networks/memory.hpp <openssl/hmac.h>)
expect(fail ilm/deliveries/inbox.hpp <ilm/backends/memory.hpp>)
expect(pass ilm/codecs/json.hpp <nlohmann/json.hpp>)
expect(pass ilm/runtime/loop.hpp <ilm/backend.hpp>)
expect(fail ilm/runtime/loop.hpp <ilm/backends/memory.hpp>)
expect(fail ilm/runtime/loop.hpp <ilm/messenger.hpp>)
expect(fail ilm/detail/bytes.hpp <ilm/runtime/loop.hpp>)
expect(fail ilm/error.hpp <ilm/backends/memory.hpp>)
expect(pass ilm/messenger.hpp <ilm/runtime/loop.hpp>)
expect(pass ilm/ilm.hpp <ilm/messenger.hpp>)
expect(fail ilm/ilm.hpp <ilm/codecs/json.hpp>)
expect(fail ilm/ilm.hpp <ilm/nowhere.hpp>)
expect(fail ilm/ilm.hpp <asio.hpp>)
expect(pass ilm/networks/memory.hpp <ilm/browser/page_loop.hpp>)
expect(fail ilm/runtime/loop.hpp <ilm/browser/page_loop.hpp>)
expect(fail ilm/networks/memory.hpp <emscripten.h>)

# Inside a folder.
set(hub networks/memory/hub)
set(queue networks/memory/queue)
set(definitions "#ifndef ILM_COMPILED|<${hub}>|#endif")
expect_inside(pass "an arrow down" networks/memory "<${hub}>" ${hub} "<${queue}>")
expect_inside("the entry of its folder" "a part that includes its entry" ${hub} "<networks/memory>")
expect_inside("leads back" "a header that includes itself" ${hub} "<${hub}>")
expect_inside("leads back" "two headers that include each other" ${hub} "<${queue}>" ${queue} "<${hub}>")
expect_inside("leads back" "a cycle of three" networks/memory "<${hub}>" ${hub} "<${queue}>" ${queue}
              "<networks/memory>")
expect_inside(pass "a light header and its heavy one" ${queue} "${definitions}" ${hub} "<${queue}>"
              compiled "<${hub}>")
expect_inside(pass "an entry and its heavy header" networks/memory "${definitions}" compiled "<${hub}>")
expect_inside("no compiled.hpp lists it" "a heavy header that is not listed" ${queue} "${definitions}"
              ${hub} "<${queue}>")
expect_inside("no header ends in it" "a listed header that nothing ends in" ${hub} "<${queue}>" compiled
              "<${hub}>")
expect_inside(pass "a listed header with instances" networks/tcp "int x" compiled "<networks/tcp>")
expect_inside("for ilm::compiled as well" "a heavy header with a second includer" ${queue}
              "${definitions}" networks/memory "<${hub}>" compiled "<${hub}>")
expect_inside("at the end of the header" "definitions before the end" ${queue} "${definitions}|int x"
              compiled "<${hub}>")
expect_inside("holds includes of ours alone" "definitions with more than includes" ${queue}
              "#ifndef ILM_COMPILED|<${hub}>|int x|#endif" compiled "<${hub}>")
expect_inside("more than one block" "a second block of definitions" ${queue}
              "#ifndef ILM_COMPILED|int x|#endif|${definitions}" compiled "<${hub}>")
expect_inside("the entry of its folder" "a heavy header that includes its entry" ${queue}
              "${definitions}" ${hub} "<${queue}>|<networks/memory>" compiled "<${hub}>")
