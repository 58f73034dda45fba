#include "channel/inflight.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::channel {
namespace {

/// How many frames were dropped.
std::uint32_t drop(InflightFifo& fifo, std::uint64_t& head) {
  const std::uint32_t before = fifo.size();
  head = fifo.drop_done(head);
  return before - fifo.size();
}

TEST(InflightFifo, FramesThatAreDoneTakeOneEntryTogether) {
  InflightFifo fifo;
  const std::uint32_t first = fifo.push({0, 32, 1, false, false});
  for (std::uint64_t n = 1; n <= 1000; ++n) {
    fifo.push_done({n * 32, 32, 1, true, false});
  }
  EXPECT_EQ(fifo.size(), 2U);
  const std::uint32_t next = fifo.push({1001 * 32, 24, 1, false, false});
  EXPECT_EQ(next, first + 2);
  EXPECT_EQ(fifo.drop_done(0), 0U);
  fifo.find(first)->done = true;
  EXPECT_EQ(fifo.drop_done(0), 1001U * 32);
  EXPECT_EQ(fifo.front()->position, 1001U * 32);
}

TEST(InflightFifo, FramesLeaveInRingOrderWhateverTheOrderOfTheirOutcomes) {
  InflightFifo fifo;
  std::uint64_t head = 0;
  for (std::uint64_t i = 0; i < 4; ++i) {
    fifo.push({i * 8, 8, 0, false});
  }
  fifo.find(2)->done = true;
  fifo.find(1)->done = true;
  EXPECT_EQ(drop(fifo, head), 0U);
  EXPECT_EQ(head, 0U);
  fifo.find(0)->done = true;
  EXPECT_EQ(fifo.front()->position, 0U);
  EXPECT_EQ(drop(fifo, head), 3U);
  EXPECT_EQ(head, 24U);
  EXPECT_EQ(fifo.front()->position, 24U);
  EXPECT_EQ(fifo.size(), 1U);
}

TEST(InflightFifo, NumbersThatAreNotInFlightFindNothing) {
  InflightFifo fifo;
  EXPECT_EQ(fifo.find(0), nullptr);
  fifo.push({0, 8, 0, true});
  std::uint64_t head = 0;
  drop(fifo, head);
  EXPECT_EQ(fifo.find(0), nullptr) << "it has left";
  EXPECT_EQ(fifo.find(1), nullptr) << "it has not come";
  EXPECT_EQ(fifo.find(UINT32_MAX), nullptr);
}

TEST(InflightFifo, GrowsWithFramesAcrossTheEndOfItsMemory) {
  InflightFifo fifo;
  std::uint64_t head = 0;
  std::uint64_t position = 0;
  for (int i = 0; i < 40; ++i, position += 8) {
    fifo.push({position, 8, 0, true});
  }
  drop(fifo, head);
  const std::uint32_t first = fifo.next_sequence();
  for (std::uint32_t i = 0; i < 1000; ++i, position += 8) {
    EXPECT_EQ(fifo.push({position, 8, static_cast<std::uint16_t>(i), false}), first + i);
  }
  for (std::uint32_t i = 0; i < 1000; ++i) {
    ASSERT_NE(fifo.find(first + i), nullptr);
    EXPECT_EQ(fifo.find(first + i)->topic, i);
    EXPECT_EQ(fifo.find(first + i)->position, (40U + i) * 8U);
  }
}

TEST(InflightFifo, NumbersGoOnAcrossTheirWrap) {
  constexpr std::uint32_t kFirst = UINT32_MAX - 70;  // grows, too, while it wraps
  InflightFifo fifo(kFirst);
  std::uint64_t head = 0;
  std::uint64_t position = 0;
  for (std::uint32_t i = 0; i < 200; ++i, position += 8) {
    EXPECT_EQ(fifo.next_sequence(), kFirst + i);
    ASSERT_EQ(fifo.push({position, 8, static_cast<std::uint16_t>(i), false}), kFirst + i);
  }
  EXPECT_EQ(fifo.find(kFirst - 1), nullptr);
  EXPECT_EQ(fifo.find(kFirst + 200), nullptr);
  for (std::uint32_t i = 0; i < 200; ++i) {
    ASSERT_NE(fifo.find(kFirst + i), nullptr);
    EXPECT_EQ(fifo.find(kFirst + i)->topic, i);
    fifo.find(kFirst + i)->done = true;
  }
  EXPECT_EQ(drop(fifo, head), 200U);
  EXPECT_EQ(fifo.front(), nullptr);
  EXPECT_EQ(head, 1600U);
  EXPECT_EQ(fifo.find(UINT32_MAX), nullptr) << "it has left";
  EXPECT_EQ(fifo.find(0), nullptr) << "it has left";
}

TEST(InflightFifo, ASequenceNumberStaysBoundToItsFrameWhileOthersComeAndGo) {
  InflightFifo fifo;
  std::uint64_t head = 0;
  std::uint64_t position = 0;
  for (std::uint32_t round = 0; round < 100'000; ++round, position += 8) {
    const std::uint32_t sequence = fifo.push({position, 8, 0, false});
    ASSERT_EQ(sequence, round);
    ASSERT_EQ(fifo.find(sequence)->position, position);
    if (round >= 10) {
      fifo.find(round - 10)->done = true;
      ASSERT_EQ(drop(fifo, head), 1U);
    }
  }
  EXPECT_EQ(fifo.size(), 10U);
}

}  // namespace
}  // namespace kfast::daemon::channel
