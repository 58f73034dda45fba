// Asking the processor for memory before it is needed.
#pragma once

#include <cstddef>

namespace kfast::client {

/// What one fetch brings: a line of the processor's cache, in bytes.
inline constexpr std::size_t kFetchBytes = 64;

/// Begins to bring the line at `at` into this processor's cache, to be written. Waits for nothing
/// and cannot fault, wherever `at` points.
[[gnu::always_inline]] inline void fetch_to_write(const std::byte* at) noexcept {
#if defined(__x86_64__)
  // By hand, since compilers make a fetch for reading of it where -mprfchw is not given. Every
  // x86-64 processor takes the instruction, the oldest do nothing.
  asm volatile("prefetchw %0" : : "m"(*at));
#else
  __builtin_prefetch(at, 1);
#endif
}

}  // namespace kfast::client
