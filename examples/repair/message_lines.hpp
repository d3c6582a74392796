#pragma once

#include "damaged_tables.hpp"
#include "examination.hpp"
#include "files.hpp"
#include "findings.hpp"

#include <ilm/attributes.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <ios>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

using json = nlohmann::ordered_json;

inline std::string base64(std::span<const std::byte> in) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < in.size(); at += 3) {
    std::uint32_t value = 0;
    std::size_t count = std::min<std::size_t>(3, in.size() - at);
    for (std::size_t i = 0; i < 3; ++i) {
      value = value << 8 | (i < count ? std::to_integer<std::uint32_t>(in[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      out += i <= count ? digits[value >> (18 - 6 * i) & 63] : '=';
    }
  }
  return out;
}

/// Under `name` as text, or under `name_base64` if it is no UTF-8.
inline void put_bytes(json& to, const std::string& name, std::span<const std::byte> value) {
  std::string text(reinterpret_cast<const char*>(value.data()), value.size());
  try {
    json(text).dump();
    to[name] = text;
  } catch (const json::exception&) {
    to[name + "_base64"] = base64(value);
  }
}

inline json json_of(ilm::queue which, const message_row& row, const peer_row* p) {
  json line{{"queue", name_of(which)}};
  if (p != nullptr && p->whole) {
    line["peer"] = readable(p->name);
    line["waiting"] = p->waits(which, row.m.index);
  } else {
    line["peer"] = nullptr;
    line["peer_row"] = row.peer();
    if (p != nullptr) line["peer_unchecked"] = readable(p->name);
  }
  line["sequence"] = row.m.sequence;
  line["index"] = row.m.index;
  line["stored_ms"] = row.time;
  put_bytes(line, "contents", row.m.contents.view());
  if (row.m.attributes.empty()) return line;
  if (ilm::attributes::check(row.m.attributes.view())) {
    line["attributes_base64"] = base64(row.m.attributes.view());
    return line;
  }
  ilm::attributes attributes(row.m.attributes);
  if (auto at = attributes.sent_at()) line["sent_us"] = at->time_since_epoch().count();
  for (const ilm::header& h : attributes.headers()) {
    json header{};
    put_bytes(header, "key", std::as_bytes(std::span(h.key)));
    put_bytes(header, "value", h.value.view());
    line["headers"].push_back(header);
  }
  return line;
}

/// Lines in a temporary file, to be copied in order of their places.
class message_lines {
 public:
  explicit message_lines(const fs::path& file)
      : file_(file.string()),
        spool_(file_, std::ios::binary | std::ios::in | std::ios::out | std::ios::trunc) {}

  void add(const message_place& place, const std::string& line) {
    lines_.emplace(place, std::pair(static_cast<std::streamoff>(end_), line.size()));
    spool_ << line;
    end_ += line.size();
  }

  /// Under `name`, complete and synced.
  void publish_as(const fs::path& name) {
    fs::path part = name.string() + ".part";
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    std::string line;
    for (const auto& [place, where] : lines_) {
      line.resize(where.second);
      spool_.seekg(where.first);
      spool_.read(line.data(), static_cast<std::streamsize>(line.size()));
      out << line << '\n';
    }
    out.close();
    if (!spool_ || !out) throw std::runtime_error(part.string() + " cannot be written");
    publish(part, name);
  }

 private:
  std::string file_;
  std::fstream spool_;
  std::size_t end_ = 0;
  std::map<message_place, std::pair<std::streamoff, std::size_t>> lines_;
};
