// One measurement: what is asked of a worker process, and what it answers.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace kfast::bench {

/// How records are sent. librdkafka's calls are given F_COPY and run in the worker.
enum class Variant : std::uint8_t {
  send,           // kfast_send
  send_record,    // kfast_send_record, for records with headers
  send_batch,     // kfast_send_batch
  reserve,        // kfast_reserve, the value written in the ring, kfast_commit
  produce,        // rd_kafka_produce
  produceva,      // rd_kafka_produceva, for records with headers
  produce_batch,  // rd_kafka_produce_batch
  ring,           // a bare SPSC ring in the worker's memory, a thread that frees it: no Kafka
};

[[nodiscard]] const char* name_of(Variant variant);
/// Whether kfastd takes part.
[[nodiscard]] constexpr bool is_kfast(Variant variant) {
  return variant <= Variant::reserve;
}
[[nodiscard]] constexpr bool sends_to_kafka(Variant variant) {
  return variant != Variant::ring;
}

/// What a worker process is to do.
struct Task {
  Variant variant = Variant::send;
  std::uint32_t value_bytes = 100;
  bool keys = false;          // of 16 bytes, a thousand different ones; else null keys
  bool headers = false;       // two of them
  bool made = false;          // each value is made for its record, in the timed part; else there
  std::uint32_t rate = 0;     // records a second; 0: as many as go
  std::uint64_t records = 0;  // measured ones
  std::uint64_t warmup = 0;   // sent and delivered before, not measured
  std::string brokers;
  std::string topic;
  std::string ring_bytes;  // of the channel, with a suffix
  int daemon_pid = 0;      // whose CPU counts; 0: nobody's
};

/// What it measured. Times of sends are in nanoseconds and include two clock reads.
struct Measurement {
  static constexpr double kNotMeasured = -1;

  double send_p50_ns = 0;
  double send_p99_ns = 0;
  double net_ns = kNotMeasured;  // flooding: a send without the clock, median of stretches of sends
  double clock_ns = 0;           // two clock reads around nothing
  double seconds = 0;            // first send to last report
  double worker_cpu_us = 0;      // per record, all threads, without waiting for a record's time
  double daemon_cpu_us = 0;      // per record
  std::uint64_t sent = 0;        // warm-up included
  std::uint64_t delivered = 0;   // as the reports say, warm-up included
  std::uint64_t full = 0;        // sends that had to wait for room

  [[nodiscard]] double records_per_second(const Task& task) const {
    return seconds > 0 ? static_cast<double>(task.records) / seconds : 0;
  }
  /// Worker and kfastd, per record.
  [[nodiscard]] double cpu_us() const { return worker_cpu_us + daemon_cpu_us; }
  /// What the worker has of that; 0 when nothing was used.
  [[nodiscard]] double worker_share() const { return cpu_us() > 0 ? worker_cpu_us / cpu_us() : 0; }
};

void to_json(nlohmann::json& json, const Task& task);
void from_json(const nlohmann::json& json, Task& task);
void to_json(nlohmann::json& json, const Measurement& measurement);
void from_json(const nlohmann::json& json, Measurement& measurement);

}  // namespace kfast::bench
