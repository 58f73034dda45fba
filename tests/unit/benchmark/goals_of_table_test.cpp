#include <gtest/gtest.h>

#include <algorithm>

#include "benchmark/table.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint64_t kRecords = 1'000'000;

Measurement figures(double p50, double p99, double net, double seconds, double worker,
                    double daemon) {
  Measurement m;
  m.send_p50_ns = p50;
  m.send_p99_ns = p99;
  m.net_ns = net;
  m.seconds = seconds;
  m.worker_cpu_us = worker;
  m.daemon_cpu_us = daemon;
  return m;
}

CaseResult case_of(std::uint32_t rate) {
  CaseResult result;
  result.plan.title = rate == 0 ? "flooding" : "paced";
  result.plan.task.rate = rate;
  result.plan.task.records = kRecords;
  return result;
}

void add(CaseResult& result, Variant variant, std::vector<Measurement> runs) {
  Task task = result.plan.task;
  task.variant = variant;
  result.series.push_back({task, std::move(runs)});
}

/// kfast beside rd_kafka_produce and the bare ring, with figures whose ratios are easy to say.
CaseResult flooding() {
  CaseResult result = case_of(0);
  add(result, Variant::ring, {figures(40, 60, 10, 0.1, 0.1, 0)});
  add(result, Variant::send, {figures(50, 400, 18, 1.25, 0.1, 0.9)});
  add(result, Variant::produce, {figures(200, 800, 180, 1, 1.25, 0)});
  return result;
}

CaseResult paced() {
  CaseResult result = case_of(20'000);
  add(result, Variant::send, {figures(60, 300, Measurement::kNotMeasured, 3, 0.3, 1.2)});
  add(result, Variant::produce, {figures(300, 1000, Measurement::kNotMeasured, 3, 1, 0)});
  return result;
}

/// The goal whose words contain this; it must be one.
Goal only(const std::vector<Goal>& goals, const std::string& words) {
  const auto contains = [&](const Goal& g) { return g.what.find(words) != std::string::npos; };
  EXPECT_EQ(std::count_if(goals.begin(), goals.end(), contains), 1) << words;
  const auto found = std::find_if(goals.begin(), goals.end(), contains);
  return found == goals.end() ? Goal{} : *found;
}

TEST(GoalsOfTheTable, AreRatiosOfWhatWasMeasured) {
  const std::vector<Goal> goals = goals_of({flooding()});
  EXPECT_EQ(goals.size(), 5U);
  const Goal p50 = only(goals, "p50");
  EXPECT_EQ(p50.id, "P1");
  EXPECT_DOUBLE_EQ(p50.value, 0.25);
  EXPECT_EQ(p50.verdict(), "met");
  EXPECT_EQ(only(goals, "bare SPSC ring").verdict(), "MISSED by 20%");
  EXPECT_EQ(only(goals, "records/s").verdict(), "MISSED by 20%");
  EXPECT_EQ(only(goals, "records/s").id, "P2");
  EXPECT_DOUBLE_EQ(only(goals, "CPU a record").value, 0.8);
  EXPECT_EQ(only(goals, "CPU a record").id, "P4");
  EXPECT_DOUBLE_EQ(only(goals, "share").value, 0.1);
  EXPECT_TRUE(only(goals, "share").met());
}

TEST(GoalsOfTheTable, OfPacedRecordsAreAboutTheTailAndNotAboutTheRate) {
  const std::vector<Goal> goals = goals_of({paced()});
  EXPECT_EQ(goals.size(), 4U);
  EXPECT_EQ(only(goals, "p50").verdict(), "met");
  EXPECT_EQ(only(goals, "p99").verdict(), "MISSED by 20%");
  EXPECT_EQ(only(goals, "CPU a record").verdict(), "MISSED by 50%");
  EXPECT_EQ(only(goals, "share").verdict(), "MISSED by 33%");
}

TEST(GoalsOfTheTable, AreAboutTheMedianOfTheRuns) {
  CaseResult result = case_of(0);
  add(result, Variant::send,
      {figures(500, 1, 1, 1, 1, 1), figures(10, 1, 1, 1, 1, 1), figures(20, 1, 1, 1, 1, 1)});
  add(result, Variant::produce,
      {figures(100, 1, 1, 1, 1, 1), figures(100, 1, 1, 1, 1, 1), figures(9, 1, 1, 1, 1, 1)});
  EXPECT_DOUBLE_EQ(only(goals_of({result}), "p50").value, 0.2);
}

TEST(GoalsOfTheTable, ThatNeedWhatWasNotMeasuredAreLeftOut) {
  EXPECT_TRUE(goals_of(std::vector<CaseResult>{}).empty());

  CaseResult without_librdkafka = flooding();
  without_librdkafka.series.pop_back();
  EXPECT_TRUE(goals_of({without_librdkafka}).empty());

  CaseResult without_ring = flooding();
  without_ring.series.erase(without_ring.series.begin());
  EXPECT_EQ(goals_of({without_ring}).size(), 4U);

  CaseResult without_stretches = flooding();
  without_stretches.series.front().runs.front().net_ns = Measurement::kNotMeasured;
  EXPECT_EQ(goals_of({without_stretches}).size(), 4U);
}

TEST(GoalsOfTheTable, AreAboutPlainRecords) {
  for (bool Task::*more : {&Task::keys, &Task::headers, &Task::made}) {
    CaseResult result = flooding();
    result.plan.task.*more = true;
    EXPECT_TRUE(goals_of({result}).empty());
  }
}

}  // namespace
}  // namespace kfast::bench
