#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// An immutable string of bytes. Copies share the storage, so a message is copied once on its way
/// from the application to the store, the window and back. Safe to share between threads.
class bytes {
 public:
  bytes() = default;

  /// Copies `from`.
  explicit bytes(std::span<const std::byte> from) : size_(from.size()) {
    if (from.empty()) return;
    auto storage = std::make_shared_for_overwrite<std::byte[]>(from.size());
    std::memcpy(storage.get(), from.data(), from.size());
    data_ = std::move(storage);
  }
  explicit bytes(std::string_view text) : bytes(std::as_bytes(std::span(text))) {}

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::span<const std::byte> view() const noexcept { return {data_.get(), size_}; }
  std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(data_.get()), size_};
  }

  friend bool operator==(const bytes& a, const bytes& b) noexcept { return a.text() == b.text(); }

 private:
  std::shared_ptr<const std::byte[]> data_;
  std::size_t size_ = 0;
};

/// A type's form as bytes: `static void encode(const T&, std::vector<std::byte>& out)` appends,
/// `static T decode(std::span<const std::byte>)` throws std::system_error with
/// error::undecodable_contents where the bytes are no T. ilm/codecs/ has them for byte strings,
/// text, integers and (opt-in) all that nlohmann/json can hold; specialise it for other types.
template <class T>
struct codec;

template <class T>
concept encodable = requires(const T& value, std::vector<std::byte>& out,
                             std::span<const std::byte> in) {
  codec<T>::encode(value, out);
  { codec<T>::decode(in) } -> std::same_as<T>;
};

}  // namespace ilm::inline v0
