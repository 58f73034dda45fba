#include "goal.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace kfast::bench {
namespace {

const char* words_of(Goal::Bound bound) {
  return bound == Goal::Bound::at_most ? "at most" : "at least";
}

std::string with_unit(const char* format, double value, const std::string& unit) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text + unit;
}

std::string measured(const Goal& goal) {
  return with_unit(goal.value < 1     ? "%.3f"
                   : goal.value < 100 ? "%.2f"
                                      : "%.0f",
                   goal.value, goal.unit);
}

std::string wanted(const Goal& goal) {
  return std::string(words_of(goal.bound)) + ' ' + with_unit("%g", goal.limit, goal.unit);
}

/// How wide a column must be for the longest of these.
template <typename Text>
int width_of(const std::vector<Goal>& goals, Text text) {
  std::size_t width = 0;
  for (const Goal& goal : goals) {
    width = std::max(width, text(goal).size());
  }
  return static_cast<int>(width);
}

}  // namespace

double Goal::missed_by_percent() const {
  return met() ? 0 : std::abs(value - limit) / limit * 100;
}

std::string Goal::verdict() const {
  if (met() || limit == 0) {
    return met() ? "met" : "MISSED";
  }
  return with_unit("MISSED by %.0f", std::max(1.0, missed_by_percent()), "%");
}

void to_json(nlohmann::json& json, const Goal& goal) {
  json = {{"id", goal.id},
          {"what", goal.what},
          {"bound", words_of(goal.bound)},
          {"limit", goal.limit},
          {"value", goal.value},
          {"unit", goal.unit},
          {"met", goal.met()},
          {"missed_by_percent", goal.missed_by_percent()}};
}

void print_goals(const std::vector<Goal>& goals) {
  if (goals.empty()) {
    std::printf("\nNothing was measured that a goal is about.\n");
    return;
  }
  const int what = width_of(goals, [](const Goal& g) { return g.what; });
  const int limit = width_of(goals, wanted);
  const int value = std::max(8, width_of(goals, measured));
  std::printf("\nGoals\n\n| %-3s | %-*s | %-*s | %*s | %-14s |\n", "", what, "", limit, "wanted",
              value, "measured", "");
  const auto rule = [](int width) { return std::string(static_cast<std::size_t>(width) + 2, '-'); };
  std::printf("|%s|%s|%s|%s|%s|\n", rule(3).c_str(), rule(what).c_str(), rule(limit).c_str(),
              rule(value).c_str(), rule(14).c_str());
  for (const Goal& goal : goals) {
    std::printf("| %-3s | %-*s | %-*s | %*s | %-14s |\n", goal.id.c_str(), what, goal.what.c_str(),
                limit, wanted(goal).c_str(), value, measured(goal).c_str(), goal.verdict().c_str());
  }
  const auto met = std::count_if(goals.begin(), goals.end(), [](const Goal& g) { return g.met(); });
  std::printf("\n%td of %zu met\n", met, goals.size());
}

}  // namespace kfast::bench
