// The brokers go away: what a send costs meanwhile, and how fast what waited leaves afterwards.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "kafka_admin.hpp"

namespace kfast::bench {

inline constexpr std::uint32_t kOutageRate = 20'000;  // records a second
inline constexpr std::uint32_t kOutageValueBytes = 100;
inline constexpr const char* kOutageRingBytes = "8m";

/// One outage. Sends are paced; times are of single sends, two clock reads included.
struct Outage {
  double before_p50_ns = 0;  // the broker answers
  double before_p99_ns = 0;
  double during_p50_ns = 0;  // it does not, and the ring has room
  double during_p99_ns = 0;
  double refused_p50_ns = 0;  // the ring is full
  double refused_p99_ns = 0;
  double backlog = 0;          // records that waited when the broker was back
  double drain_rate = 0;       // of these, a second, from the broker's return to the last report
  double fresh_before_us = 0;  // another worker's records, one at a time: send to report, median
  double fresh_during_us = 0;  // the same while the backlog leaves
};

void to_json(nlohmann::json& json, const Outage& outage);

/// Stops the broker's process (SIGSTOP) in each run, and continues it. Counts the records in Kafka.
[[nodiscard]] std::vector<Outage> measure_outages(int broker_pid, int runs, KafkaAdmin& admin);

/// A table of medians, with the ratios.
void print_outages(const std::vector<Outage>& outages);

}  // namespace kfast::bench
