#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "benchmark/fleet.hpp"

namespace kfast::bench {
namespace {

FleetRun run(double rate, double connections) {
  FleetRun run;
  run.rate = rate;
  run.connections = connections;
  return run;
}

TEST(GoalsOfTheFleet, AreMetAtTwiceTheRecordsAndASixteenthOfTheConnections) {
  Fleet fleet;
  fleet.kfast = {run(400'000, 1)};
  fleet.librdkafka = {run(200'000, 16)};
  const std::vector<Goal> goals = goals_of(fleet);
  ASSERT_EQ(goals.size(), 2U);
  EXPECT_EQ(goals[0].id, "P3");
  EXPECT_DOUBLE_EQ(goals[0].value, 2);
  EXPECT_EQ(goals[0].verdict(), "met");
  EXPECT_EQ(goals[1].verdict(), "met");
}

TEST(GoalsOfTheFleet, AreMissedBelow) {
  Fleet fleet;
  fleet.kfast = {run(300'000, 2)};
  fleet.librdkafka = {run(200'000, 16)};
  const std::vector<Goal> goals = goals_of(fleet);
  ASSERT_EQ(goals.size(), 2U);
  EXPECT_EQ(goals[0].verdict(), "MISSED by 25%");
  EXPECT_EQ(goals[1].verdict(), "MISSED by 100%");
}

TEST(GoalsOfTheFleet, AreAboutMedians) {
  Fleet fleet;
  fleet.kfast = {run(9'000'000, 1), run(100'000, 1), run(200'000, 1)};
  fleet.librdkafka = {run(100'000, 16), run(50'000, 16), run(1, 16)};
  EXPECT_DOUBLE_EQ(goals_of(fleet).at(0).value, 4);
}

TEST(GoalsOfTheFleet, ThatWereNotMeasuredAreNone) {
  EXPECT_TRUE(goals_of(Fleet{}).empty());
}

TEST(Fleet, EachRunIsWritten) {
  Fleet fleet;
  fleet.records = 7;
  fleet.kfast = {run(1, 2), run(3, 4)};
  const nlohmann::json json = fleet;
  EXPECT_EQ(json.at("records"), 7);
  EXPECT_EQ(json.at("kfast").at(1).at("rate"), 3);
  EXPECT_EQ(json.at("kfast").at(1).at("connections"), 4);
  EXPECT_TRUE(json.at("librdkafka").empty());
}

}  // namespace
}  // namespace kfast::bench
