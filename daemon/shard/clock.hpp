// The shard's clocks.
#pragma once

#include <cstdint>
#include <ctime>

namespace kfast::daemon::shard {

[[nodiscard]] inline std::uint64_t now_ns(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(t.tv_nsec);
}

[[nodiscard]] inline std::int64_t now_ms(clockid_t clock) {
  return static_cast<std::int64_t>(now_ns(clock) / 1'000'000U);
}

}  // namespace kfast::daemon::shard
