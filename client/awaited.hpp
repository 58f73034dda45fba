// The records whose reports calls wait for at this moment.
#pragma once

#include <cstdint>

#include "kfast/kfast.h"

namespace kfast::client {

/// One wait, on the stack of its call.
struct Awaited {
  explicit Awaited(std::int64_t record) noexcept : position(record) {}

  std::int64_t position;
  bool here = false;  // `report` is filled
  kfast_report_t report{};
  Awaited* next = nullptr;
};

/// All waits of a producer: one, or at most as many as there are threads that use it. Whoever reads
/// a report that is waited for, by whatever call, gives it to the wait. One thread, or under the
/// producer's lock.
class AwaitedList {
 public:
  void add(Awaited& one) noexcept {
    one.next = first_;
    first_ = &one;
  }

  void remove(const Awaited& one) noexcept {
    Awaited** at = &first_;
    while (*at != &one) {
      at = &(*at)->next;
    }
    *at = one.next;
  }

  /// True: somebody waits for it and has it now.
  [[nodiscard]] bool give(const kfast_report_t& report) noexcept {
    for (Awaited* at = first_; at != nullptr; at = at->next) {
      if (at->position == report.position && !at->here) {
        at->report = report;
        at->here = true;
        return true;
      }
    }
    return false;
  }

 private:
  Awaited* first_ = nullptr;
};

}  // namespace kfast::client
