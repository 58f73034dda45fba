#include "shard/wall_clock.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::shard {
namespace {

constexpr std::int64_t kWall = 1'700'000'000'000;
constexpr std::int64_t kHour = 3'600'000;

TEST(WallClock, TimeThatPassesIsNoStep) {
  WallClock clock;
  EXPECT_FALSE(clock.read(kWall, 5000)) << "nothing to compare with";
  EXPECT_FALSE(clock.read(kWall + 10, 5010));
  EXPECT_FALSE(clock.read(kWall + 24 * kHour, 5000 + 24 * kHour)) << "a long sleep";
  EXPECT_EQ(clock.now_ms(), kWall + 24 * kHour);
}

TEST(WallClock, ReadingsThatAreNotQuiteAtTheSameInstantAreNoStep) {
  WallClock clock;
  EXPECT_FALSE(clock.read(kWall, 5000));
  EXPECT_FALSE(clock.read(kWall + 400, 5100));
  EXPECT_FALSE(clock.read(kWall + 500, 5500));
}

TEST(WallClock, AStepForwardSaysWhatTheOldClockWouldShow) {
  WallClock clock;
  EXPECT_FALSE(clock.read(kWall, 5000));
  const auto step = clock.read(kWall + 20 + kHour, 5020);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->by_ms, kHour);
  EXPECT_EQ(step->old_now_ms, kWall + 20);
  EXPECT_FALSE(clock.read(kWall + 30 + kHour, 5030)) << "told once";
}

TEST(WallClock, AStepBackIsNegative) {
  WallClock clock;
  EXPECT_FALSE(clock.read(kWall, 5000));
  const auto step = clock.read(kWall + 20 - kHour, 5020);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->by_ms, -kHour);
  EXPECT_EQ(step->old_now_ms, kWall + 20);
}

}  // namespace
}  // namespace kfast::daemon::shard
