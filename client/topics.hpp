// The channel's topics: the append-only table in c2d, and a private index over it.
#pragma once

#include <atomic>
#include <cstdint>

#include "kfast/ipc/layout.hpp"
#include "mapping.hpp"

namespace kfast::client {

/// Numbers topics in the order in which they are first asked for. One thread.
class Topics {
 public:
  /// `table` has room for `capacity` entries and, as `count`, lies in the c2d segment. False: out
  /// of memory.
  [[nodiscard]] bool open(ipc::TopicEntry* table, std::uint32_t capacity,
                          std::atomic<std::uint32_t>& count) noexcept;

  /// The number of `name`, which is added when it is new; KFAST_ERR_TOPIC_NAME or
  /// KFAST_ERR_TOO_MANY_TOPICS.
  [[nodiscard]] std::int32_t number_of(const char* name) noexcept;

  /// NULL when there is no such topic.
  [[nodiscard]] const char* name_of(std::int32_t topic) const noexcept;

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }

 private:
  ipc::TopicEntry* table_ = nullptr;
  std::atomic<std::uint32_t>* published_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t mask_ = 0;
  Mapping index_;  // open addressing: topic number + 1, or 0; at most half full
};

}  // namespace kfast::client
