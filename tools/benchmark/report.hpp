// What everything was measured with, and the JSON file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "plan.hpp"
#include "series.hpp"

namespace kfast::bench {

/// Machine, kernel, versions, settings.
void print_circumstances(const Options& options);
/// Everything, every run; `special` by its own keys. False, after a sentence on stderr, when the
/// file cannot be written.
[[nodiscard]] bool write_json(const std::string& path, const Options& options,
                              const std::vector<CaseResult>& results,
                              const nlohmann::json& special);

}  // namespace kfast::bench
