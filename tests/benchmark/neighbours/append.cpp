// A ceiling: one process that appends 1,000 messages to a file, and syncs it, again and again. No
// message goes anywhere.
//
//   append [--messages N] [--dir DIR]

#include "neighbour.hpp"

int main(int count, char** values) {
  using namespace benchmark;
  settings s(count, values, 1'000'000);
  int file = ::open((s.directory / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  const std::string batch(in_flight * message_size, 'x');
  auto start = clock_type::now();
  for (std::uint64_t i = 0; i < s.messages; i += in_flight) {
    if (::write(file, batch.data(), batch.size()) != static_cast<ssize_t>(batch.size()) ||
        ::fdatasync(file) != 0) {
      give_up("the disk fails");
    }
  }
  print_rate("append and fdatasync (ceiling)", static_cast<double>(s.messages),
             seconds_since(start), "a power cut; in one file, sent nowhere");
}
