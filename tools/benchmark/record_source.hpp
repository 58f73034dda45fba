// What the records consist of: the same for every way of sending.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "measurement.hpp"

namespace kfast::bench {

struct Header {
  std::string_view name;
  std::string_view value;
};

inline constexpr std::size_t kKeyBytes = 16;
inline constexpr std::size_t kDifferentKeys = 1000;
inline constexpr std::array<Header, 2> kHeaders{
    {{"trace-id", "4bf92f3577b34da6"}, {"source", "checkout"}}};

/// Keys and values of a task's records, one after the other. One thread.
class RecordSource {
 public:
  explicit RecordSource(const Task& task)
      : made_(task.made), model_(task.value_bytes, 'v'), value_(model_) {
    for (std::size_t i = 0; task.keys && i < kDifferentKeys; ++i) {
      char key[kKeyBytes + 1];
      std::snprintf(key, sizeof key, "user-%011zu", i * 7919);
      keys_.insert(keys_.end(), key, key + kKeyBytes);
    }
  }

  /// Goes on to the next record's key.
  void next() {
    ++number_;
    at_ = at_ + kKeyBytes < keys_.size() ? at_ + kKeyBytes : 0;
  }

  [[nodiscard]] const char* key() const { return keys_.empty() ? nullptr : keys_.data() + at_; }
  [[nodiscard]] std::size_t key_size() const { return keys_.empty() ? 0 : kKeyBytes; }
  [[nodiscard]] std::size_t value_size() const { return value_.size(); }

  /// The value in a buffer, to be copied from there: ready, or made there now.
  [[nodiscard]] const char* value() {
    if (made_) {
      make(value_.data());
    }
    return value_.data();
  }

  /// Writes the value where it is wanted.
  void make(void* to) {
    std::memcpy(to, model_.data(), model_.size());
    std::memcpy(to, &number_, std::min(sizeof number_, model_.size()));
  }

 private:
  bool made_;
  std::vector<char> model_;
  std::vector<char> value_;
  std::vector<char> keys_;
  std::size_t at_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace kfast::bench
