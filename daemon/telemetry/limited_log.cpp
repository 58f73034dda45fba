#include "telemetry/limited_log.hpp"

#include <algorithm>

namespace kfast::daemon::telemetry {
namespace {

constexpr std::string_view kEverythingElse = "(any)";

}  // namespace

LimitedLog::LimitedLog(std::shared_ptr<spdlog::logger> logger, Limits limits,
                       DaemonBlock* suppressed, std::function<TimePoint()> now)
    : logger_(std::move(logger)), limits_(limits), suppressed_(suppressed), now_(std::move(now)) {}

LimitedLog::~LimitedLog() {
  for (auto& [key, budget] : budgets_) {
    summarise(key, budget);
  }
}

bool LimitedLog::admit(spdlog::level::level_enum level, std::string_view key) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = now_();
  auto found = budgets_.find(key);
  if (found == budgets_.end()) {
    if (budgets_.size() >= limits_.keys) {
      // Keys whose interval is over make room before the new one has to share.
      drop_ended(now);
    }
    const bool room = budgets_.size() < limits_.keys;
    found =
        budgets_.try_emplace(std::string(room ? key : kEverythingElse), Budget{.start = now}).first;
  }
  Budget& budget = found->second;
  if (now - budget.start >= limits_.interval) {
    summarise(found->first, budget);
    budget.start = now;
    budget.written = 0;
  }
  if (budget.written < limits_.lines) {
    ++budget.written;
    return true;
  }
  ++budget.held_back;
  budget.level = std::max(budget.level, level);
  if (suppressed_ != nullptr) {
    suppressed_->add_from_any_thread(DaemonCounter::log_lines_suppressed);
  }
  return false;
}

std::optional<LimitedLog::TimePoint> LimitedLog::flush_ended() {
  const std::lock_guard lock(mutex_);
  return drop_ended(now_());
}

std::optional<LimitedLog::TimePoint> LimitedLog::drop_ended(TimePoint now) {
  std::optional<TimePoint> next;
  for (auto entry = budgets_.begin(); entry != budgets_.end();) {
    const TimePoint end = entry->second.start + limits_.interval;
    if (end <= now) {
      summarise(entry->first, entry->second);
      entry = budgets_.erase(entry);
      continue;
    }
    if (entry->second.held_back > 0) {
      next = next ? std::min(*next, end) : end;
    }
    ++entry;
  }
  return next;
}

void LimitedLog::write(spdlog::level::level_enum level, const std::string& line) {
  logger_->log(level, line);
}

void LimitedLog::summarise(const std::string& key, Budget& budget) {
  if (budget.held_back > 0) {
    write(budget.level, fmt::format("… and {} more like this in {} s key={}", budget.held_back,
                                    limits_.interval.count(), key));
    budget.held_back = 0;
    budget.level = spdlog::level::info;
  }
}

}  // namespace kfast::daemon::telemetry
