// Reports that were read out of a d2c ring before it was given up, and not yet by the worker.
#pragma once

#include <cstddef>
#include <cstdlib>

#include "kfast/kfast.h"

namespace kfast::client {

/// A first-in first-out buffer that grows. Used only when kfastd is replaced. One thread.
class ReportSpill {
 public:
  ReportSpill() noexcept = default;
  ReportSpill(const ReportSpill&) = delete;
  ReportSpill& operator=(const ReportSpill&) = delete;
  ~ReportSpill() { std::free(items_); }

  [[nodiscard]] std::size_t size() const noexcept { return end_ - first_; }

  /// Makes room for one more. False: out of memory.
  [[nodiscard]] bool reserve_one() noexcept {
    if (end_ < capacity_) {
      return true;
    }
    const std::size_t capacity = capacity_ == 0 ? 1024 : capacity_ * 2;
    void* grown = std::realloc(items_, capacity * sizeof(kfast_report_t));
    if (grown == nullptr) {
      return false;
    }
    items_ = static_cast<kfast_report_t*>(grown);
    capacity_ = capacity;
    return true;
  }

  /// After reserve_one().
  void push(const kfast_report_t& report) noexcept { items_[end_++] = report; }

  /// Moves up to `max` reports out; frees the memory with the last one.
  std::size_t pop(kfast_report_t* out, std::size_t max) noexcept {
    std::size_t count = 0;
    while (count < max && first_ < end_) {
      out[count++] = items_[first_++];
    }
    if (first_ == end_ && items_ != nullptr) {
      std::free(items_);
      items_ = nullptr;
      first_ = end_ = capacity_ = 0;
    }
    return count;
  }

 private:
  kfast_report_t* items_ = nullptr;
  std::size_t first_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace kfast::client
