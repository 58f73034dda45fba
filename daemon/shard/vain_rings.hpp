// Whether a channel rings its doorbell for nothing, again and again. Pure arithmetic.
#pragma once

#include <cstdint>

namespace kfast::daemon::shard {

/// Counts the wake-ups of one channel after which there was no record to take. An honest client
/// publishes a record before each ring, so at most two come in vain before one that does not: the
/// shard took the record of the first and of the second before it heard them.
class VainRings {
 public:
  /// The doorbell was heard.
  void rung() {
    heard_ = !listened_again_;
    listened_again_ = false;
  }
  /// The doorbell is listened to again after a pause. That alone makes it heard once.
  void listened_again() { listened_again_ = true; }

  /// After a look at the ring. True: once too often in vain, do not listen for a while.
  [[nodiscard]] bool looked(bool found_records) {
    if (found_records) {
      in_vain_ = 0;
    } else if (heard_ && in_vain_ < kMost) {
      ++in_vain_;
    }
    const bool too_often = heard_ && in_vain_ == kMost;
    heard_ = false;
    return too_often;
  }

 private:
  static constexpr std::uint32_t kMost = 16;

  std::uint32_t in_vain_ = 0;
  bool heard_ = false;
  bool listened_again_ = false;
};

}  // namespace kfast::daemon::shard
