// What a measurement is held to, beside what it found.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace kfast::bench {

struct Goal {
  enum class Bound : bool { at_most, at_least };

  std::string what;
  Bound bound = Bound::at_most;
  double limit = 0;
  double value = 0;  // what was measured
  std::string unit;  // after both numbers
  std::string id;    // such as P1: which promise of speed it belongs to

  [[nodiscard]] bool met() const {
    return bound == Bound::at_most ? value <= limit : value >= limit;
  }
  /// How far beyond the limit, in percent of it; 0 when met, infinite beyond a limit of 0.
  [[nodiscard]] double missed_by_percent() const;
  /// "met" or "MISSED by N%"; a miss is at least 1%, and of a limit of 0
  /// it is "MISSED".
  [[nodiscard]] std::string verdict() const;
};

void to_json(nlohmann::json& json, const Goal& goal);

/// A table of them, and how many are met.
void print_goals(const std::vector<Goal>& goals);

}  // namespace kfast::bench
