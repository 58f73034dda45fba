// One measurement: what is asked of a worker process, and what it answers.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace kfast::bench {

/// How records are sent.
enum class Variant : std::uint8_t {
  kfast,          // kfast_send, kfastd in a process of its own
  produce,        // rd_kafka_produce with F_COPY, in the worker
  produce_batch,  // rd_kafka_produce_batch with F_COPY, in the worker
  ring,           // a bare SPSC ring in the worker's memory, a thread that frees it: no Kafka
  pacing,         // the pacing loop alone: sends nothing
};

[[nodiscard]] const char* name_of(Variant variant);
[[nodiscard]] constexpr bool sends_to_kafka(Variant variant) {
  return variant != Variant::ring && variant != Variant::pacing;
}

/// What a worker process is to do.
struct Task {
  Variant variant = Variant::kfast;
  std::uint32_t value_bytes = 100;
  std::uint32_t rate = 0;     // records a second; 0: as many as go
  std::uint64_t records = 0;  // measured ones
  std::uint64_t warmup = 0;   // sent and delivered before, not measured
  std::string brokers;
  std::string topic;
  std::string ring_bytes;  // of the channel, with a suffix
  int daemon_pid = 0;      // whose CPU counts; 0: nobody's
};

/// What it measured. Times are medians or percentiles of single sends, in nanoseconds, two clock
/// reads included.
struct Measurement {
  double send_p50_ns = 0;
  double send_p99_ns = 0;
  double clock_ns = 0;          // two clock reads around nothing
  double seconds = 0;           // first send to last report
  double worker_cpu_us = 0;     // per record, all threads of the worker, user and system
  double daemon_cpu_us = 0;     // per record
  std::uint64_t sent = 0;       // warm-up included
  std::uint64_t delivered = 0;  // as the reports say, warm-up included
  std::uint64_t full = 0;       // sends that had to wait for room
  std::string error;            // empty, or why there is no measurement

  [[nodiscard]] double records_per_second(const Task& task) const {
    return seconds > 0 ? static_cast<double>(task.records) / seconds : 0;
  }
};

void to_json(nlohmann::json& json, const Task& task);
void from_json(const nlohmann::json& json, Task& task);
void to_json(nlohmann::json& json, const Measurement& measurement);
void from_json(const nlohmann::json& json, Measurement& measurement);

}  // namespace kfast::bench
