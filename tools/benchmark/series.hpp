// The runs of the table's rows.
#pragma once

#include <initializer_list>
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

/// The first series of one of these variants; nullptr when there is none.
[[nodiscard]] const Series* find(const CaseResult& result, std::initializer_list<Variant> variants);

}  // namespace kfast::bench
