// The two clocks, in milliseconds.
#pragma once

#include <cstdint>
#include <ctime>

namespace kfast::client {

/// Now since 1970, as of the last timer tick: no system call, about 5 ns. Every record is stamped
/// with it.
[[nodiscard]] inline std::int64_t wall_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// For time-outs and back-off: never set back.
[[nodiscard]] inline std::int64_t monotonic_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// A point in time to wait for, or never.
class Deadline {
 public:
  /// `timeout_ms` negative: never.
  explicit Deadline(std::int64_t timeout_ms) noexcept
      : at_ms_(timeout_ms < 0 ? kNever : monotonic_ms() + timeout_ms) {}

  [[nodiscard]] bool passed() const noexcept {
    return at_ms_ != kNever && monotonic_ms() >= at_ms_;
  }

  /// Milliseconds for poll(): what is left, at most `cap_ms`; -1 when there is no end and no cap
  /// (negative).
  [[nodiscard]] int poll_ms(std::int64_t cap_ms = -1) const noexcept {
    std::int64_t left = -1;
    if (at_ms_ != kNever) {
      left = at_ms_ - monotonic_ms();
      left = left < 0 ? 0 : left;
    }
    if (cap_ms >= 0 && (left < 0 || cap_ms < left)) {
      left = cap_ms;
    }
    return static_cast<int>(left > kLongestPoll ? kLongestPoll : left);
  }

 private:
  static constexpr std::int64_t kNever = -1;
  static constexpr std::int64_t kLongestPoll = 3'600'000;
  std::int64_t at_ms_;
};

}  // namespace kfast::client
