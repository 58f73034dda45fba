// How long a record takes from send to report where nothing lingers: by kfastd, and by librdkafka in
// the process.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "goal.hpp"
#include "plan.hpp"

namespace kfast::bench {

class KafkaAdmin;

inline constexpr const char* kLatencyLingerMs = "0";
inline constexpr std::array<std::uint32_t, 2> kLatencySizes{100, 1024};

/// Times of single records, from the call that sends one to its report's being read.
struct ReportTimes {
  double p50_us = 0;
  double p99_us = 0;
};

/// One run of one size: first one record at a time, then paced.
struct Latency {
  std::uint32_t value_bytes = 0;
  ReportTimes kfast_alone;
  ReportTimes librdkafka_alone;
  ReportTimes kfast_paced;
  ReportTimes librdkafka_paced;
};

void to_json(nlohmann::json& json, const Latency& latency);

/// Starts a kfastd of its own, whose profile does not linger. Counts the records in Kafka.
[[nodiscard]] std::vector<Latency> measure_latencies(const Options& options, KafkaAdmin& admin);

/// A table of medians, with the ratios.
void print_latencies(const std::vector<Latency>& latencies);

[[nodiscard]] std::vector<Goal> goals_of(const std::vector<Latency>& latencies);

}  // namespace kfast::bench
