#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "benchmark/topics.hpp"

namespace kfast::bench {
namespace {

TopicsSeries series(Side side, int topics, std::vector<double> daemon_cpu_us) {
  TopicsSeries series{side, topics, {}};
  for (const double us : daemon_cpu_us) {
    TopicsRun run;
    run.daemon_cpu_us = us;
    series.runs.push_back(run);
  }
  return series;
}

Topics measured(double most_us) {
  Topics topics;
  topics.series = {series(Side::kfast, 10, {2}), series(Side::librdkafka, 10, {0}),
                   series(Side::kfast, 100, {99}), series(Side::kfast, 1000, {most_us, 1, 500}),
                   series(Side::none, 1, {0})};
  return topics;
}

TEST(GoalsOfTopics, AreAboutKfastdsCpuWithMostTopicsOverThatWithFewest) {
  const std::vector<Goal> goals = goals_of(measured(3));
  ASSERT_EQ(goals.size(), 1U);
  EXPECT_EQ(goals[0].id, "P11");
  EXPECT_DOUBLE_EQ(goals[0].value, 1.5);
  EXPECT_EQ(goals[0].verdict(), "met");
  EXPECT_EQ(goals_of(measured(6)).at(0).verdict(), "MISSED by 100%");
}

TEST(GoalsOfTopics, ThatCompareNothingAreNone) {
  Topics one;
  one.series = {series(Side::kfast, 10, {2}), series(Side::librdkafka, 10, {0})};
  EXPECT_TRUE(goals_of(one).empty());
  EXPECT_TRUE(goals_of(Topics{}).empty());
}

TEST(Topics, EachRunIsWrittenAndItsMedian) {
  const nlohmann::json json = measured(3);
  const nlohmann::json& row = json.at("rows").at(3);
  EXPECT_EQ(row.at("topics"), 1000);
  EXPECT_EQ(row.at("all").size(), 3U);
  EXPECT_EQ(row.at("median").at("daemon_cpu_us"), 3);
  EXPECT_EQ(row.at("all").at(0).get<TopicsRun>().daemon_cpu_us, 3);
}

}  // namespace
}  // namespace kfast::bench
