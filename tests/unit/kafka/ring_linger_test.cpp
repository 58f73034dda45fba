// How long records of many topics stay in their rings.
#include "kafka/ring_linger.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace kfast::daemon::kafka {
namespace {

constexpr std::int64_t kLingerMs = 5;
constexpr std::int64_t kMostMs = 500;

class RingLingerTest : public ::testing::Test {
 protected:
  /// A window at whose end so many requests have ended; how long records stay after it.
  std::int64_t stay_after(std::uint64_t requests, std::uint64_t partitions) {
    for (std::uint64_t n = 0; n < requests; ++n) {
      linger_.request_ended();
    }
    now_ms_ += kLingerMs;
    EXPECT_TRUE(linger_.is_over(now_ms_));
    linger_.next(now_ms_, partitions);
    return linger_.until_ms() - now_ms_;
  }

  RingLinger linger_{{kLingerMs, kMostMs}};
  std::int64_t now_ms_ = 1'000'000;
};

TEST_F(RingLingerTest, FewRequestsHoldNothingBack) {
  linger_.next(now_ms_, 40);
  EXPECT_EQ(stay_after(0, 40), 0);
  EXPECT_EQ(stay_after(10, 40), 0);
  EXPECT_FALSE(linger_.holds(now_ms_));
}

TEST_F(RingLingerTest, MoreRequestsAndMorePartitionsHoldLonger) {
  linger_.next(now_ms_, 400);
  const std::int64_t some = stay_after(100, 400);
  EXPECT_GT(some, kLingerMs);
  now_ms_ = linger_.until_ms();
  const std::int64_t more = stay_after(200, 400);
  EXPECT_GT(more, some);
  now_ms_ = linger_.until_ms();
  EXPECT_GT(stay_after(200, 4000), more);
}

TEST_F(RingLingerTest, NothingStaysLongerThanItMay) {
  linger_.next(now_ms_, 4000);
  EXPECT_EQ(stay_after(1'000'000, 100'000), kMostMs);
  EXPECT_EQ(linger_.length_ms(), kMostMs);
  EXPECT_TRUE(linger_.holds(now_ms_ + kMostMs - 1));
  EXPECT_FALSE(linger_.holds(now_ms_ + kMostMs));
}

TEST_F(RingLingerTest, MostOfItsDeliveryTimeoutIsLeftToARecord) {
  linger_ = RingLinger({kLingerMs, kMostMs, 400});
  linger_.next(now_ms_, 4000);
  EXPECT_EQ(stay_after(1'000'000, 100'000), 100);
}

TEST_F(RingLingerTest, ManyRequestsInALongWindowAreNotMany) {
  linger_.next(now_ms_, 40);
  for (int n = 0; n < 1000; ++n) {
    linger_.request_ended();
  }
  now_ms_ += 10'000;
  linger_.next(now_ms_, 40);
  EXPECT_FALSE(linger_.holds(now_ms_));
}

TEST_F(RingLingerTest, WhatStayedGoesToOnePartition) {
  linger_.next(now_ms_, 4000);
  const std::int64_t stay = stay_after(500, 4000);
  const std::int64_t until = linger_.until_ms();
  ASSERT_GT(stay, kLingerMs);
  EXPECT_EQ(linger_.partition_ms(until), until);
  EXPECT_EQ(linger_.partition_ms(until + stay - 1), until);
  EXPECT_EQ(linger_.partition_ms(until + stay), until + stay) << "not for ever, under a flood";
}

TEST_F(RingLingerTest, WithoutALingerThereIsNone) {
  RingLinger none({0, kMostMs});
  none.next(now_ms_, 4000);
  EXPECT_FALSE(none.is_over(now_ms_ + 1000));
  RingLinger off({kLingerMs, 0});
  off.next(now_ms_, 4000);
  EXPECT_FALSE(off.is_over(now_ms_ + 1000));
}

}  // namespace
}  // namespace kfast::daemon::kafka
