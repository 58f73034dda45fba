#include <gtest/gtest.h>

#include "benchmark/idle.hpp"

namespace kfast::bench {
namespace {

IdleRun run(double workers, double shards, double percent) {
  IdleRun run;
  run.workers_wakes = workers;
  run.shards_wakes = shards;
  run.cpu_percent = percent;
  // What is not the goals' matter.
  run.main_wakes = 3;
  run.librdkafka_wakes = 500;
  return run;
}

std::vector<Goal> goals(std::vector<IdleRun> runs) {
  Idle idle;
  idle.workers = 200;
  idle.kfast = std::move(runs);
  return goals_of(idle);
}

TEST(GoalsOfIdleWorkers, AreThatNeitherWorkersNorShardWakeAndThatItCostsNextToNothing) {
  const std::vector<Goal> all = goals({run(0, 0, 0.2)});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].id, "P8");
  EXPECT_EQ(all[0].verdict(), "met");
  EXPECT_EQ(all[1].verdict(), "met");
}

TEST(GoalsOfIdleWorkers, OneWakeUpInOneRunMissesTheGoal) {
  EXPECT_EQ(goals({run(0, 0, 0), run(0, 1, 0), run(0, 0, 0)}).at(0).verdict(), "MISSED");
  EXPECT_EQ(goals({run(1, 0, 0), run(0, 0, 0), run(0, 0, 0)}).at(0).verdict(), "MISSED");
}

TEST(GoalsOfIdleWorkers, CpuIsTheMedianOfTheRuns) {
  EXPECT_EQ(goals({run(0, 0, 9), run(0, 0, 0.1), run(0, 0, 0.1)}).at(1).verdict(), "met");
  EXPECT_EQ(goals({run(0, 0, 0.3)}).at(1).verdict(), "MISSED by 50%");
}

TEST(GoalsOfIdleWorkers, ThatWereNotMeasuredAreNone) {
  EXPECT_TRUE(goals({}).empty());
}

}  // namespace
}  // namespace kfast::bench
