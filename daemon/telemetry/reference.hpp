// The reference page of all metrics, made from their declarations.
#pragma once

#include <string>

namespace kfast::daemon::telemetry {

/// Markdown: a section per scope with its labels, a row per metric. `kfastd
/// --print-metrics-reference` prints it.
std::string metrics_reference();

}  // namespace kfast::daemon::telemetry
