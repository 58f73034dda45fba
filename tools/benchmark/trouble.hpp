// One topic is in trouble: what records of a healthy one notice, from send to report.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "kafka_admin.hpp"

namespace kfast::bench {

/// Times from a record's send to its report, one record at a time.
struct RoundTrips {
  double p50_us = 0;
  double p99_us = 0;
  double longest_us = 0;  // a single wait that percentiles do not show
};

/// The topic in trouble does not exist: librdkafka keeps its records, since it may be about to.
struct Trouble {
  RoundTrips alone;
  RoundTrips other_channel;  // another worker floods the topic in trouble
  RoundTrips same_channel;   // the same worker's other topic holds its whole share of the ring
};

void to_json(nlohmann::json& json, const Trouble& trouble);

[[nodiscard]] std::vector<Trouble> measure_troubles(int runs, KafkaAdmin& admin);

/// A table of medians, with the ratios.
void print_troubles(const std::vector<Trouble>& troubles);

}  // namespace kfast::bench
