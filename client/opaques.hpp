// What the worker wants back with a record's report: private to the process, kfastd knows nothing
// of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace kfast::client {

/// Pairs of position and opaque in the order of sending. Positions only grow, so a report finds its
/// pair behind the one that was found last, or else by halving; it does not matter how often the
/// record ring has gone round meanwhile. Pairs that are done leave at the front, and where one
/// stays there for long, those behind it leave when the buffer is full. Records without an opaque
/// are not in it. One thread.
class Opaques {
 public:
  Opaques() noexcept = default;
  Opaques(const Opaques&) = delete;
  Opaques& operator=(const Opaques&) = delete;
  ~Opaques() { std::free(entries_); }

  [[nodiscard]] bool empty() const noexcept { return live_ == 0; }

  /// Makes room for one more, before its record is accepted. False: out of memory; nothing has
  /// changed.
  [[nodiscard]] bool reserve_one() noexcept {
    if (end_ < capacity_) {
      return true;
    }
    if (capacity_ != 0 && live_ <= capacity_ / 2) {
      drop_done();
      return true;
    }
    const std::size_t capacity = capacity_ == 0 ? kFirstCapacity : capacity_ * 2;
    void* grown = std::realloc(entries_, capacity * sizeof(Entry));
    if (grown == nullptr) {
      return false;
    }
    entries_ = static_cast<Entry*>(grown);
    capacity_ = capacity;
    return true;
  }

  /// After reserve_one(): `position` is behind all others, `opaque` not null.
  void push(std::int64_t position, void* opaque) noexcept {
    entries_[end_++] = {position, opaque};
    ++live_;
  }

  /// The opaque of a record, once; null when it has none.
  void* take(std::int64_t position) noexcept {
    if (live_ == 0) {
      return nullptr;
    }
    std::size_t at = next_;
    if (at < first_ || at >= end_ || entries_[at].position != position) {
      at = find(position);
      if (at == end_ || entries_[at].position != position) {
        return nullptr;
      }
    }
    void* opaque = entries_[at].opaque;
    if (opaque == nullptr) {
      return nullptr;
    }
    entries_[at].opaque = nullptr;
    next_ = at + 1;
    if (--live_ == 0) {
      first_ = end_ = next_ = 0;
    }
    while (first_ < end_ && entries_[first_].opaque == nullptr) {
      ++first_;
    }
    return opaque;
  }

 private:
  struct Entry {
    std::int64_t position;
    void* opaque;  // null: done
  };
  static constexpr std::size_t kFirstCapacity = 256;

  /// The first entry that is not before `position`.
  [[nodiscard]] std::size_t find(std::int64_t position) const noexcept {
    std::size_t low = first_;
    std::size_t high = end_;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (entries_[middle].position < position) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  void drop_done() noexcept {
    std::size_t to = 0;
    for (std::size_t at = first_; at < end_; ++at) {
      if (entries_[at].opaque != nullptr) {
        entries_[to++] = entries_[at];
      }
    }
    first_ = next_ = 0;
    end_ = to;
  }

  Entry* entries_ = nullptr;
  std::size_t first_ = 0;
  std::size_t end_ = 0;
  std::size_t live_ = 0;
  std::size_t capacity_ = 0;
  std::size_t next_ = 0;  // behind the one that was found last
};

}  // namespace kfast::client
