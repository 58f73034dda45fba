// Many workers that are attached and idle: what wakes up, and what it costs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "goal.hpp"

namespace kfast::bench {

struct Ground;

/// Wake-ups of all workers and kfastd while nobody sends, and their CPU.
struct IdleRun {
  double seconds = 0;
  double workers_wakes = 0;     // of the workers' own threads
  double shards_wakes = 0;      // of kfastd's shards
  double main_wakes = 0;        // of kfastd's other threads
  double librdkafka_wakes = 0;  // of librdkafka's threads, wherever they are
  double cpu_percent = 0;       // of a core, all of these
  double librdkafka_percent = 0;
  double threads = 0;  // of the workers, beside each one's own
};

struct Idle {
  int workers = 0;
  std::vector<IdleRun> kfast;
  std::vector<IdleRun> librdkafka;
};

void to_json(nlohmann::json& json, const Idle& idle);

/// Each worker is a process that has sent a record and now waits for events.
[[nodiscard]] Idle measure_idle(Ground& ground);

/// A table of medians.
void print_idle(const Idle& idle);

[[nodiscard]] std::vector<Goal> goals_of(const Idle& idle);

/// What its worker process does: it forks the workers and looks after them.
void look_after_idle_workers();

}  // namespace kfast::bench
