// The log of everything that can repeat: a broken broker or a hostile worker must not fill a disk.
#pragma once

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "telemetry/stats.hpp"

namespace kfast::daemon::telemetry {

/// Per key, lets `lines` messages through in an interval and counts the rest; when the interval is
/// over, one line says "… and 1234 more like this in 60 s". A line that is let through counts
/// towards the key it was given, so the key says what "like this" means: "broker_error:main", not
/// one key for all.
///
/// There is no timer in here. The summary is written at the key's next message, by flush_ended(),
/// or on destruction; a loop that wants it in time sets its own timer to what flush_ended()
/// returns, and so has one only while lines are held back. Threads: any.
class LimitedLog {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Limits {
    std::uint32_t lines = 5;  ///< per key and interval, 1 or more
    std::chrono::seconds interval{60};
    std::size_t keys = 4096;  ///< keys beyond these share one budget
  };

  /// `suppressed` may be null; otherwise it must outlive this, and what is held back is counted
  /// there.
  LimitedLog(std::shared_ptr<spdlog::logger> logger, Limits limits,
             DaemonBlock* suppressed = nullptr,
             std::function<TimePoint()> now = std::chrono::steady_clock::now);
  ~LimitedLog();
  LimitedLog(const LimitedLog&) = delete;
  LimitedLog& operator=(const LimitedLog&) = delete;

  /// Formats and logs, if the key may. Messages below the logger's level cost nothing and count
  /// nowhere.
  template <class... Args>
  void log(spdlog::level::level_enum level, std::string_view key,
           fmt::format_string<Args...> format, Args&&... args) {
    if (logger_->should_log(level) && admit(level, key)) {
      write(level, fmt::format(format, std::forward<Args>(args)...));
    }
  }

  /// Writes the summaries of intervals that are over. Returns when the next one is due, if lines
  /// are held back.
  std::optional<TimePoint> flush_ended();

 private:
  struct Budget {
    TimePoint start{};
    std::uint32_t written = 0;
    std::uint64_t held_back = 0;
    spdlog::level::level_enum level = spdlog::level::info;
  };

  bool admit(spdlog::level::level_enum level, std::string_view key);
  void write(spdlog::level::level_enum level, const std::string& line);
  std::optional<TimePoint> drop_ended(TimePoint now);
  void summarise(const std::string& key, Budget& budget);

  const std::shared_ptr<spdlog::logger> logger_;
  const Limits limits_;
  DaemonBlock* const suppressed_;
  const std::function<TimePoint()> now_;
  std::mutex mutex_;
  std::map<std::string, Budget, std::less<>> budgets_;
};

}  // namespace kfast::daemon::telemetry
