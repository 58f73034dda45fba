// What is made of the figures of memory: JSON, goals, tables.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "memory.hpp"
#include "samples.hpp"

namespace kfast::bench {
namespace {

constexpr double kWorkerGoalKb = 200;
constexpr double kBacklogGoal = 1;
constexpr double kKbPerMb = 1024;

nlohmann::json json_of(const WorkerFootprint& f) {
  return {{"own_kb", f.own_kb},
          {"resident_kb", f.resident_kb},
          {"rings_kb", f.rings_kb},
          {"threads", f.threads}};
}

nlohmann::json json_of(const Backlog& b) {
  return {{"empty_kb", b.empty_kb}, {"holder_kb", b.holder_kb}, {"rings_kb", b.rings_kb}};
}

/// The median of a figure of one part of all runs.
template <typename Part>
double median(const MemoryUse& memory, Part MemoryRun::*part, double Part::*figure) {
  std::vector<Part> parts;
  for (const MemoryRun& run : memory.runs) {
    parts.push_back(run.*part);
  }
  return median_of(parts, figure);
}

void print_worker(const MemoryUse& memory, const char* with, WorkerFootprint MemoryRun::*part) {
  const auto m = [&](double WorkerFootprint::*figure) { return median(memory, part, figure); };
  std::printf("| %-16s | %9.0f | %9.0f | %9.0f | %7.0f |\n", with, m(&WorkerFootprint::own_kb),
              m(&WorkerFootprint::resident_kb), m(&WorkerFootprint::rings_kb),
              m(&WorkerFootprint::threads));
}

void print_backlog(const MemoryUse& memory, const char* holder, Backlog MemoryRun::*part) {
  const auto m = [&](double Backlog::*figure) { return median(memory, part, figure); };
  std::printf("| %-24s | %8.1f | %8.1f | %8.1f | %8.0f |\n", holder,
              m(&Backlog::empty_kb) / kKbPerMb, m(&Backlog::holder_kb) / kKbPerMb,
              m(&Backlog::rings_kb) / kKbPerMb,
              (m(&Backlog::holder_kb) - m(&Backlog::empty_kb)) * 1024 /
                  static_cast<double>(memory.records));
}

bool has_backlog(const MemoryUse& memory) {
  return median(memory, &MemoryRun::librdkafka, &Backlog::holder_kb) > 0;
}

}  // namespace

void to_json(nlohmann::json& json, const MemoryUse& memory) {
  json = {{"records", memory.records}, {"value_bytes", kMemoryValueBytes}};
  for (const MemoryRun& run : memory.runs) {
    json["runs"].push_back({{"kfast_worker", json_of(run.kfast_worker)},
                            {"librdkafka_worker", json_of(run.librdkafka_worker)},
                            {"kfastd", json_of(run.kfastd)},
                            {"librdkafka", json_of(run.librdkafka)}});
  }
}

void print_memory(const MemoryUse& memory) {
  std::printf(
      "\nWhat a producer adds to a worker, after 10,000 records, rings not counted; medians of %zu "
      "runs\n\n",
      memory.runs.size());
  std::printf("| %-16s | %9s | %9s | %9s | %7s |\n", "it is", "own KB", "all KB", "rings KB",
              "threads");
  std::printf("|------------------|-----------|-----------|-----------|---------|\n");
  print_worker(memory, "libkfast", &MemoryRun::kfast_worker);
  print_worker(memory, "librdkafka", &MemoryRun::librdkafka_worker);
  std::printf(
      "\nOwn is what nobody else maps; all is what is resident, code that other processes share "
      "included.\n");
  if (has_backlog(memory)) {
    std::printf(
        "\n%llu records of %u B wait for a broker that is stopped (SIGSTOP): resident memory of "
        "the process that holds them\n\n",
        static_cast<unsigned long long>(memory.records), kMemoryValueBytes);
    std::printf("| %-24s | %8s | %8s | %8s | %8s |\n", "it is", "before", "with", "rings", "B a");
    std::printf("| %-24s | %8s | %8s | %8s | %8s |\n", "", "MB", "them, MB", "MB", "record");
    std::printf("|--------------------------|----------|----------|----------|----------|\n");
    print_backlog(memory, "kfastd", &MemoryRun::kfastd);
    print_backlog(memory, "a worker with librdkafka", &MemoryRun::librdkafka);
    std::printf(
        "\nWithout the rings, which stand in a column of their own: 128 MiB for records, 32 MiB "
        "for reports.\n");
  }
}

std::vector<Goal> goals_of(const MemoryUse& memory) {
  using Bound = Goal::Bound;
  if (memory.runs.empty()) {
    return {};
  }
  std::vector<Goal> goals = {
      {"a worker's memory beyond its rings", Bound::at_most, kWorkerGoalKb,
       median(memory, &MemoryRun::kfast_worker, &WorkerFootprint::own_kb), " KB", "P9"},
      {"a worker's threads beside its own", Bound::at_most, 0,
       median(memory, &MemoryRun::kfast_worker, &WorkerFootprint::threads), "", "P9"}};
  if (has_backlog(memory)) {
    goals.push_back(
        {std::to_string(memory.records) +
             " records wait: kfastd's memory beyond rings, over librdkafka's in a worker",
         Bound::at_most, kBacklogGoal,
         median(memory, &MemoryRun::kfastd, &Backlog::holder_kb) /
             median(memory, &MemoryRun::librdkafka, &Backlog::holder_kb),
         " times", "P9"});
  }
  return goals;
}

}  // namespace kfast::bench
