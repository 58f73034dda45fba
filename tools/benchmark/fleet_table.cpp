// What is made of the fleet's figures: JSON, goals, a table.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "fleet.hpp"
#include "samples.hpp"

namespace kfast::bench {
namespace {

constexpr double kRateGoal = 2;
constexpr double kConnectionsGoal = 1.0 / kFleetWorkers;

nlohmann::json json_of(const std::vector<FleetRun>& runs) {
  nlohmann::json json = nlohmann::json::array();
  for (const FleetRun& run : runs) {
    json.push_back({{"rate", run.rate},
                    {"cpu_us", run.cpu_us},
                    {"connections", run.connections},
                    {"worker_threads", run.worker_threads},
                    {"daemon_threads", run.daemon_threads}});
  }
  return json;
}

/// kfast's median over librdkafka's.
double over(const Fleet& fleet, double FleetRun::*figure) {
  return median_of(fleet.kfast, figure) / median_of(fleet.librdkafka, figure);
}

void print_row(const char* with, const std::vector<FleetRun>& runs) {
  const auto m = [&](double FleetRun::*figure) { return median_of(runs, figure); };
  std::printf("| %-16s | %9.0f | %7.2f | %11.0f | %7.0f | %7.0f |\n", with,
              m(&FleetRun::rate) / 1e3, m(&FleetRun::cpu_us), m(&FleetRun::connections),
              m(&FleetRun::worker_threads), m(&FleetRun::daemon_threads));
}

}  // namespace

void to_json(nlohmann::json& json, const Fleet& fleet) {
  json = {{"workers", kFleetWorkers},
          {"value_bytes", kFleetValueBytes},
          {"records", fleet.records},
          {"kfast", json_of(fleet.kfast)},
          {"librdkafka", json_of(fleet.librdkafka)}};
}

void print_fleet(const Fleet& fleet) {
  std::printf(
      "\n%d workers, each a process that sends %llu records of %u B as fast as goes, all at the "
      "same time; medians of %zu runs\n\n",
      kFleetWorkers, static_cast<unsigned long long>(fleet.records), kFleetValueBytes,
      fleet.kfast.size());
  std::printf("| %-16s | %9s | %7s | %11s | %7s | %7s |\n", "each has", "k rec/s", "CPU us",
              "connections", "threads", "threads");
  std::printf("| %-16s | %9s | %7s | %11s | %7s | %7s |\n", "", "of all", "/record", "to broker",
              "workers", "kfastd");
  std::printf("|------------------|-----------|---------|-------------|---------|---------|\n");
  print_row("libkfast", fleet.kfast);
  print_row("librdkafka", fleet.librdkafka);
  std::printf("| %-16s | %9.2f | %7.2f | %11.3f | %7s | %7s |\n", "ratio",
              over(fleet, &FleetRun::rate), over(fleet, &FleetRun::cpu_us),
              over(fleet, &FleetRun::connections), "", "");
  std::printf(
      "\nThreads of workers are all but each one's own. Every run's records were counted in Kafka "
      "by end offsets.\n");
}

std::vector<Goal> goals_of(const Fleet& fleet) {
  using Bound = Goal::Bound;
  if (fleet.kfast.empty() || fleet.librdkafka.empty()) {
    return {};
  }
  const std::string workers = std::to_string(kFleetWorkers) + " workers: ";
  return {{workers + "records/s, over a producer in each", Bound::at_least, kRateGoal,
           over(fleet, &FleetRun::rate), " times", "P3"},
          {workers + "connections to the broker, over a producer in each", Bound::at_most,
           kConnectionsGoal, over(fleet, &FleetRun::connections), " times", "P3"}};
}

}  // namespace kfast::bench
