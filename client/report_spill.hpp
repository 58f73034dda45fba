// Reports that were read out of a d2c ring and not yet by the worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kfast/kfast.h"

namespace kfast::client {

/// A first-in first-out buffer that grows, out of whose middle a report can be taken, too. Used
/// when kfastd is replaced, and for what comes before the report that a kfast_wait waits for. An
/// entry that was taken leaves a hole; room is made by closing holes while half of the buffer or
/// more is free, else by doubling it, so that each entry costs a constant share of it. One thread.
class ReportSpill {
 public:
  ReportSpill() noexcept = default;
  ReportSpill(const ReportSpill&) = delete;
  ReportSpill& operator=(const ReportSpill&) = delete;
  ~ReportSpill() { clear(); }

  [[nodiscard]] std::size_t size() const noexcept { return live_; }

  /// Makes room for one more. False: out of memory; nothing has changed.
  [[nodiscard]] bool reserve_one() noexcept {
    if (end_ < capacity_) {
      return true;
    }
    if (capacity_ != 0 && live_ <= capacity_ / 2) {
      close_holes();
      return true;
    }
    const std::size_t capacity = capacity_ == 0 ? kFirstCapacity : capacity_ * 2;
    void* grown = std::realloc(items_, capacity * sizeof(kfast_report_t));
    if (grown == nullptr) {
      return false;
    }
    items_ = static_cast<kfast_report_t*>(grown);
    capacity_ = capacity;
    return true;
  }

  /// After reserve_one().
  void push(const kfast_report_t& report) noexcept {
    items_[end_++] = report;
    ++live_;
  }

  /// Moves up to `max` reports out, oldest first; frees the memory with the last one.
  std::size_t pop(kfast_report_t* out, std::size_t max) noexcept {
    std::size_t count = 0;
    for (; count < max && first_ < end_; ++first_) {
      if (items_[first_].position != kHole) {
        out[count++] = items_[first_];
      }
    }
    live_ -= count;
    if (live_ == 0 && items_ != nullptr) {
      clear();
    }
    return count;
  }

  /// Moves the report of one record out. False: it is not here.
  [[nodiscard]] bool take(std::int64_t position, kfast_report_t& out) noexcept {
    const std::size_t at = find(position);
    if (at == end_) {
      return false;
    }
    out = items_[at];
    items_[at].position = kHole;
    next_ = at + 1;
    if (--live_ == 0) {
      clear();
    }
    return true;
  }

 private:
  static constexpr std::int64_t kHole = -1;
  static constexpr std::size_t kFirstCapacity = 1024;
  static constexpr std::size_t kFewItems = 16;  // are looked through sooner than an index is made

  /// Where a record's report is, or end_.
  [[nodiscard]] std::size_t find(std::int64_t position) noexcept {
    if (position < 0 || live_ == 0) {
      return end_;
    }
    // Outcomes mostly come in the order of sending, and are waited for in it.
    if (next_ >= first_ && next_ < end_ && items_[next_].position == position) {
      return next_;
    }
    if (end_ - first_ > kFewItems && bring_index_up_to_date()) {
      for (std::size_t slot = slot_of(position); slots_[slot] != 0;
           slot = (slot + 1) & (slot_count_ - 1)) {
        const std::size_t at = slots_[slot] - 1;
        if (at >= first_ && items_[at].position == position) {
          return at;
        }
      }
      return end_;
    }
    // Also without memory for an index: slower, and right.
    for (std::size_t at = first_; at < end_; ++at) {
      if (items_[at].position == position) {
        return at;
      }
    }
    return end_;
  }

  /// A table of where each position stands, at most half full: it is made again when the buffer
  /// has grown or closed its holes, and each entry goes in once between.
  [[nodiscard]] bool bring_index_up_to_date() noexcept {
    if (slot_count_ != capacity_ * 2) {
      void* grown = std::realloc(slots_, capacity_ * 2 * sizeof *slots_);
      if (grown == nullptr) {
        return false;
      }
      slots_ = static_cast<std::uint32_t*>(grown);
      slot_count_ = capacity_ * 2;
      indexed_ = 0;
    }
    if (indexed_ == 0) {
      std::memset(slots_, 0, slot_count_ * sizeof *slots_);
      indexed_ = first_;
    }
    for (; indexed_ < end_; ++indexed_) {
      const std::int64_t position = items_[indexed_].position;
      if (position == kHole) {
        continue;
      }
      std::size_t slot = slot_of(position);
      while (slots_[slot] != 0) {
        slot = (slot + 1) & (slot_count_ - 1);
      }
      slots_[slot] = static_cast<std::uint32_t>(indexed_ + 1);
    }
    return true;
  }

  [[nodiscard]] std::size_t slot_of(std::int64_t position) const noexcept {
    // Frames start at multiples of 8; a multiplier without a pattern spreads what is left.
    const std::uint64_t hash = static_cast<std::uint64_t>(position) / 8 * 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(hash >> 32U) & (slot_count_ - 1);
  }

  void close_holes() noexcept {
    std::size_t to = 0;
    for (std::size_t at = first_; at < end_; ++at) {
      if (items_[at].position != kHole) {
        items_[to++] = items_[at];
      }
    }
    first_ = 0;
    end_ = to;
    next_ = indexed_ = 0;
  }

  void clear() noexcept {
    std::free(items_);
    std::free(slots_);
    items_ = nullptr;
    slots_ = nullptr;
    first_ = end_ = live_ = next_ = indexed_ = 0;
    capacity_ = slot_count_ = 0;
  }

  kfast_report_t* items_ = nullptr;
  std::size_t first_ = 0;
  std::size_t end_ = 0;
  std::size_t live_ = 0;  // those in [first_, end_) that are no holes
  std::size_t capacity_ = 0;
  std::size_t next_ = 0;  // behind the one that was taken last

  std::uint32_t* slots_ = nullptr;  // where a position stands, plus 1; or 0
  std::size_t slot_count_ = 0;
  std::size_t indexed_ = 0;  // what stands before this is in the table
};

}  // namespace kfast::client
