// The table of all ways of sending.
#pragma once

#include <vector>

#include "series.hpp"

namespace kfast::bench {

/// Rows by case, with ratios to librdkafka's calls in the same case, and what the columns mean.
void print_table(const std::vector<CaseResult>& results);

}  // namespace kfast::bench
