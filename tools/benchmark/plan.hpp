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
  std::uint32_t value_bytes = 0;
  std::uint32_t rate = 0;  // records a second; 0: flooding
  std::uint64_t records = 0;
  std::uint64_t warmup = 0;
  std::vector<Variant> variants;
};

struct Options {
  std::string brokers;
  std::string kfastd;
  std::string json;
  std::string ring_bytes = "16m";
  std::string only;   // cases whose title contains this
  std::string with;   // ways of sending whose name is this; empty: all
  int runs = 0;       // 0: as the plan says
  int kafka_pid = 0;  // 0: no outage is measured
  bool quick = false;
};

[[nodiscard]] std::vector<Case> plan(const Options& options);
/// Whether a case of this title is to be measured.
[[nodiscard]] bool wants(const Options& options, const std::string& title);
[[nodiscard]] int runs(const Options& options);

}  // namespace kfast::bench
