#include "benchmark/goal.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kfast::bench {
namespace {

using Bound = Goal::Bound;

Goal goal(Bound bound, double limit, double value) {
  return {"a figure", bound, limit, value, "", "P0"};
}

TEST(Goal, IsMetAtItsLimit) {
  EXPECT_TRUE(goal(Bound::at_most, 0.25, 0.25).met());
  EXPECT_TRUE(goal(Bound::at_least, 1, 1).met());
  EXPECT_EQ(goal(Bound::at_most, 0.25, 0.25).verdict(), "met");
  EXPECT_EQ(goal(Bound::at_least, 1, 7).missed_by_percent(), 0);
}

TEST(Goal, SaysByHowManyPercentOfItsLimitItIsMissed) {
  EXPECT_EQ(goal(Bound::at_most, 0.25, 0.5).verdict(), "MISSED by 100%");
  EXPECT_EQ(goal(Bound::at_most, 1.5, 1.8).verdict(), "MISSED by 20%");
  EXPECT_EQ(goal(Bound::at_least, 1, 0.85).verdict(), "MISSED by 15%");
}

TEST(Goal, ThatIsMissedByLittleIsNotMissedByZero) {
  EXPECT_EQ(goal(Bound::at_most, 1, 1.001).verdict(), "MISSED by 1%");
}

TEST(Goal, IsWrittenWithItsLimitAndWhatWasMeasured) {
  const nlohmann::json json = goal(Bound::at_least, 1, 0.5);
  EXPECT_EQ(json.at("id"), "P0");
  EXPECT_EQ(json.at("bound"), "at least");
  EXPECT_EQ(json.at("limit"), 1);
  EXPECT_EQ(json.at("value"), 0.5);
  EXPECT_EQ(json.at("met"), false);
  EXPECT_EQ(json.at("missed_by_percent"), 50);
}

}  // namespace
}  // namespace kfast::bench
