// What is measured: the cases, each with the variants that are compared in it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "measurement.hpp"

namespace kfast::bench {

/// One case: the same records, sent in several ways, turn by turn.
struct Case {
  std::string title;
  Task task;  // what the variants have in common
  std::vector<Variant> variants;
};

struct Options {
  std::string brokers;
  std::string kfastd;
  std::string json;
  // Large, since librdkafka in the worker may queue 100,000 records; flooded, each ring runs full.
  std::string ring_bytes = "32m";
  std::string only;   // cases whose title contains this
  std::string with;   // ways of sending whose name is this; empty: all
  int runs = 0;       // 0: as the plan says
  int kafka_pid = 0;  // 0: no outage is measured
  bool quick = false;
  bool trusted = false;     // kfastd trusts the workers
  std::vector<int> topics;  // of the measurement "topics": how many; empty: as it says itself
  std::string linger_ms;    // of the measurement "topics", on both sides; empty: the common setting
  std::string nap_us;       // of the measurement "topics"; empty: kfastd's default
};

/// "100 B", "1 KiB".
[[nodiscard]] std::string size_name(std::uint32_t bytes);

[[nodiscard]] std::vector<Case> plan(const Options& options);
/// What the broker is warmed up with: its first seconds are slow, since its code is compiled as it
/// runs.
[[nodiscard]] std::vector<Task> broker_warm_up(const Options& options);
/// What --quick leaves out of the table: titles, or a title with the names of variants.
[[nodiscard]] std::vector<std::string> left_out(const Options& options);
/// Whether a case of this title is to be measured.
[[nodiscard]] bool wants(const Options& options, const std::string& title);
[[nodiscard]] int runs(const Options& options);

}  // namespace kfast::bench
