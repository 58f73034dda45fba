// Times of single calls: the clock, and percentiles.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <vector>

namespace kfast::bench {

[[nodiscard]] inline std::uint64_t now_ns(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(t.tv_nsec);
}

/// `share` from 0 to 1. Reorders the samples; 0 when there are none.
[[nodiscard]] inline double percentile(std::vector<std::uint32_t>& samples, double share) {
  if (samples.empty()) {
    return 0;
  }
  const auto at = samples.begin() +
                  static_cast<std::ptrdiff_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), at, samples.end());
  return *at;
}

/// The middle one of a figure of several runs; 0 when there are none.
template <typename Run>
[[nodiscard]] double median_of(const std::vector<Run>& runs, double Run::*figure) {
  std::vector<double> values;
  for (const Run& run : runs) {
    values.push_back(run.*figure);
  }
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

/// Sleeps until a time of CLOCK_MONOTONIC; returns at once when that is over.
inline void sleep_until_ns(std::uint64_t due) {
  if (now_ns(CLOCK_MONOTONIC) < due) {
    const timespec at{static_cast<time_t>(due / 1'000'000'000U),
                      static_cast<long>(due % 1'000'000'000U)};
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
  }
}

}  // namespace kfast::bench
