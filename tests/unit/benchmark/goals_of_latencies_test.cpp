#include <gtest/gtest.h>

#include "benchmark/latency.hpp"

namespace kfast::bench {
namespace {

Latency latency(std::uint32_t value_bytes, ReportTimes kfast, ReportTimes librdkafka) {
  return {value_bytes, kfast, librdkafka, kfast, librdkafka};
}

TEST(GoalsOfLatencies, ForgiveATenth) {
  const std::vector<Goal> goals = goals_of({latency(100, {550, 2400}, {500, 2000})});
  ASSERT_EQ(goals.size(), 4U);  // p50 and p99, one at a time and paced
  EXPECT_EQ(goals[0].id, "P5");
  EXPECT_EQ(goals[0].verdict(), "met") << goals[0].value;
  EXPECT_DOUBLE_EQ(goals[1].value, 1.2);
  EXPECT_EQ(goals[1].verdict(), "MISSED by 9%");
}

TEST(GoalsOfLatencies, CompareMediansOfOneSize) {
  const std::vector<Goal> goals =
      goals_of({latency(100, {100, 100}, {100, 100}), latency(1024, {900, 900}, {300, 300}),
                latency(100, {300, 300}, {200, 200}), latency(100, {200, 200}, {400, 400})});
  ASSERT_EQ(goals.size(), 8U);
  EXPECT_NE(goals[0].what.find("100 B"), std::string::npos);
  EXPECT_DOUBLE_EQ(goals[0].value, 1);
  EXPECT_NE(goals[4].what.find("1 KiB"), std::string::npos);
  EXPECT_DOUBLE_EQ(goals[4].value, 3);
}

TEST(GoalsOfLatencies, ThatWereNotMeasuredAreNone) {
  EXPECT_TRUE(goals_of(std::vector<Latency>{}).empty());
}

}  // namespace
}  // namespace kfast::bench
