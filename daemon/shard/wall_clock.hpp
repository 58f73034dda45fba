// Notices when the wall clock was set. Pure arithmetic, no system call.
#pragma once

#include <cstdint>
#include <optional>

namespace kfast::daemon::shard {

/// Compares the wall clock with the monotonic one from reading to reading. Slewing moves both, so
/// they part only where the wall clock is set, or where the host slept.
class WallClock {
 public:
  struct Step {
    std::int64_t old_now_ms = 0;  // what the wall clock would say now without the step
    std::int64_t by_ms = 0;       // negative: back
  };

  /// One reading of both clocks, in milliseconds. The step since the last one, if it is more than
  /// readings that were not taken at the same instant explain.
  [[nodiscard]] std::optional<Step> read(std::int64_t wall_ms, std::int64_t monotonic_ms) {
    const std::int64_t ahead = wall_ms - monotonic_ms;
    const std::int64_t by = ahead - ahead_.value_or(ahead);
    now_ms_ = wall_ms;
    ahead_ = ahead;
    if (by >= -kNoise && by <= kNoise) {
      return std::nullopt;
    }
    return Step{wall_ms - by, by};
  }

  /// The wall time of the last reading.
  [[nodiscard]] std::int64_t now_ms() const { return now_ms_; }

 private:
  static constexpr std::int64_t kNoise = 1000;

  std::int64_t now_ms_ = 0;
  std::optional<std::int64_t> ahead_;
};

}  // namespace kfast::daemon::shard
