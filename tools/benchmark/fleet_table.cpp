// What is made of the fleet's figures: JSON, goals, a table.
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "fleet.hpp"
#include "samples.hpp"

namespace kfast::bench {
namespace {

constexpr double kRateGoal = 2;
constexpr double kPacedCpuGoal = 1;
constexpr double kConnectionsGoal = 1.0 / kFleetWorkers;

nlohmann::json json_of(const std::vector<FleetRun>& runs) {
  nlohmann::json json = nlohmann::json::array();
  for (const FleetRun& run : runs) {
    json.push_back({{"rate", run.rate},
                    {"cpu_us", run.cpu_us},
                    {"kafka_cpu_us", run.kafka_cpu_us},
                    {"connections", run.connections},
                    {"worker_threads", run.worker_threads},
                    {"daemon_threads", run.daemon_threads}});
  }
  return json;
}

nlohmann::json json_of(const FleetRuns& runs) {
  return {{"records", runs.records},
          {"kfast", json_of(runs.kfast)},
          {"librdkafka", json_of(runs.librdkafka)},
          {"pacing loop alone", json_of(runs.none)}};
}

/// What keeping the time costs, which is none of a record's.
double pacing_us(const FleetRuns& fleet) {
  return fleet.none.empty() ? 0 : median_of(fleet.none, &FleetRun::cpu_us);
}

double cpu_us(const FleetRuns& fleet, const std::vector<FleetRun>& runs) {
  return median_of(runs, &FleetRun::cpu_us) - pacing_us(fleet);
}

double cpu_over(const FleetRuns& fleet) {
  return cpu_us(fleet, fleet.kfast) / cpu_us(fleet, fleet.librdkafka);
}

/// kfast's median over librdkafka's.
double over(const FleetRuns& fleet, double FleetRun::*figure) {
  return median_of(fleet.kfast, figure) / median_of(fleet.librdkafka, figure);
}

/// "-" where the broker runs elsewhere, so that nobody knows.
std::string text_of_broker(const FleetRuns& fleet, double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return median_of(fleet.librdkafka, &FleetRun::kafka_cpu_us) == 0 ? "-" : text.data();
}

void print_row(const char* with, const FleetRuns& fleet, const std::vector<FleetRun>& runs) {
  const auto m = [&](double FleetRun::*figure) { return median_of(runs, figure); };
  std::printf("| %-16s | %9.0f | %7.2f | %7s | %11.0f | %7.0f | %7.0f |\n", with,
              m(&FleetRun::rate) / 1e3, cpu_us(fleet, runs),
              text_of_broker(fleet, m(&FleetRun::kafka_cpu_us)).c_str(), m(&FleetRun::connections),
              m(&FleetRun::worker_threads), m(&FleetRun::daemon_threads));
}

void print_rows(const FleetRuns& fleet) {
  std::printf("| %-16s | %9s | %7s | %7s | %11s | %7s | %7s |\n", "each has", "k rec/s", "CPU us",
              "broker", "connections", "threads", "threads");
  std::printf("| %-16s | %9s | %7s | %7s | %11s | %7s | %7s |\n", "", "of all", "/record", "CPU us",
              "to broker", "workers", "kfastd");
  std::printf(
      "|------------------|-----------|---------|---------|-------------|---------|---------|\n");
  print_row("libkfast", fleet, fleet.kfast);
  print_row("librdkafka", fleet, fleet.librdkafka);
  std::printf("| %-16s | %9.2f | %7.2f | %7s | %11.3f | %7s | %7s |\n", "ratio",
              over(fleet, &FleetRun::rate), cpu_over(fleet),
              text_of_broker(fleet, over(fleet, &FleetRun::kafka_cpu_us)).c_str(),
              over(fleet, &FleetRun::connections), "", "");
}

}  // namespace

void to_json(nlohmann::json& json, const Fleet& fleet) {
  json = {{"workers", kFleetWorkers},
          {"value_bytes", kFleetValueBytes},
          {"flooding", json_of(fleet.flooding)},
          {"paced", json_of(fleet.paced)},
          {"paced_rate", kFleetRate}};
}

void print_fleet(const Fleet& fleet) {
  std::printf(
      "\n%d workers, each a process that sends %llu records of %u B as fast as goes, all at the "
      "same time; medians of %zu runs\n\n",
      kFleetWorkers, static_cast<unsigned long long>(fleet.flooding.records), kFleetValueBytes,
      fleet.flooding.kfast.size());
  print_rows(fleet.flooding);
  std::printf(
      "\n%d workers, each a process that sends %llu records of %u B, one at a time, %llu a second; "
      "medians of %zu runs\n\n",
      kFleetWorkers, static_cast<unsigned long long>(fleet.paced.records), kFleetValueBytes,
      static_cast<unsigned long long>(kFleetRate), fleet.paced.kfast.size());
  print_rows(fleet.paced);
  std::printf(
      "\nCPU us is that of workers and kfastd; paced, without the timer that keeps the pace (%.2f "
      "us).\nThreads of workers are all but each one's own. Every run's records were counted in "
      "Kafka by end offsets.\n",
      pacing_us(fleet.paced));
}

std::vector<Goal> goals_of(const Fleet& fleet) {
  using Bound = Goal::Bound;
  if (fleet.flooding.kfast.empty() || fleet.paced.kfast.empty()) {
    return {};
  }
  const std::string workers = std::to_string(kFleetWorkers) + " workers: ";
  const std::string paced = std::to_string(kFleetWorkers) + " workers, " +
                            std::to_string(kFleetRate) + " a second each: ";
  return {{workers + "records/s, over a producer in each", Bound::at_least, kRateGoal,
           over(fleet.flooding, &FleetRun::rate), " times", "P3"},
          {workers + "connections to the broker, over a producer in each", Bound::at_most,
           kConnectionsGoal, over(fleet.flooding, &FleetRun::connections), " times", "P3"},
          {paced + "CPU a record, over a producer in each", Bound::at_most, kPacedCpuGoal,
           cpu_over(fleet.paced), " times", "P4"}};
}

}  // namespace kfast::bench
