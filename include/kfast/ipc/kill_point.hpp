// Named places at which a process can be told to die, for tests that kill at every step.
//
// Only in builds with KFAST_KILL_POINTS; in all others the macros are nothing, and no name of a
// point is in any binary. Read from the environment when the program or library is loaded:
//   KFAST_KILL_AT=NAME:N   kill -9 of this process when it passes that point for the N-th time
//   KFAST_BREAK=RULE       breaks one rule on purpose, so that a test can show that it would notice
#pragma once

#if KFAST_KILL_POINTS

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kfast::ipc {

inline constexpr const char* kKillPoints[] = {
#define KFAST_KILL_POINT_NAME(name, after) name,
#include "kfast/ipc/kill_points.def"
#undef KFAST_KILL_POINT_NAME
};
inline constexpr std::size_t kKillPointCount = sizeof kKillPoints / sizeof kKillPoints[0];

/// The rules that KFAST_BREAK can break.
inline constexpr const char* kBreakableRules[] = {"head_at_handover", "report_before_done"};

namespace kill_point_detail {

constexpr bool same(const char* a, const char* b) noexcept {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

void not_in_the_list();  // not constexpr, so that calling it in a constant does not compile

template <std::size_t N>
consteval std::size_t number_in(const char* const (&list)[N], const char* name) {
  for (std::size_t i = 0; i < N; ++i) {
    if (same(list[i], name)) {
      return i;
    }
  }
  not_in_the_list();
  return N;
}

/// A misspelt name would be a test that proves nothing.
[[noreturn]] inline void refuse(const char* variable, const char* value) noexcept {
  std::fprintf(stderr, "kfast: %s=%s names nothing that this build has\n", variable, value);
  std::abort();
}

/// What the environment chose; `left` counts the passings down.
struct KillAt {
  std::size_t number = kKillPointCount;
  std::atomic<long> left{0};

  KillAt() noexcept {
    const char* value = std::getenv("KFAST_KILL_AT");
    if (value == nullptr || *value == '\0') {
      return;
    }
    const char* colon = std::strrchr(value, ':');
    const std::size_t size =
        colon == nullptr ? std::strlen(value) : static_cast<std::size_t>(colon - value);
    for (std::size_t i = 0; i < kKillPointCount; ++i) {
      if (std::strlen(kKillPoints[i]) == size && std::memcmp(kKillPoints[i], value, size) == 0) {
        number = i;
      }
    }
    left = colon == nullptr ? 1 : std::strtol(colon + 1, nullptr, 10);
    if (number == kKillPointCount || left < 1) {
      refuse("KFAST_KILL_AT", value);
    }
  }
};

struct Broken {
  bool rules[sizeof kBreakableRules / sizeof kBreakableRules[0]] = {};

  Broken() noexcept {
    const char* value = std::getenv("KFAST_BREAK");
    if (value == nullptr || *value == '\0') {
      return;
    }
    bool found = false;
    for (std::size_t i = 0; i < sizeof rules; ++i) {
      rules[i] = same(kBreakableRules[i], value);
      found = found || rules[i];
    }
    if (!found) {
      refuse("KFAST_BREAK", value);
    }
  }
};

inline KillAt kill_at;
inline const Broken broken;

inline void pass(std::size_t number) noexcept {
  if (number == kill_at.number && kill_at.left.fetch_sub(1, std::memory_order_relaxed) == 1) {
    static_cast<void>(::kill(::getpid(), SIGKILL));
    for (;;) {
      ::pause();  // another thread may be the one that takes the signal: nothing happens after it
    }
  }
}

}  // namespace kill_point_detail
}  // namespace kfast::ipc

#define KFAST_KILL_POINT(name)           \
  ::kfast::ipc::kill_point_detail::pass( \
      ::kfast::ipc::kill_point_detail::number_in(::kfast::ipc::kKillPoints, name))
#define KFAST_BROKEN(rule)                 \
  (::kfast::ipc::kill_point_detail::broken \
       .rules[::kfast::ipc::kill_point_detail::number_in(::kfast::ipc::kBreakableRules, rule)])

#else

#define KFAST_KILL_POINT(name) static_cast<void>(0)
#define KFAST_BROKEN(rule) false

#endif
