// What a worker needs in memory and threads, and what a million records that wait for the broker need.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "goal.hpp"

namespace kfast::bench {

struct Ground;

inline constexpr std::uint32_t kMemoryValueBytes = 100;

/// What opening a producer and using it for a while added to a worker, without kfast's rings.
struct WorkerFootprint {
  double own_kb = 0;       // memory that nobody else maps
  double resident_kb = 0;  // the same, and what others map, too: code, mostly
  double rings_kb = 0;     // kfast's, as far as they were touched
  double threads = 0;
};

/// Resident memory while so many records wait for a broker that is stopped.
struct Backlog {
  double empty_kb = 0;   // the process that holds them, before: kfastd, or the worker
  double holder_kb = 0;  // the same with the records, without rings
  double rings_kb = 0;   // kfast's
};

struct MemoryRun {
  WorkerFootprint kfast_worker;
  WorkerFootprint librdkafka_worker;
  Backlog kfastd;  // all 0 where the broker is not to be stopped
  Backlog librdkafka;
};

struct MemoryUse {
  std::uint64_t records = 0;  // that wait
  std::vector<MemoryRun> runs;
};

void to_json(nlohmann::json& json, const MemoryUse& memory);

/// Stops the broker's process for a while. Counts the records in Kafka.
[[nodiscard]] MemoryUse measure_memory(Ground& ground);

/// Two tables of medians.
void print_memory(const MemoryUse& memory);

[[nodiscard]] std::vector<Goal> goals_of(const MemoryUse& memory);

/// What its worker processes do.
void work_for_memory();

}  // namespace kfast::bench
