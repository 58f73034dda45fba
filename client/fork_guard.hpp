// Whether this is still the process that opened the producer, and whether its calls take a lock, at
// the price of one load.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>

#include "kfast/ipc/layout.hpp"
#include "mapping.hpp"

namespace kfast::client {

/// One page that the kernel wipes in a forked child (MADV_WIPEONFORK): getpid() would be a system
/// call a send.
class ForkGuard {
 public:
  /// The producer is not ready from here to ready(). False, with errno: no memory, or a kernel
  /// without MADV_WIPEONFORK (older than 4.14).
  [[nodiscard]] bool open() noexcept {
    page_ = Mapping::anonymous(ipc::kPage);
    if (!page_.valid() || ::madvise(page_.data(), page_.size(), MADV_WIPEONFORK) != 0) {
      return false;
    }
    word_ = reinterpret_cast<std::atomic<std::uint32_t>*>(page_.data());
    word_->store(kOpening, std::memory_order_relaxed);
    return true;
  }

  /// `locked`: several threads use the producer.
  void ready(bool locked) noexcept {
    word_->store(locked ? kLocked : kPlain, std::memory_order_relaxed);
  }

  [[nodiscard]] bool is_open() const noexcept { return word_ != nullptr; }

  /// After open(). Only the thread that calls fork() goes on in the child, so relaxed is enough.
  [[nodiscard]] bool forked() const noexcept { return word() == 0; }
  /// Ready and not forked.
  [[nodiscard]] bool usable() const noexcept { return plain() || locked(); }
  /// Usable and not locked: one comparison answers both.
  [[nodiscard]] bool plain() const noexcept { return word() == kPlain; }
  [[nodiscard]] bool locked() const noexcept { return word() == kLocked; }

 private:
  static constexpr std::uint32_t kPlain = 1;
  static constexpr std::uint32_t kLocked = 2;
  static constexpr std::uint32_t kOpening = 3;

  [[nodiscard]] std::uint32_t word() const noexcept {
    return word_->load(std::memory_order_relaxed);
  }

  Mapping page_;
  std::atomic<std::uint32_t>* word_ = nullptr;
};

}  // namespace kfast::client
