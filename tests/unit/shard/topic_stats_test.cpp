#include "shard/topic_stats.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace kfast::daemon::shard {
namespace {

class TopicStatsTest : public ::testing::Test {
 protected:
  std::unique_ptr<telemetry::StatsSegment> segment_ =
      telemetry::StatsSegment::create({.version = "test"}).segment;
  TopicStats stats_{*segment_};
};

TEST_F(TopicStatsTest, TheSameLabelsAreTheSameBlock) {
  telemetry::TopicBlock& block = stats_.of("main", "orders", "ann");
  EXPECT_EQ(&stats_.of("main", "orders", "ann"), &block);
  EXPECT_EQ(&stats_.of_refused("main", "orders", "ann"), &block);
  EXPECT_NE(&stats_.of("main", "orders", "bob"), &block);
  EXPECT_NE(&stats_.of("main", "flags", "ann"), &block);
}

TEST_F(TopicStatsTest, RefusedNamesOfOneUserLeaveRoomForEverybodyElses) {
  std::set<telemetry::TopicBlock*> blocks;
  for (int n = 0; n < 100'000; ++n) {
    blocks.insert(&stats_.of_refused("main", "made-up-" + std::to_string(n), "ann"));
  }
  EXPECT_GT(blocks.size(), 2U) << "the first ones are shown by name";
  EXPECT_LT(blocks.size(), 100U);
  EXPECT_EQ(blocks.count(&stats_.of("main", "(refused)", "ann")), 1U);
  EXPECT_NE(&stats_.of_refused("main", "a-mistake", "bob"), &stats_.of("main", "(refused)", "bob"));
}

TEST_F(TopicStatsTest, ABlockKeepsItsNameWhenTheTableIsFull) {
  telemetry::TopicBlock& orders = stats_.of("main", "orders", "ann");
  for (int n = 0; n < 20'000; ++n) {
    static_cast<void>(stats_.of("main", "topic-" + std::to_string(n), "ann"));
  }
  EXPECT_EQ(&stats_.of("main", "orders", "ann"), &orders);
  EXPECT_EQ(&stats_.of("main", "one-more", "ann"), &stats_.of("main", "(other)", "(other)"));
}

}  // namespace
}  // namespace kfast::daemon::shard
