// The atomic operations that the rings and the doorbell use, behind one policy, so that the very
// same code runs on shared memory and under a model checker.
#pragma once

#include <atomic>
#include <cstdint>

namespace kfast::ipc {

/// The policy for real memory: plain std::atomic words, which are lock-free and address-free on
/// every supported target.
struct HostAtomics {
  using U32 = std::atomic<std::uint32_t>;
  using U64 = std::atomic<std::uint64_t>;

  template <class T>
  static T load_relaxed(const std::atomic<T>& word) noexcept {
    return word.load(std::memory_order_relaxed);
  }
  template <class T>
  static T load_acquire(const std::atomic<T>& word) noexcept {
    return word.load(std::memory_order_acquire);
  }
  template <class T>
  static void store_relaxed(std::atomic<T>& word, T value) noexcept {
    word.store(value, std::memory_order_relaxed);
  }
  template <class T>
  static void store_release(std::atomic<T>& word, T value) noexcept {
    word.store(value, std::memory_order_release);
  }
  /// A full fence (store-load). ThreadSanitizer does not model fences, so there a read-modify-write
  /// of a word of the process stands in for it; between processes the real instruction is always
  /// used.
  static void fence_seq_cst() noexcept {
#if defined(__SANITIZE_THREAD__)
    static std::atomic<std::uint32_t> everybody{0};
    everybody.fetch_add(1, std::memory_order_seq_cst);
#endif
#if defined(__SANITIZE_THREAD__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
    std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__SANITIZE_THREAD__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
  }
};

static_assert(HostAtomics::U32::is_always_lock_free && sizeof(HostAtomics::U32) == 4);
static_assert(HostAtomics::U64::is_always_lock_free && sizeof(HostAtomics::U64) == 8);

}  // namespace kfast::ipc
