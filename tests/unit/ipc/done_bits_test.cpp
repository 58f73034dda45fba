#include "kfast/ipc/done_bits.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "kfast/ipc/layout.hpp"

namespace kfast::ipc {
namespace {

constexpr std::uint64_t kRing = kMinRingBytes;

/// A bitmap between two bytes that nobody may touch.
class Bitmap {
 public:
  explicit Bitmap(std::uint64_t ring_bytes)
      : size_(bitmap_bytes(ring_bytes)),
        bytes_(std::make_unique<std::atomic<std::uint8_t>[]>(size_ + 2)),
        bits(&bytes_[1], ring_bytes) {
    bytes_[0] = kGuard;
    bytes_[size_ + 1] = kGuard;
  }
  [[nodiscard]] bool guards_stand() const {
    return bytes_[0] == kGuard && bytes_[size_ + 1] == kGuard;
  }
  [[nodiscard]] std::vector<bool> copy() const {
    std::vector<bool> all;
    for (std::uint64_t bit = 0; bit < size_ * 8; ++bit) {
      all.push_back((bytes_[1 + bit / 8] >> (bit % 8) & 1) != 0);
    }
    return all;
  }
  void fill(std::uint8_t value) {
    for (std::uint64_t i = 0; i < size_; ++i) {
      bytes_[1 + i] = value;
    }
  }

 private:
  static constexpr std::uint8_t kGuard = 0xA5;
  std::uint64_t size_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> bytes_;

 public:
  DoneBits bits;
};

TEST(DoneValue, AlternatesWithTheLapAndGoesOnBehindTheEndOfU64) {
  for (const std::uint64_t ring : {kMinRingBytes, std::uint64_t{1} << 20U, kMaxRingBytes}) {
    EXPECT_TRUE(done_value(0, ring));
    EXPECT_TRUE(done_value(ring - 1, ring));
    EXPECT_FALSE(done_value(ring, ring));
    EXPECT_TRUE(done_value(2 * ring, ring));
    const std::uint64_t last = std::uint64_t{0} - kFrameAlign;
    EXPECT_FALSE(done_value(last, ring)) << "the lap before position 0 is an odd one";
    EXPECT_NE(done_value(last, ring), done_value(last + kFrameAlign, ring));
  }
}

class DoneBitsAt : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Positions, DoneBitsAt,
                         testing::Values(0U, kRing, std::uint64_t{1} << 32U,
                                         (std::uint64_t{1} << 63U) - kRing,
                                         std::uint64_t{0} - 3 * kRing, std::uint64_t{0} - 2 * kRing,
                                         std::uint64_t{0} - kRing));

TEST_P(DoneBitsAt, AChannelCanStartAnywhereWithNothingDone) {
  for (std::uint64_t offset = 0; offset < kRing; offset += kFrameAlign) {
    for (const int junk : {0x00, 0xFF, 0x5A}) {
      Bitmap bitmap(kRing);
      bitmap.fill(static_cast<std::uint8_t>(junk));
      const std::uint64_t start = GetParam() + offset;
      bitmap.bits.start_at(start);
      for (std::uint64_t at = 0; at < kRing; at += kFrameAlign) {
        ASSERT_FALSE(bitmap.bits.is_done(start + at)) << "start " << start << " + " << at;
      }
      ASSERT_TRUE(bitmap.guards_stand());
    }
  }
}

TEST_P(DoneBitsAt, MarkTouchesItsFrameAndNoNeighbour) {
  for (std::uint64_t offset = 0; offset < kRing; offset += kFrameAlign) {
    for (const std::uint64_t size : {8U, 24U, 64U, 72U, 120U, 128U, 512U, 1024U}) {
      if (offset + size > kRing) {
        continue;
      }
      Bitmap bitmap(kRing);
      bitmap.bits.start_at(GetParam());
      std::vector<bool> expected = bitmap.copy();
      for (std::uint64_t at = offset; at < offset + size; at += kFrameAlign) {
        expected[at / kFrameAlign] = !expected[at / kFrameAlign];
      }
      bitmap.bits.mark(GetParam() + offset, size);
      ASSERT_EQ(bitmap.copy(), expected) << "offset " << offset << ", size " << size;
      ASSERT_TRUE(bitmap.guards_stand());
    }
  }
}

/// Frames come, are done in any order, and are passed by the head, for many laps: at any time each
/// of them says the truth, and the free part of the ring says "not done".
TEST_P(DoneBitsAt, EveryFrameOfManyLapsSaysTheTruth) {
  struct Frame {
    std::uint64_t position;
    std::uint64_t size;
    bool done;
  };
  std::mt19937_64 random(GetParam() + 3);
  Bitmap bitmap(kRing);
  const std::uint64_t start = GetParam() + kFrameAlign * (random() % (kRing / kFrameAlign));
  bitmap.bits.start_at(start);
  std::deque<Frame> frames;
  std::uint64_t head = start;
  std::uint64_t tail = start;
  const auto append = [&](std::uint64_t size, bool done) {
    if (done) {
      bitmap.bits.mark(tail, size);  // padding
    }
    frames.push_back({tail, size, done});
    tail += size;
  };
  while (head - start < 12 * kRing) {
    const std::uint64_t size = kFrameAlign * (1 + random() % 60);
    const std::uint64_t to_end = kRing - tail % kRing;
    const std::uint64_t padding = size > to_end ? to_end : 0;
    if (tail + padding + size - head <= kRing) {
      if (padding != 0) {
        append(padding, true);
      }
      append(size, false);
    } else {
      while (!frames.empty() && frames.front().done) {
        head += frames.front().size;
        frames.pop_front();
      }
      for (int i = 0; i < 3 && !frames.empty(); ++i) {
        Frame& frame = frames[random() % frames.size()];
        if (!frame.done) {
          bitmap.bits.mark(frame.position, frame.size);
          frame.done = true;
        }
      }
    }
    for (const Frame& frame : frames) {
      ASSERT_EQ(bitmap.bits.is_done(frame.position), frame.done) << frame.position - start;
    }
    for (std::uint64_t at = tail; at != head + kRing; at += kFrameAlign) {
      ASSERT_FALSE(bitmap.bits.is_done(at)) << at - start << " is free";
    }
  }
  ASSERT_TRUE(bitmap.guards_stand());
}

TEST(DoneBits, PlainBitsDoNotAlternate) {
  Bitmap bitmap(kRing);
  for (const std::uint64_t position : {std::uint64_t{8}, kRing + 16, std::uint64_t{0} - 8}) {
    EXPECT_FALSE(bitmap.bits.plain(position));
    bitmap.bits.put_plain(position, true);
    EXPECT_TRUE(bitmap.bits.plain(position));
    EXPECT_TRUE(bitmap.bits.plain(position + kRing));
    EXPECT_FALSE(bitmap.bits.plain(position + kFrameAlign));
    bitmap.bits.put_plain(position + kRing, false);
    EXPECT_FALSE(bitmap.bits.plain(position));
  }
}

}  // namespace
}  // namespace kfast::ipc
