// The ring's positions and bytes at their edges, on one thread.
#include "kfast/ipc/ring.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/layout.hpp"

namespace kfast::ipc {
namespace {

constexpr std::uint64_t kTop = std::numeric_limits<std::uint64_t>::max() - (kFrameAlign - 1);

/// Every byte of a frame's place follows from its position, so that a byte of another frame or lap
/// cannot pass for it.
std::byte byte_at(std::uint64_t position) {
  return static_cast<std::byte>((position * 0x9E3779B97F4A7C15ULL) >> 56U);
}

/// Both halves of a ring and its memory. Frames are a size in eight bytes, then bytes that follow
/// from the position; a size of zero is padding up to the ring's end.
class Ring {
 public:
  Ring(std::uint64_t capacity, std::uint64_t start)
      : tail_(start),
        head_(start),
        memory_(capacity),
        writer(tail_, head_, capacity, start),
        reader(tail_, head_, capacity, start) {}

  [[nodiscard]] bool put(std::uint64_t size) {
    Reservation room{};
    if (!writer.reserve(size, room)) {
      return false;
    }
    EXPECT_EQ(room.offset, room.position % memory_.size());
    EXPECT_LE(room.offset + size, memory_.size()) << "a frame wraps";
    if (room.padding != 0) {
      EXPECT_EQ(room.offset, 0U) << "padding ends at the ring's end";
      put_size(room.position - room.padding, 0);
    }
    put_size(room.position, size);
    for (std::uint64_t i = sizeof size; i < size; ++i) {
      memory_[room.offset + i] = byte_at(room.position + i);
    }
    return true;
  }

  /// Takes and checks the next frame; returns its size, or 0 when nothing is there.
  std::uint64_t take() {
    EXPECT_TRUE(reader.look());
    std::uint64_t size = 0;
    while (reader.unread() != 0 && (size = size_at(reader.taken())) == 0) {
      reader.take(reader.to_end());
    }
    if (reader.unread() == 0) {
      return 0;
    }
    EXPECT_LE(size, reader.unread());
    EXPECT_LE(size, reader.to_end());
    for (std::uint64_t i = sizeof size; i < size; ++i) {
      if (memory_[reader.offset() + i] != byte_at(reader.taken() + i)) {
        ADD_FAILURE() << "byte " << i << " of the frame at " << reader.taken() << " is not its own";
        break;
      }
    }
    reader.take(size);
    return size;
  }

  /// Reserves `size` bytes, keeps `kept` of them and writes only those.
  [[nodiscard]] bool put_shrunk(std::uint64_t size, std::uint64_t kept) {
    Reservation room{};
    if (!writer.reserve(size, room)) {
      return false;
    }
    if (room.padding != 0) {
      put_size(room.position - room.padding, 0);
    }
    writer.shrink(room, kept);
    put_size(room.position, kept);
    for (std::uint64_t i = sizeof kept; i < kept; ++i) {
      memory_[room.offset + i] = byte_at(room.position + i);
    }
    return true;
  }

  void store_tail(std::uint64_t tail) { tail_.store(tail); }
  [[nodiscard]] std::uint64_t stored_tail() const { return tail_.load(); }

 private:
  void put_size(std::uint64_t position, std::uint64_t size) {
    std::memcpy(&memory_[position % memory_.size()], &size, sizeof size);
  }
  std::uint64_t size_at(std::uint64_t position) {
    std::uint64_t size = 0;
    std::memcpy(&size, &memory_[position % memory_.size()], sizeof size);
    return size;
  }

  std::atomic<std::uint64_t> tail_;
  std::atomic<std::uint64_t> head_;
  std::vector<std::byte> memory_;

 public:
  RingWriter<HostAtomics> writer;
  RingReader<HostAtomics> reader;
};

/// Starts from zero, from high positions, and so that the second lap crosses the end of u64.
class RingAt : public testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr std::uint64_t kCapacity = kMinRingBytes;
  static constexpr std::uint64_t kMaxFrame = kCapacity / kMaxFrameShare;
};
INSTANTIATE_TEST_SUITE_P(Positions, RingAt,
                         testing::Values(0U, std::uint64_t{1} << 32U, std::uint64_t{1} << 63U,
                                         std::uint64_t{0} - 2 * kMinRingBytes,
                                         std::uint64_t{0} - kMinRingBytes));

TEST_P(RingAt, FramesOfEverySizeSurviveTheWrapAtEveryOffset) {
  for (std::uint64_t offset = 0; offset < kCapacity; offset += kFrameAlign) {
    for (const std::uint64_t size :
         {std::uint64_t{8}, std::uint64_t{24}, std::uint64_t{40}, std::uint64_t{1000}, kMaxFrame}) {
      Ring ring(kCapacity, GetParam() + offset);
      const std::uint64_t frames = 2 * kCapacity / size + 2;
      for (std::uint64_t i = 0; i < frames; ++i) {
        ASSERT_TRUE(ring.put(size)) << "offset " << offset << ", size " << size;
        ring.writer.publish();
        ASSERT_EQ(ring.take(), size) << "offset " << offset;
        ring.reader.release(ring.reader.taken());
      }
    }
  }
}

TEST_P(RingAt, TheLargestFrameFitsAnEmptyRingAtEveryOffset) {
  for (std::uint64_t offset = 0; offset < kCapacity; offset += kFrameAlign) {
    Ring ring(kCapacity, GetParam() + offset);
    ASSERT_TRUE(ring.put(kMaxFrame)) << offset;
    ring.writer.publish();
    ASSERT_EQ(ring.take(), kMaxFrame) << offset;
  }
}

TEST_P(RingAt, ARingThatIsExactlyFullKeepsEveryByteAndTakesNoMore) {
  Ring ring(kCapacity, GetParam());
  for (std::uint64_t i = 0; i < kMaxFrameShare; ++i) {
    ASSERT_TRUE(ring.put(kMaxFrame));
  }
  ring.writer.publish();
  EXPECT_FALSE(ring.put(kFrameAlign));
  ASSERT_TRUE(ring.reader.look());
  EXPECT_EQ(ring.reader.unread(), kCapacity);

  EXPECT_EQ(ring.take(), kMaxFrame);
  EXPECT_FALSE(ring.put(kFrameAlign)) << "what is taken is not yet free";
  ring.reader.release(ring.reader.taken());
  EXPECT_TRUE(ring.put(kMaxFrame));
  EXPECT_FALSE(ring.put(kFrameAlign));
  ring.writer.publish();
  for (std::uint64_t i = 0; i < kMaxFrameShare; ++i) {
    EXPECT_EQ(ring.take(), kMaxFrame);
  }
  EXPECT_EQ(ring.take(), 0U);
}

TEST_P(RingAt, AFrameThatEndsAtTheEndNeedsNoPadding) {
  Ring ring(kCapacity, GetParam() + kCapacity - kMinRecordFrame);
  Reservation room{};
  ASSERT_TRUE(ring.writer.reserve(kMinRecordFrame, room));
  EXPECT_EQ(room.padding, 0U);
  EXPECT_EQ(room.offset, kCapacity - kMinRecordFrame);
  ASSERT_TRUE(ring.writer.reserve(kMinRecordFrame, room));
  EXPECT_EQ(room.padding, 0U);
  EXPECT_EQ(room.offset, 0U);
}

TEST_P(RingAt, OneUnitBeforeTheEndIsPaddedAround) {
  Ring ring(kCapacity, GetParam() + kCapacity - kMinPaddingFrame);
  Reservation room{};
  ASSERT_TRUE(ring.writer.reserve(kMinRecordFrame, room));
  EXPECT_EQ(room.padding, kMinPaddingFrame);
  EXPECT_EQ(room.offset, 0U);
}

TEST_P(RingAt, PaddingCountsAgainstTheRoom) {
  // Room for the frame is there, but not for the frame and the padding before it.
  Ring ring(kCapacity, GetParam() + 16);
  for (std::uint64_t used = 0; used < kCapacity - 32; used += 16) {
    ASSERT_TRUE(ring.put(16));
  }
  ring.writer.publish();
  EXPECT_FALSE(ring.put(24)) << "32 bytes are free, 16 of them before the end";
  EXPECT_TRUE(ring.put(16));
  EXPECT_TRUE(ring.put(16));
  EXPECT_FALSE(ring.put(8));
}

TEST_P(RingAt, NothingIsSeenBeforePublishAndAllOfItAfter) {
  Ring ring(kCapacity, GetParam());
  ASSERT_TRUE(ring.put(24));
  ASSERT_TRUE(ring.put(48));
  EXPECT_EQ(ring.take(), 0U);
  ring.writer.publish();
  EXPECT_EQ(ring.take(), 24U);
  EXPECT_EQ(ring.take(), 48U);
  EXPECT_EQ(ring.take(), 0U);
}

TEST_P(RingAt, AbandonTakesBackWhatWasNotPublishedAndOnlyThat) {
  Ring ring(kCapacity, GetParam());
  ASSERT_TRUE(ring.put(24));
  ring.writer.publish();
  ASSERT_TRUE(ring.put(kMaxFrame));
  ASSERT_TRUE(ring.put(32));
  ring.writer.abandon();
  EXPECT_EQ(ring.writer.reserved_end(), ring.writer.tail());
  ASSERT_TRUE(ring.put(40));
  ring.writer.publish();
  EXPECT_EQ(ring.take(), 24U);
  EXPECT_EQ(ring.take(), 40U);
  EXPECT_EQ(ring.take(), 0U);
}

TEST_P(RingAt, AShrunkFrameIsFollowedByTheNextOneAtEveryOffset) {
  for (std::uint64_t offset = 0; offset < kCapacity; offset += kFrameAlign) {
    for (const std::uint64_t kept : {std::uint64_t{8}, std::uint64_t{24}, kMaxFrame}) {
      Ring ring(kCapacity, GetParam() + offset);
      for (std::uint64_t i = 0; i < 2 * kCapacity / (kept + 40) + 2; ++i) {
        ASSERT_TRUE(ring.put_shrunk(kMaxFrame, kept)) << "offset " << offset << ", kept " << kept;
        ASSERT_TRUE(ring.put(40));
        ring.writer.publish();
        ASSERT_EQ(ring.take(), kept) << "offset " << offset;
        ASSERT_EQ(ring.take(), 40U) << "offset " << offset;
        ring.reader.release(ring.reader.taken());
      }
    }
  }
}

TEST_P(RingAt, WhatAFrameShrinksByIsRoomAgain) {
  Ring ring(kCapacity, GetParam());
  for (std::uint64_t i = 0; i < kMaxFrameShare - 1; ++i) {
    ASSERT_TRUE(ring.put(kMaxFrame));
  }
  ring.writer.publish();
  ASSERT_TRUE(ring.put_shrunk(kMaxFrame, 24));
  EXPECT_TRUE(ring.put(kMaxFrame - 24));
  EXPECT_FALSE(ring.put(kFrameAlign));
}

TEST_P(RingAt, AShrunkFrameKeepsItsPlaceBehindThePadding) {
  // The whole did not fit before the end; what it shrinks to would have.
  Ring ring(kCapacity, GetParam() + kCapacity - 64);
  Reservation room{};
  ASSERT_TRUE(ring.writer.reserve(kMaxFrame, room));
  EXPECT_EQ(room.padding, 64U);
  ring.writer.shrink(room, 24);
  EXPECT_EQ(ring.writer.reserved_end(), room.position + 24);
  EXPECT_EQ(room.offset, 0U);
  Reservation next{};
  ASSERT_TRUE(ring.writer.reserve(24, next));
  EXPECT_EQ(next.position, room.position + 24);
}

TEST_P(RingAt, AbandonTakesBackAShrunkFrameToo) {
  Ring ring(kCapacity, GetParam());
  ASSERT_TRUE(ring.put_shrunk(kMaxFrame, 24));
  ring.writer.abandon();
  EXPECT_EQ(ring.writer.reserved_end(), ring.writer.tail());
}

TEST_P(RingAt, AFullRingChangesNothingInTheWriter) {
  Ring ring(kCapacity, GetParam());
  while (ring.put(kMaxFrame)) {
  }
  const std::uint64_t end = ring.writer.reserved_end();
  Reservation room{7, 7, 7};
  EXPECT_FALSE(ring.writer.reserve(kFrameAlign, room));
  EXPECT_EQ(ring.writer.reserved_end(), end);
  EXPECT_EQ(room.position, 7U);
}

TEST_P(RingAt, AWriterGoesOnAgainstAnotherHead) {
  Ring ring(kCapacity, GetParam());
  while (ring.put(kMaxFrame)) {
  }
  ring.writer.publish();
  std::atomic<std::uint64_t> other{GetParam() + kMaxFrame};
  ring.writer.bind_head(other, other.load());
  EXPECT_TRUE(ring.put(kMaxFrame));
  EXPECT_FALSE(ring.put(kFrameAlign));
}

TEST_P(RingAt, RandomFramesInRandomBatchesStayInOrder) {
  std::mt19937_64 random(GetParam() + 1);
  Ring ring(kCapacity, GetParam());
  std::vector<std::uint64_t> published;
  std::vector<std::uint64_t> reserved;
  std::size_t next = 0;
  while (published.size() < 20'000) {
    switch (random() % 4) {
      case 0:
      case 1: {
        const std::uint64_t size = align_up(1 + random() % kMaxFrame, kFrameAlign);
        const std::uint64_t kept =
            random() % 2 == 0 ? size : align_up(1 + random() % size, kFrameAlign);
        if (ring.put_shrunk(size, kept)) {
          reserved.push_back(kept);
        }
        break;
      }
      case 2:
        if (random() % 8 == 0) {
          ring.writer.abandon();
        } else {
          ring.writer.publish();
          published.insert(published.end(), reserved.begin(), reserved.end());
        }
        reserved.clear();
        break;
      default:
        if (const std::uint64_t size = ring.take(); size != 0) {
          ASSERT_LT(next, published.size());
          ASSERT_EQ(size, published[next]) << "frame " << next;
          ++next;
        }
        ring.reader.release(ring.reader.taken());
        break;
    }
  }
}

TEST_P(RingAt, AnImpossibleTailIsRefusedAndChangesNothing) {
  Ring ring(kCapacity, GetParam());
  ASSERT_TRUE(ring.put(64));
  ASSERT_TRUE(ring.put(64));
  ring.writer.publish();
  EXPECT_EQ(ring.take(), 64U);
  const std::uint64_t head = GetParam();
  const std::uint64_t seen = head + 128;
  for (const std::uint64_t tail :
       {head, head + 64, seen - kFrameAlign, head - kFrameAlign, head - kCapacity,
        head + kCapacity + kFrameAlign, head + kTop, head + (std::uint64_t{1} << 63U), seen + 1,
        seen + 4, seen + 7}) {
    ring.store_tail(tail);
    EXPECT_FALSE(ring.reader.look()) << "tail " << tail - head << " behind the head";
    EXPECT_EQ(ring.reader.seen(), seen);
    EXPECT_EQ(ring.reader.unread(), 64U);
  }
  for (const std::uint64_t tail : {seen, seen + kFrameAlign, head + kCapacity}) {
    ring.store_tail(tail);
    EXPECT_TRUE(ring.reader.look()) << "tail " << tail - head << " behind the head";
  }
}

TEST_P(RingAt, NoTailLeadsTheReaderOutOfTheRing) {
  std::mt19937_64 random(GetParam() + 2);
  Ring ring(kCapacity, GetParam());
  unsigned accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t bits = random();
    ring.store_tail(random() % 2 == 0 ? bits : ring.reader.head() + bits % (2 * kCapacity));
    if (ring.reader.look()) {
      ++accepted;
      const std::uint64_t unread = ring.reader.unread();
      ASSERT_LE(unread, kCapacity);
      ASSERT_LE(ring.reader.seen() - ring.reader.head(), kCapacity);
      ring.reader.take(unread);
      ring.reader.release(ring.reader.taken());
    }
    ASSERT_LT(ring.reader.offset(), kCapacity);
    ASSERT_EQ(ring.reader.offset() + ring.reader.to_end(), kCapacity);
  }
  EXPECT_GT(accepted, 100U);
}

}  // namespace
}  // namespace kfast::ipc
