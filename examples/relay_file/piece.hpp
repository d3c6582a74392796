#pragma once

#include <ilm/codecs/bytes.hpp>
#include <ilm/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <vector>

/// A part of a file, or, without data, the end after the last part.
struct piece {
  std::string name;            ///< of the file, without directories
  std::uint64_t total = 0;     ///< the size of the file
  std::uint64_t offset = 0;    ///< where the data belongs
  std::uint64_t checksum = 0;  ///< of the whole file, after the last piece
  std::string data;
};

template <>
struct ilm::codec<piece> {
  static void encode(const piece& p, std::vector<std::byte>& out) {
    for (std::uint64_t number : {p.total, p.offset, p.checksum, std::uint64_t{p.name.size()}}) {
      codec<std::uint64_t>::encode(number, out);
    }
    codec<std::string>::encode(p.name, out);
    codec<std::string>::encode(p.data, out);
  }
  static piece decode(std::span<const std::byte> in) {
    auto take = [&in](std::size_t size) {
      if (in.size() < size) throw std::system_error(error::undecodable_contents);
      std::span<const std::byte> taken = in.first(size);
      in = in.subspan(size);
      return taken;
    };
    piece p;
    std::uint64_t name_size = 0;
    for (std::uint64_t* number : {&p.total, &p.offset, &p.checksum, &name_size}) {
      *number = codec<std::uint64_t>::decode(take(8));
    }
    p.name = codec<std::string>::decode(take(static_cast<std::size_t>(name_size)));
    p.data = codec<std::string>::decode(in);
    return p;
  }
};
