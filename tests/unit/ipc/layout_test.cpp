#include "kfast/ipc/layout.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <vector>

#include "kfast/ipc/stats_layout.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::ipc {
namespace {

struct Region {
  std::uint64_t begin;
  std::uint64_t bytes;
  std::uint64_t alignment;
};

/// In the order in which they stand: each begins behind the one before, and the last ends with the
/// segment.
void expect_disjoint(const std::vector<Region>& regions, std::uint64_t segment_bytes) {
  std::uint64_t end = 0;
  for (const Region& region : regions) {
    ASSERT_GE(region.begin, end);
    ASSERT_EQ(region.begin % region.alignment, 0U);
    end = region.begin + region.bytes;
  }
  ASSERT_EQ(end, segment_bytes);
  ASSERT_EQ(segment_bytes % kPage, 0U);
}

void expect_sound(std::uint64_t c2d_ring, std::uint64_t d2c_ring, std::uint32_t topics) {
  SCOPED_TRACE(testing::Message() << c2d_ring << ", " << d2c_ring << ", " << topics);
  ASSERT_TRUE(geometry_is_possible(c2d_ring, d2c_ring, topics));
  const Geometry g = geometry_of(c2d_ring, d2c_ring, topics);
  ASSERT_EQ(g.c2d_ring_bytes, c2d_ring);
  ASSERT_EQ(g.d2c_ring_bytes, d2c_ring);
  ASSERT_EQ(g.topic_capacity, topics);
  ASSERT_EQ(g.zero, 0U);
  expect_disjoint({{0, sizeof(C2dHeader), kPage},
                   {g.topic_table, topics * sizeof(TopicEntry), alignof(TopicEntry)},
                   {g.c2d_ring, c2d_ring, kPage}},
                  g.c2d_bytes);
  // One bit for each place at which a frame can start.
  const std::uint64_t bits = c2d_ring / kFrameAlign / 8;
  expect_disjoint({{0, sizeof(D2cHeader), kPage},
                   {g.topic_states, topics, 1},
                   {g.done_bits, bits, kHotLine},
                   {g.lost_bits, bits, kHotLine},
                   {g.d2c_ring, d2c_ring, kPage}},
                  g.d2c_bytes);
}

TEST(Geometry, NoPartOverlapsAnotherForEveryPairOfRingSizes) {
  for (std::uint64_t c2d = kMinRingBytes; c2d <= kMaxRingBytes; c2d *= 2) {
    for (std::uint64_t d2c = kMinRingBytes; d2c <= kMaxRingBytes; d2c *= 2) {
      for (const std::uint32_t topics :
           {1U, 15U, 16U, 17U, kDefaultTopicCapacity, kMaxTopicCapacity}) {
        ASSERT_NO_FATAL_FAILURE(expect_sound(c2d, d2c, topics));
      }
    }
  }
}

TEST(Geometry, NoPartOverlapsAnotherForEveryTopicCapacity) {
  for (std::uint32_t topics = 1; topics <= kMaxTopicCapacity; ++topics) {
    ASSERT_NO_FATAL_FAILURE(expect_sound(kMinRingBytes, 2 * kMinRingBytes, topics));
  }
}

TEST(Geometry, ImpossibleNumbersAreRefused) {
  const auto possible = [](std::uint64_t ring) {
    return geometry_is_possible(ring, kMinRingBytes, 1) ||
           geometry_is_possible(kMinRingBytes, ring, 1);
  };
  EXPECT_TRUE(possible(kMinRingBytes));
  EXPECT_TRUE(possible(kMaxRingBytes));
  for (const std::uint64_t ring :
       {std::uint64_t{0}, std::uint64_t{1}, kMinRingBytes / 2, kMinRingBytes - 1, kMinRingBytes + 1,
        3 * kMinRingBytes, kMaxRingBytes + kPage, 2 * kMaxRingBytes, std::uint64_t{1} << 63U,
        std::numeric_limits<std::uint64_t>::max()}) {
    EXPECT_FALSE(possible(ring)) << ring;
  }
  EXPECT_FALSE(geometry_is_possible(kMinRingBytes, kMinRingBytes, 0));
  EXPECT_FALSE(geometry_is_possible(kMinRingBytes, kMinRingBytes, kMaxTopicCapacity + 1));
}

TEST(AlignUp, IsTheNextMultiple) {
  for (std::uint64_t bytes = 0; bytes < 100; ++bytes) {
    const std::uint64_t aligned = align_up(bytes, kFrameAlign);
    EXPECT_EQ(aligned % kFrameAlign, 0U);
    EXPECT_GE(aligned, bytes);
    EXPECT_LT(aligned, bytes + kFrameAlign);
  }
}

TEST(Magic, ReadsAsTextInMemory) {
  const auto text = [](const auto& magic) {
    return std::string_view(reinterpret_cast<const char*>(&magic), sizeof magic);
  };
  EXPECT_EQ(text(kSegmentMagic), "FASTSEG1");
  EXPECT_EQ(text(kShardMagic), "FASSHRD1");
  EXPECT_EQ(text(kWireMagic), "KFSS");
  EXPECT_EQ(text(stats::kMagic), "KFSTATS1");
}

TEST(Wire, EveryMessageFitsInAPacket) {
  EXPECT_LE(sizeof(OpenProducer), kMaxMessage);
  EXPECT_LE(sizeof(ResumeProducer), kMaxMessage);
  EXPECT_LE(sizeof(Opened), kMaxMessage);
  EXPECT_LE(sizeof(Refused), kMaxMessage);
  EXPECT_LE(sizeof(Notice), kMaxMessage);
}

TEST(Wire, AMessageNamesItsTypeAndSize) {
  const auto hello = make_message<Hello>();
  EXPECT_EQ(hello.head.magic, kWireMagic);
  EXPECT_EQ(hello.head.type, MessageType::hello);
  EXPECT_EQ(hello.head.size, sizeof(Hello));
  EXPECT_EQ(hello.version[0], '\0');
}

TEST(Wire, TextIsCutToItsField) {
  char field[4] = {'x', 'x', 'x', 'x'};
  put_text(field, "abcdef");
  EXPECT_STREQ(field, "abc");
  put_text(field, "");
  EXPECT_STREQ(field, "");
}

}  // namespace
}  // namespace kfast::ipc
