# A check that never fails checks nothing: each of these trees has to be found, and no right one.
#   cmake -DWORK_DIR=<scratch folder> -P selftest.cmake
cmake_minimum_required(VERSION 3.25)

set(root "${WORK_DIR}/case")
string(REPEAT "The sender sends a message. " 100 plain) # 500 words

# expect(<pass|text of the finding> <file> <text>)
function(expect outcome file text)
  file(REMOVE_RECURSE "${root}")
  file(WRITE "${root}/README.md" "# Title\n\n${plain}\n")
  file(WRITE "${root}/include/ilm/a.hpp" "// ${plain}\n// ${plain}\n")
  file(WRITE "${root}/${file}" "${text}")
  execute_process(
    COMMAND "${CMAKE_COMMAND}" "-DROOT=${root}" -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/check.cmake"
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE output)
  if(outcome STREQUAL "pass" AND NOT status EQUAL 0)
    message(SEND_ERROR "${file} is right:\n${text}\nbut: ${output}")
  elseif(NOT outcome STREQUAL "pass" AND NOT output MATCHES "${outcome}")
    message(SEND_ERROR "${file} is wrong (${outcome}):\n${text}\nbut the check says: ${output}")
  endif()
endfunction()

expect(pass include/ilm/b.hpp "// What is one, who is another.\n")
expect(pass include/ilm/b.hpp "const char* text = \"what who whom what\";\n")
expect("5 of what, who and whom in [0-9]+ words of comments" include/ilm/b.hpp
       "// What comes is for whom?\n/// Who asks for what is\nint a;  // what it says\n")
expect("4 include/ilm/b.hpp" include/ilm/b.hpp "// What what what what\n")
expect("words of comments" cmake/b.cmake "# What comes from whom is what it is\nset(a b) # what who\n")
expect("words of pages" README.md "What comes is what it is.\n")
expect(pass README.md "`what what what`\n")
expect("b.hpp says minted: say new_incarnation" include/ilm/b.hpp "int minted = 0;\n")
expect("b.cpp says tie_window" tests/b.cpp "call(tie_window);\n")
expect("b.cpp says hosted_" examples/b.cpp "if (!hosted_) return;\n")
expect("README.md says mint: say" README.md "${plain} Stores mint numbers. ${plain}\n")
expect(pass include/ilm/b.hpp "int unminted = 0, mint_condition = 0;\n")
expect("b.cpp has a semicolon in a title: one; two" tests/b.cpp "TEST_CASE(\"one; two\") {\n")
expect("b.cpp has a semicolon in a title: two; three" tests/b.cpp
       "TEST_CASE_METHOD(f,\n    \"one \"\n    \"two; three\", \"[tag]\") {\n")
expect(pass tests/b.cpp "TEST_CASE(\"one, two\", \"[tag]\") {\n  call(\"three\"); // \"\n")
