#include <gtest/gtest.h>

#include "benchmark/memory.hpp"

namespace kfast::bench {
namespace {

MemoryRun run() {
  MemoryRun run;
  run.kfast_worker.own_kb = 50;
  run.kfast_worker.resident_kb = 900;
  run.kfast_worker.rings_kb = 5'000;
  run.librdkafka_worker.own_kb = 2'000;
  run.librdkafka_worker.threads = 3;
  run.kfastd.holder_kb = 300'000;
  run.kfastd.rings_kb = 190'000;
  run.librdkafka.holder_kb = 300'000;
  return run;
}

std::vector<Goal> goals(MemoryRun run) {
  return goals_of(MemoryUse{1'000'000, {run}});
}

TEST(GoalsOfMemory, AreMetWhereAWorkerNeedsLittleAndKfastdNoMoreThanLibrdkafkaBesideItsRings) {
  const std::vector<Goal> all = goals(run());
  ASSERT_EQ(all.size(), 3U);
  for (const Goal& goal : all) {
    EXPECT_EQ(goal.id, "P9");
    EXPECT_EQ(goal.verdict(), "met") << goal.what;
  }
}

TEST(GoalsOfMemory, EachIsMissedByItsOwnFigure) {
  MemoryRun large = run();
  large.kfast_worker.own_kb = 250;
  EXPECT_EQ(goals(large).at(0).verdict(), "MISSED by 25%");
  MemoryRun threaded = run();
  threaded.kfast_worker.threads = 1;
  EXPECT_EQ(goals(threaded).at(1).verdict(), "MISSED");
  MemoryRun full = run();
  full.kfastd.holder_kb = 330'000;
  EXPECT_EQ(goals(full).at(2).verdict(), "MISSED by 10%");
}

TEST(GoalsOfMemory, WithoutABrokerToStopThereIsNoneAboutWhatWaits) {
  MemoryRun no_backlog = run();
  no_backlog.kfastd = {};
  no_backlog.librdkafka = {};
  EXPECT_EQ(goals(no_backlog).size(), 2U);
}

TEST(GoalsOfMemory, ThatWereNotMeasuredAreNone) {
  EXPECT_TRUE(goals_of(MemoryUse{}).empty());
}

}  // namespace
}  // namespace kfast::bench
