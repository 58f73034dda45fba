// The tables and the JSON file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "measurement.hpp"
#include "plan.hpp"

namespace kfast::bench {

/// All runs of one variant in one case.
struct Series {
  Task task;
  std::vector<Measurement> runs;
};

struct CaseResult {
  Case plan;
  std::vector<Series> series;
};

/// The run-wise medians.
[[nodiscard]] Measurement median(const Series& series);

/// Machine, kernel, versions, settings.
void print_circumstances(const Options& options);
/// One table, with ratios to rd_kafka_produce and rd_kafka_produce_batch of the same case.
void print_table(const std::vector<CaseResult>& results);
/// Everything, every run; `special` by its own keys. False, after a sentence on stderr, when the file cannot be written.
[[nodiscard]] bool write_json(const std::string& path, const Options& options,
                              const std::vector<CaseResult>& results,
                              const nlohmann::json& special);

}  // namespace kfast::bench
