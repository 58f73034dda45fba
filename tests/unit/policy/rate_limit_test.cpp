#include "policy/rate_limit.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::policy {
namespace {

constexpr std::uint64_t second = 1'000'000'000;

TEST(RateLimit, UnlimitedAlwaysPasses) {
  RateLimit limit(0, 0);
  EXPECT_EQ(limit.allow(1'000'000, UINT64_MAX, 5).again_ns, 0U);
  EXPECT_EQ(limit.budget(6).records, UINT64_MAX);
}

TEST(RateLimit, StartsFullAndRefillsWithTime) {
  RateLimit limit(100, 0);
  EXPECT_EQ(limit.budget(second).records, 100U);
  limit.spend(100, 0);
  const auto empty = limit.budget(second);
  EXPECT_EQ(empty.records, 0U);
  EXPECT_EQ(empty.again_ns, second + second / 100);
  EXPECT_EQ(limit.budget(second + second / 2).records, 50U);
  EXPECT_EQ(limit.budget(100 * second).records, 100U) << "holds a second's worth at most";
}

TEST(RateLimit, AllowIsAllOrNothingAndSaysWhenToLookAgain) {
  RateLimit limit(10, 1000);
  EXPECT_EQ(limit.allow(5, 1000, second).again_ns, 0U);
  const auto refused = limit.allow(5, 500, second);
  EXPECT_EQ(refused.records, 5U);
  EXPECT_EQ(refused.bytes, 0U);
  EXPECT_EQ(refused.again_ns, second + second / 2);
  EXPECT_EQ(limit.allow(5, 500, refused.again_ns).again_ns, 0U);
}

TEST(RateLimit, RecordLargerThanTheBucketPassesAndIsPaidAfterwards) {
  RateLimit limit(0, 100);
  EXPECT_EQ(limit.allow(1, 1000, second).again_ns, 0U);
  const auto refused = limit.allow(1, 1, second);
  EXPECT_EQ(refused.again_ns, second + 9 * second + second / 100);
  EXPECT_EQ(limit.allow(1, 1, refused.again_ns).again_ns, 0U);
}

TEST(RateLimit, ClockThatGoesBackRefillsNothing) {
  RateLimit limit(10, 0);
  EXPECT_EQ(limit.allow(10, 0, 5 * second).again_ns, 0U);
  EXPECT_EQ(limit.budget(second).records, 0U);
  EXPECT_EQ(limit.budget(6 * second).records, 10U);
}

}  // namespace
}  // namespace kfast::daemon::policy
