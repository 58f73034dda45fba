#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "benchmark/fleet.hpp"

namespace kfast::bench {
namespace {

FleetRun run(double rate, double connections) {
  FleetRun run;
  run.rate = rate;
  run.connections = connections;
  return run;
}

FleetRun costing(double cpu_us) {
  FleetRun run;
  run.cpu_us = cpu_us;
  return run;
}

/// Paced, a record costs 6 us over kfastd and 20 us with a producer in each worker.
Fleet fleet_of(std::vector<FleetRun> kfast, std::vector<FleetRun> librdkafka) {
  Fleet fleet;
  fleet.flooding.kfast = std::move(kfast);
  fleet.flooding.librdkafka = std::move(librdkafka);
  fleet.paced.kfast = {costing(10)};
  fleet.paced.librdkafka = {costing(24)};
  fleet.paced.none = {costing(4)};
  return fleet;
}

TEST(GoalsOfTheFleet, AreMetAtTwiceTheRecordsAndASixteenthOfTheConnections) {
  const std::vector<Goal> goals = goals_of(fleet_of({run(400'000, 1)}, {run(200'000, 16)}));
  ASSERT_EQ(goals.size(), 3U);
  EXPECT_EQ(goals[0].id, "P3");
  EXPECT_DOUBLE_EQ(goals[0].value, 2);
  EXPECT_EQ(goals[0].verdict(), "met");
  EXPECT_EQ(goals[1].verdict(), "met");
}

TEST(GoalsOfTheFleet, AreMissedBelow) {
  const std::vector<Goal> goals = goals_of(fleet_of({run(300'000, 2)}, {run(200'000, 16)}));
  ASSERT_EQ(goals.size(), 3U);
  EXPECT_EQ(goals[0].verdict(), "MISSED by 25%");
  EXPECT_EQ(goals[1].verdict(), "MISSED by 100%");
}

TEST(GoalsOfTheFleet, AreAboutMedians) {
  const Fleet fleet = fleet_of({run(9'000'000, 1), run(100'000, 1), run(200'000, 1)},
                               {run(100'000, 16), run(50'000, 16), run(1, 16)});
  EXPECT_DOUBLE_EQ(goals_of(fleet).at(0).value, 4);
}

TEST(GoalsOfTheFleet, LeaveOutWhatKeepingThePaceCosts) {
  const Goal goal = goals_of(fleet_of({run(1, 1)}, {run(1, 1)})).at(2);
  EXPECT_EQ(goal.id, "P4");
  EXPECT_DOUBLE_EQ(goal.value, 0.3);
  EXPECT_EQ(goal.verdict(), "met");
}

TEST(GoalsOfTheFleet, ThatWereNotMeasuredAreNone) {
  EXPECT_TRUE(goals_of(Fleet{}).empty());
}

TEST(Fleet, EachRunIsWritten) {
  Fleet fleet;
  fleet.flooding.records = 7;
  fleet.flooding.kfast = {run(1, 2), run(3, 4)};
  fleet.paced.none = {costing(5)};
  const nlohmann::json json = fleet;
  EXPECT_EQ(json.at("flooding").at("records"), 7);
  EXPECT_EQ(json.at("flooding").at("kfast").at(1).at("rate"), 3);
  EXPECT_EQ(json.at("flooding").at("kfast").at(1).at("connections"), 4);
  EXPECT_TRUE(json.at("flooding").at("librdkafka").empty());
  EXPECT_EQ(json.at("paced").at("pacing loop alone").at(0).at("cpu_us"), 5);
}

}  // namespace
}  // namespace kfast::bench
