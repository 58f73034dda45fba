// Many topics: what a record costs when the same rate is spread over a thousand of them.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "goal.hpp"
#include "side.hpp"

namespace kfast::bench {

struct Ground;

inline constexpr int kTopicsPartitions = 4;
inline constexpr std::uint32_t kTopicsRate = 20'000;  // records a second, over all topics
inline constexpr std::uint32_t kTopicsValueBytes = 100;

/// One run of one way of sending over so many topics.
struct TopicsRun {
  double rate = 0;            // records a second, first send to last report
  double worker_cpu_us = 0;   // per record, the pacing loop included
  double daemon_cpu_us = 0;   // per record
  double shard_cpu_us = 0;    // of it, the shard; the rest is librdkafka's threads
  double daemon_percent = 0;  // of a core
  double report_p50_us = 0;   // from a record's send to its report
  double report_p99_us = 0;
  double full = 0;  // sends that had to wait for room
};

void to_json(nlohmann::json& json, const TopicsRun& run);
void from_json(const nlohmann::json& json, TopicsRun& run);

/// All runs of one way of sending over so many topics.
struct TopicsSeries {
  Side side = Side::kfast;
  int topics = 0;
  std::vector<TopicsRun> runs;
};

struct Topics {
  double create_seconds = 0;  // all topics, until all have leaders
  std::string linger_ms;      // of both sides; empty: the common setting
  std::string nap_us;         // empty: kfastd's default
  double seconds = 0;         // that records are sent for, in a run
  std::vector<TopicsSeries> series;
};

void to_json(nlohmann::json& json, const Topics& topics);

/// Each run has a kfastd that knows the topics of the run only. Counts the records in Kafka.
[[nodiscard]] Topics measure_topics(Ground& ground);

/// A table of medians, with ratios to the fewest topics.
void print_topics(const Topics& topics);

/// What kfastd's CPU is held to; nothing where one number of topics was measured.
[[nodiscard]] std::vector<Goal> goals_of(const Topics& topics);

/// What its worker process does.
void work_on_topics();

}  // namespace kfast::bench
