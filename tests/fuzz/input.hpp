// A fuzz input as a stream of small numbers; past its end everything is zero.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace kfast::fuzz {

/// Ends the process with the broken promise's text, which libFuzzer keeps together with the input.
inline void promise(bool kept, const char* text) {
  if (!kept) {
    std::fprintf(stderr, "broken promise: %s\n", text);
    std::abort();
  }
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(data, size) {}

  [[nodiscard]] bool empty() const { return left_.empty(); }

  template <class T>
  T next() {
    T value{};
    const std::span<const std::uint8_t> bytes = take(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::uint8_t byte() { return next<std::uint8_t>(); }

  /// Up to `size` bytes, as many as there are.
  std::span<const std::uint8_t> take(std::size_t size) {
    const auto bytes = left_.first(std::min(size, left_.size()));
    left_ = left_.subspan(bytes.size());
    return bytes;
  }

 private:
  std::span<const std::uint8_t> left_;
};

}  // namespace kfast::fuzz
