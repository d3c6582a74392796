# A check that never fails checks nothing: each of these functions has to be found, and no right one.
#   cmake -DWORK_DIR=<scratch folder> -P selftest.cmake
cmake_minimum_required(VERSION 3.25)

set(root "${WORK_DIR}/case")

# expect(<pass|line or text of the finding> <text>): `@` stands for a semicolon, which ends an item of a list.
function(expect outcome text)
  string(REPLACE "@" ";" text "namespace ilm {\nclass c {\n${text}\n}@\n}\n")
  file(REMOVE_RECURSE "${root}")
  file(WRITE "${root}/include/ilm/a.hpp" "${text}")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" "-DROOT=${root}" -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check.cmake"
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output)
  if(outcome STREQUAL "pass" AND NOT status EQUAL 0)
    message(SEND_ERROR "This is right:\n${text}\nbut: ${output}")
  elseif(NOT outcome STREQUAL "pass" AND NOT output MATCHES "a.hpp: ?${outcome}\n")
    message(SEND_ERROR "Wrong (${outcome}):\n${text}\nbut the check says: ${output}")
  endif()
endfunction()

set(try "try {\nco_await x()@\n} catch (...) {\n}")
set(plain_try "try {\nx()@\n} catch (...) {\n}")

expect(3 "task f() { for (int i = 0@ i < 3@ ++i) { ${try} } }")
expect(4 "task f() {\nwhile (g(i)) { ${try} } }")
expect(4 "task f() {\ndo { ${try} } while (g(i))@ }")
expect(3 "task f() { for (int i : {1, 2}) ${try} }")
expect(3 "task f() { while (a) if (b) ${try} }")
expect(3 "task f() { while (a) { if (b) { ${try} } } }")
expect(3 "task f() { while (a) ${plain_try} co_return@ }")
expect(5 "template <class T,\nclass U>\ntask f() { while (a) { ${plain_try} } co_await x()@ }")
expect(3 "task f() { g('\"', \"\\\" } // \", [] { while (a) { ${try} } })@ }")
expect("the check does not find the end of a block" "task f() {\n#if A\nif (a) {\n#else\nif (b) {\n#endif\n}\n${try} }")
expect(3 "f() : a_{1}, b_(2) { run([] { for (@@) { ${try} } })@ }")
expect(3 "struct d { task f() { while (a) { ${try} } } }@")

expect(pass "task f() { ${try} }")
expect(pass "task f() { while (a) { co_await x()@ } ${try} }")
expect(pass "task f() { while (a) co_await x()@ ${try} }")
expect(pass "task f() { do { x()@ } while (a)@ ${try} }")
expect(pass "task f() { for (int i : {1, 2}) x()@ ${try} }")
expect(pass "void f() { while (a) { ${plain_try} } }\ntask g() { co_return@ }")
expect(pass "task f() { co_return@ }\nvoid g() { while (a) { ${plain_try} } }")
expect(pass "// while (a) {\ntask f() { const char* s = \"while (a) {\"@ ${try} }")
expect(pass "task f() { for (int i = 0@ i < 1'000@ ++i) x(1'000)@ ${try} }")
expect(pass "task f() { forget(whiles, a_try)@ ${try} }")
