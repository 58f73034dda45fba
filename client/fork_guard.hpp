// Whether this is still the process that opened the producer, at the price of one load.
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
  /// False, with errno: no memory, or a kernel without MADV_WIPEONFORK (older than 4.14).
  [[nodiscard]] bool open() noexcept {
    page_ = Mapping::anonymous(ipc::kPage);
    if (!page_.valid() || ::madvise(page_.data(), page_.size(), MADV_WIPEONFORK) != 0) {
      return false;
    }
    word_ = reinterpret_cast<std::atomic<std::uint32_t>*>(page_.data());
    word_->store(1, std::memory_order_relaxed);
    return true;
  }

  [[nodiscard]] bool is_open() const noexcept { return word_ != nullptr; }

  /// After open(). Only the thread that calls fork() goes on in the child, so relaxed is enough.
  [[nodiscard]] bool forked() const noexcept { return word_->load(std::memory_order_relaxed) == 0; }

 private:
  Mapping page_;
  std::atomic<std::uint32_t>* word_ = nullptr;
};

}  // namespace kfast::client
