// Which records were reported already: a restarted kfastd reports again what it cannot know to have
// been read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kfast/ipc/layout.hpp"
#include "mapping.hpp"

namespace kfast::client {

/// One bit per kFrameAlign bytes of the record ring, private to this process. A bit belongs to the
/// frame that starts there in the ring's last lap; a report of an older lap, read late, has no bit.
/// What was reported before a hand-over is kept in a second bitmap, because only those records can
/// be reported twice, and the ring may have gone around before they are. One thread.
class SeenReports {
 public:
  [[nodiscard]] bool open(std::uint64_t ring_bytes) noexcept {
    ring_bytes_ = ring_bytes;
    bits_ = Mapping::anonymous(2 * ipc::bitmap_bytes(ring_bytes));
    return bits_.valid();
  }

  /// A frame was written at `position`: it has no report yet. Called by every send; one load, and a
  /// store once a lap.
  void forget(std::uint64_t position) noexcept {
    std::byte& byte = byte_of(bits_.data(), position);
    if ((byte & mask_of(position)) != std::byte{0}) {
      byte &= ~mask_of(position);
    }
  }

  /// True when a report for `position` is news; remembers it. `tail` is the end of the record ring
  /// now.
  [[nodiscard]] bool is_news(std::uint64_t position, std::uint64_t tail) noexcept {
    if (position - old_first_ < old_size_ &&
        (byte_of(old_bits(), position) & mask_of(position)) != std::byte{0}) {
      return false;
    }
    if (tail - position > ring_bytes_) {
      return true;  // its place in the ring belongs to a younger record by now
    }
    std::byte& byte = byte_of(bits_.data(), position);
    if ((byte & mask_of(position)) != std::byte{0}) {
      return false;
    }
    byte |= mask_of(position);
    return true;
  }

  /// True when the record at `position`, of the last lap, has had its report.
  [[nodiscard]] bool has(std::uint64_t position) const noexcept {
    return (byte_of(bits_.data(), position) & mask_of(position)) != std::byte{0};
  }

  /// Another daemon takes over the records in [first, tail).
  void hand_over(std::uint64_t first, std::uint64_t tail) noexcept {
    std::memcpy(old_bits(), bits_.data(), ipc::bitmap_bytes(ring_bytes_));
    old_first_ = first;
    old_size_ = tail - first;
  }

 private:
  [[nodiscard]] std::byte* old_bits() const noexcept {
    return bits_.data() + ipc::bitmap_bytes(ring_bytes_);
  }
  [[nodiscard]] std::byte& byte_of(std::byte* bits, std::uint64_t position) const noexcept {
    return bits[(position & (ring_bytes_ - 1)) / ipc::kFrameAlign / 8];
  }
  [[nodiscard]] static std::byte mask_of(std::uint64_t position) noexcept {
    return std::byte{1} << (position / ipc::kFrameAlign % 8);
  }

  Mapping bits_;
  std::uint64_t ring_bytes_ = 0;
  std::uint64_t old_first_ = 0;
  std::uint64_t old_size_ = 0;
};

}  // namespace kfast::client
