// What is made of the figures of idle workers: JSON, goals, a table.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "idle.hpp"
#include "samples.hpp"

namespace kfast::bench {
namespace {

constexpr double kPercentGoal = 0.2;

nlohmann::json json_of(const std::vector<IdleRun>& runs) {
  nlohmann::json json = nlohmann::json::array();
  for (const IdleRun& run : runs) {
    json.push_back({{"seconds", run.seconds},
                    {"workers_wakes", run.workers_wakes},
                    {"shards_wakes", run.shards_wakes},
                    {"main_wakes", run.main_wakes},
                    {"librdkafka_wakes", run.librdkafka_wakes},
                    {"cpu_percent", run.cpu_percent},
                    {"librdkafka_percent", run.librdkafka_percent},
                    {"threads", run.threads}});
  }
  return json;
}

void print_row(const char* with, const std::vector<IdleRun>& runs) {
  const auto m = [&](double IdleRun::*figure) { return median_of(runs, figure); };
  std::printf("| %-16s | %8.0f | %8.0f | %8.0f | %10.0f | %9.3f | %10.3f | %7.0f |\n", with,
              m(&IdleRun::workers_wakes), m(&IdleRun::shards_wakes), m(&IdleRun::main_wakes),
              m(&IdleRun::librdkafka_wakes), m(&IdleRun::cpu_percent),
              m(&IdleRun::librdkafka_percent), m(&IdleRun::threads));
}

}  // namespace

void to_json(nlohmann::json& json, const Idle& idle) {
  json = {{"workers", idle.workers},
          {"kfast", json_of(idle.kfast)},
          {"librdkafka", json_of(idle.librdkafka)}};
}

void print_idle(const Idle& idle) {
  std::printf(
      "\n%d idle workers, each a process that has sent a record and waits for events: wake-ups in "
      "%.0f s, medians of %zu runs\n\n",
      idle.workers, median_of(idle.kfast, &IdleRun::seconds), idle.kfast.size());
  std::printf("| %-16s | %8s | %8s | %8s | %10s | %9s | %10s | %7s |\n", "each has", "workers",
              "kfastd's", "kfastd's", "librdkafka", "CPU, % of", "of it", "threads");
  std::printf("| %-16s | %8s | %8s | %8s | %10s | %9s | %10s | %7s |\n", "", "", "shard", "main",
              "threads", "a core", "librdkafka", "workers");
  std::printf(
      "|------------------|----------|----------|----------|------------|-----------|------------|"
      "---------|\n");
  print_row("libkfast", idle.kfast);
  print_row("librdkafka", idle.librdkafka);
  std::printf(
      "\nWake-ups are voluntary context switches of threads. Threads of workers are all but each "
      "one's own.\n");
}

std::vector<Goal> goals_of(const Idle& idle) {
  using Bound = Goal::Bound;
  if (idle.kfast.empty()) {
    return {};
  }
  // The most of all runs: a goal of none is not met by a median of none.
  double wakes = 0;
  for (const IdleRun& run : idle.kfast) {
    wakes = std::max(wakes, run.workers_wakes + run.shards_wakes);
  }
  const std::string workers = std::to_string(idle.workers) + " idle workers: ";
  return {{workers + "wake-ups of theirs and of the shard, in any run", Bound::at_most, 0, wakes,
           "", "P8"},
          {workers + "CPU of all and of kfastd, of a core", Bound::at_most, kPercentGoal,
           median_of(idle.kfast, &IdleRun::cpu_percent), "%", "P8"}};
}

}  // namespace kfast::bench
