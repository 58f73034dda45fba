#include "topics.hpp"

#include <bit>
#include <cstddef>
#include <cstring>

#include "kfast/kfast.h"

namespace kfast::client {
namespace {

/// The length of a legal topic name, or 0.
std::size_t legal_size(const char* name) noexcept {
  std::size_t size = 0;
  for (; name[size] != '\0'; ++size) {
    const char c = name[size];
    const bool legal = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    if (!legal || size == ipc::kMaxTopicName) {
      return 0;
    }
  }
  return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0 ? 0 : size;
}

/// FNV-1a.
std::uint32_t hash(const char* name, std::size_t size) noexcept {
  std::uint32_t value = 2166136261U;
  for (std::size_t i = 0; i < size; ++i) {
    value = (value ^ static_cast<unsigned char>(name[i])) * 16777619U;
  }
  return value;
}

}  // namespace

bool Topics::open(ipc::TopicEntry* table, std::uint32_t capacity,
                  std::atomic<std::uint32_t>& count) noexcept {
  const std::uint32_t slots = std::bit_ceil(capacity * 2);
  index_ = Mapping::anonymous(slots * sizeof(std::uint32_t));
  table_ = table;
  published_ = &count;
  capacity_ = capacity;
  mask_ = slots - 1;
  return index_.valid();
}

std::int32_t Topics::number_of(const char* name) noexcept {
  const std::size_t size = legal_size(name);
  if (size == 0) {
    return KFAST_ERR_TOPIC_NAME;
  }
  auto* slots = reinterpret_cast<std::uint32_t*>(index_.data());
  std::uint32_t slot = hash(name, size) & mask_;
  for (; slots[slot] != 0; slot = (slot + 1) & mask_) {
    const ipc::TopicEntry& entry = table_[slots[slot] - 1];
    if (entry.size == size && std::memcmp(entry.name, name, size) == 0) {
      return static_cast<std::int32_t>(slots[slot] - 1);
    }
  }
  if (count_ == capacity_) {
    return KFAST_ERR_TOO_MANY_TOPICS;
  }
  ipc::TopicEntry& entry = table_[count_];
  entry.size = static_cast<std::uint16_t>(size);
  std::memcpy(entry.name, name, size + 1);
  slots[slot] = ++count_;
  // Pairs with the daemon's acquire load of topic_count: the entry is there before the count covers
  // it.
  published_->store(count_, std::memory_order_release);
  return static_cast<std::int32_t>(count_ - 1);
}

const char* Topics::name_of(std::int32_t topic) const noexcept {
  return topic < 0 || static_cast<std::uint32_t>(topic) >= count_ ? nullptr : table_[topic].name;
}

}  // namespace kfast::client
