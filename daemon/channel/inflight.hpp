// The daemon's private memory of what it has taken from a ring and still owes an outcome.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace kfast::daemon::channel {

/// One taken frame.
struct TakenFrame {
  std::uint64_t position = 0;
  std::uint32_t size = 0;   // aligned bytes in the ring
  std::uint16_t topic = 0;  // the channel's topic number
  bool done = false;
  bool maybe_sent = false;  // by a daemon before this one
};
static_assert(sizeof(TakenFrame) == 16);

/// A FIFO of taken frames, addressed by a sequence number that wraps at 2^32. Frames are marked
/// done in any order and leave in ring order. One thread (the shard's). Memory grows with the most
/// frames that were ever in flight.
class InflightFifo {
 public:
  /// `first` is the number of the first frame.
  explicit InflightFifo(std::uint32_t first = 0) : first_(first) {}

  /// Adds a frame that was just taken; returns its sequence number.
  std::uint32_t push(const TakenFrame& frame) {
    if (count_ == ring_.size()) {
      grow();
    }
    const std::uint32_t sequence = first_ + count_;
    ring_[sequence & mask()] = frame;
    ++count_;
    return sequence;
  }

  /// Adds a frame that has its outcome already and that nobody will ask for by number. Such frames
  /// behind one another take one entry, so that no number of them makes the FIFO grow.
  void push_done(const TakenFrame& frame) {
    TakenFrame* last = count_ > 0 ? &ring_[(first_ + count_ - 1) & mask()] : nullptr;
    if (last != nullptr && last->done) {
      last->size += frame.size;  // a whole ring fits: 1 GiB
    } else {
      push(frame);
    }
  }

  /// The frame with this number, or nullptr when it is not in flight (any more).
  [[nodiscard]] TakenFrame* find(std::uint32_t sequence) {
    return sequence - first_ < count_ ? &ring_[sequence & mask()] : nullptr;
  }

  /// The oldest frame, or nullptr.
  [[nodiscard]] const TakenFrame* front() const {
    return count_ > 0 ? &ring_[first_ & mask()] : nullptr;
  }

  /// Drops done frames from the front; returns the position behind the last one dropped, or `head`
  /// when none was.
  std::uint64_t drop_done(std::uint64_t head) {
    while (count_ > 0 && ring_[first_ & mask()].done) {
      const TakenFrame& frame = ring_[first_ & mask()];
      head = frame.position + frame.size;
      ++first_;
      --count_;
    }
    return head;
  }

  /// Drops everything, in ring order; the numbers are not used again.
  template <class OnDrop>
  void drop_all(OnDrop&& on_drop) {
    for (; count_ > 0; ++first_, --count_) {
      on_drop(ring_[first_ & mask()]);
    }
  }

  /// The number that the next push() will return.
  [[nodiscard]] std::uint32_t next_sequence() const noexcept { return first_ + count_; }
  [[nodiscard]] std::uint32_t size() const noexcept { return count_; }

 private:
  [[nodiscard]] std::uint32_t mask() const { return static_cast<std::uint32_t>(ring_.size()) - 1; }

  void grow() {
    const std::size_t bigger = ring_.empty() ? 64 : ring_.size() * 2;
    if (bigger > (std::size_t{1} << 30U)) {
      std::abort();  // a ring of 1 GiB holds fewer frames than this
    }
    std::vector<TakenFrame> next(bigger);
    for (std::uint32_t i = 0; i < count_; ++i) {
      next[(first_ + i) & (bigger - 1)] = ring_[(first_ + i) & mask()];
    }
    ring_.swap(next);
  }

  std::vector<TakenFrame> ring_;  // its size is a power of two
  std::uint32_t first_;
  std::uint32_t count_ = 0;
};

}  // namespace kfast::daemon::channel
