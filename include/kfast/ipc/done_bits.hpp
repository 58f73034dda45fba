// The bitmap that says which records between head and tail have their outcome: it survives the
// daemon.
//
// One bit per kFrameAlign bytes of ring. What "done" looks like alternates with each lap of the
// ring: 1 in even laps, 0 in odd ones. A done frame gives all its bits the value of its lap, so
// when the head has passed a region every bit in it already says "not done" to the next lap.
// Nothing is ever cleared, and so there is no instant at which a crash could lose an outcome or
// invent one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kfast/ipc/kill_point.hpp"
#include "kfast/ipc/layout.hpp"

namespace kfast::ipc {

/// The value of a done bit for a frame at `position`.
[[nodiscard]] constexpr bool done_value(std::uint64_t position, std::uint64_t ring_bytes) noexcept {
  return ((position / ring_bytes) & 1U) == 0;
}

/// One writer (the daemon's shard thread) marks; readers look at a bitmap whose writer is gone.
/// Bytes are atomics only so that the compiler stores them whole; the order against report and head
/// comes from the release stores of those.
class DoneBits {
 public:
  DoneBits() = default;
  /// `bits` has bitmap_bytes(ring_bytes) bytes.
  DoneBits(std::atomic<std::uint8_t>* bits, std::uint64_t ring_bytes) noexcept
      : bits_(bits), ring_bytes_(ring_bytes) {}

  /// Sets up for a channel whose first frame will be at `position`: everything there and later is
  /// not done.
  void start_at(std::uint64_t position) noexcept {
    const std::uint64_t first = bit_of(position);
    const bool done = done_value(position, ring_bytes_);
    const std::uint64_t bits = ring_bytes_ / kFrameAlign;
    for (std::uint64_t bit = 0; bit < bits; ++bit) {
      put(bit, bit < first ? done : !done);
    }
  }

  /// Marks the frame at `position` of `size` aligned bytes, which does not wrap, as done. Release
  /// stores: a successor that sees a bit also sees what was written before it, the companion's.
  void mark(std::uint64_t position, std::uint64_t size) noexcept {
    const bool value = done_value(position, ring_bytes_);
    std::uint64_t bit = bit_of(position);
    const std::uint64_t end = bit + size / kFrameAlign;
    while (bit < end) {
      KFAST_KILL_POINT("daemon.settle.within_done_bits");
      if (bit % 8 == 0 && end - bit >= 8) {
        bits_[bit / 8].store(value ? 0xFFU : 0x00U, std::memory_order_release);
        bit += 8;
      } else {
        put(bit, value);
        ++bit;
      }
    }
  }

  /// True when the frame that starts at `position` is done.
  [[nodiscard]] bool is_done(std::uint64_t position) const noexcept {
    return get(bit_of(position)) == done_value(position, ring_bytes_);
  }

  /// A single plain bit per frame start, for the companion bitmap ("done, but not delivered").
  void put_plain(std::uint64_t position, bool value) noexcept { put(bit_of(position), value); }
  [[nodiscard]] bool plain(std::uint64_t position) const noexcept { return get(bit_of(position)); }

 private:
  [[nodiscard]] std::uint64_t bit_of(std::uint64_t position) const noexcept {
    return (position & (ring_bytes_ - 1)) / kFrameAlign;
  }
  void put(std::uint64_t bit, bool value) noexcept {
    auto& byte = bits_[bit / 8];
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    const std::uint8_t old = byte.load(std::memory_order_relaxed);
    byte.store(static_cast<std::uint8_t>(value ? old | mask : old & ~mask),
               std::memory_order_release);
  }
  [[nodiscard]] bool get(std::uint64_t bit) const noexcept {
    return (bits_[bit / 8].load(std::memory_order_relaxed) >> (bit % 8) & 1U) != 0;
  }

  std::atomic<std::uint8_t>* bits_ = nullptr;
  std::uint64_t ring_bytes_ = 0;
};
static_assert(std::atomic<std::uint8_t>::is_always_lock_free &&
              sizeof(std::atomic<std::uint8_t>) == 1);

}  // namespace kfast::ipc
