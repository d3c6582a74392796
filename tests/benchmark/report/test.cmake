# Makes tables and charts of what a run printed (sample.txt), and looks at them.
#   cmake -DREPORT=<benchmark_report> -DWORK=<directory> -P test.cmake
cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE "${WORK}")
file(MAKE_DIRECTORY "${WORK}")
file(WRITE "${WORK}/page.md" "before\n<!-- figures: side_by_side -->\nold\n<!-- end -->\n"
                             "between\n<!-- figures: unknown -->\nkept\n<!-- end -->\nafter\n")
execute_process(COMMAND "${REPORT}" "${CMAKE_CURRENT_LIST_DIR}/sample.txt" "${WORK}" "${WORK}/page.md"
                RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "report failed: ${status}")
endif()

set(wrong "")
# expect(<file> <text>): the text is in the file.
function(expect file text)
  file(READ "${WORK}/${file}" content)
  string(FIND "${content}" "${text}" at)
  if(at EQUAL -1)
    string(APPEND wrong "  ${file} has no: ${text}\n")
    set(wrong "${wrong}" PARENT_SCOPE)
  endif()
endfunction()

# The median of 300,000, 340,000 and 380,000; a third of that; and a note.
expect(side_by_side.md "| ILM, media | 340,000 | 300,000 to 380,000 | 1x | a power cut |")
expect(side_by_side.md "| Redis Streams, appendfsync always | 113,000 | 113,000 to 113,000 | 3.01x | a power cut |")
expect(side_by_side.svg "340 k/s")
expect(side_by_side.svg "survives a power cut")
expect(side_by_side.svg "2 cores, a sync of 4 KiB took 150 us<")
expect(side_by_side.svg "prefers-color-scheme:dark")
expect(sizes.svg "64 KiB")
expect(sizes.md "| in memory, 1,000 senders | 900,000 | 21,000 |")
expect(latencies.md "| TCP, SQLite os, 100 B | 180 / 420 / 900 |")
expect(backlog.svg "queue, ns a message")
expect(backlog.md "| open, us | 60 | 75 |")
expect(machine.md "2 cores, a sync of 4 KiB took 150 us (120 to 190) in the same run.")
expect(page.md "before\n<!-- figures: side_by_side -->\n\n| | messages/s |")
expect(page.md "|\n\n<!-- end -->\nbetween\n<!-- figures: unknown -->\nkept\n<!-- end -->\nafter\n")
file(READ "${WORK}/page.md" page)
if(page MATCHES "old")
  string(APPEND wrong "  page.md still has what stood there before\n")
endif()
if(wrong)
  message(FATAL_ERROR "\n${wrong}")
endif()
