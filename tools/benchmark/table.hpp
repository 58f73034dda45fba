// The table of all ways of sending, and what its figures are held to.
#pragma once

#include <vector>

#include "goal.hpp"
#include "series.hpp"

namespace kfast::bench {

/// Rows by case, with ratios to librdkafka's calls in the same case, and what the columns mean.
void print_table(const std::vector<CaseResult>& results);

/// Of those plain records (null keys, no headers) that were measured.
[[nodiscard]] std::vector<Goal> goals_of(const std::vector<CaseResult>& results);

}  // namespace kfast::bench
