// Sixteen workers of one machine, each a process: through one kfastd, or with a producer each.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "goal.hpp"

namespace kfast::bench {

struct Ground;

inline constexpr int kFleetWorkers = 16;
inline constexpr std::uint32_t kFleetValueBytes = 100;
/// Records a second of each worker, where they are paced.
inline constexpr std::uint64_t kFleetRate = 1000;

/// All workers send at the same time.
struct FleetRun {
  double rate = 0;            // records a second of all, first send to last report
  double cpu_us = 0;          // per record, of all workers and kfastd
  double kafka_cpu_us = 0;    // per record, of the broker
  double connections = 0;     // to the broker, of all workers and kfastd
  double worker_threads = 0;  // of all workers together, beside each one's own
  double daemon_threads = 0;
};

struct FleetRuns {
  std::uint64_t records = 0;  // of each worker
  std::vector<FleetRun> kfast;
  std::vector<FleetRun> librdkafka;
  std::vector<FleetRun> none;  // that only keep the time; empty where there is none to keep
};

struct Fleet {
  FleetRuns flooding;  // as fast as goes
  FleetRuns paced;     // one record at a time, kFleetRate a second
};

void to_json(nlohmann::json& json, const Fleet& fleet);

/// Counts the records in Kafka.
[[nodiscard]] Fleet measure_fleet(Ground& ground);

/// Tables of medians.
void print_fleet(const Fleet& fleet);

[[nodiscard]] std::vector<Goal> goals_of(const Fleet& fleet);

/// What its worker processes do.
void work_in_fleet();

}  // namespace kfast::bench
