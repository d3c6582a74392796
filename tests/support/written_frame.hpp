#pragma once

// Writes frames that were read, as this version writes them.

#include <ilm/protocol/frame_writer.hpp>

#include <cstddef>
#include <vector>

namespace test {

inline std::vector<std::byte> written(const ilm::protocol::frame& f, bool checksum) {
  std::vector<std::byte> out;
  ilm::protocol::frame_writer writer(out, f.header, checksum, std::size_t{1} << 24);
  if (f.challenge) writer.challenge(*f.challenge);
  if (f.hello) writer.hello(*f.hello);
  if (f.versions) writer.versions(*f.versions);
  if (f.ack) writer.ack(*f.ack);
  if (f.ping) writer.ping();
  for (const ilm::protocol::data_record& d : f.data) {
    writer.begin_data(d.first, d.before);
    for (const ilm::protocol::data_item& item : d.items) writer.item(item);
  }
  if (f.bye) writer.bye();
  writer.finish();
  return out;
}

}  // namespace test
