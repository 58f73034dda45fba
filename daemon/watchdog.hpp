// Tells the service manager that kfastd makes progress, as often as it wants to hear it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "kfast/ipc/fd.hpp"
#include "session/event_loop.hpp"
#include "shard/shard.hpp"

namespace kfast::daemon {

/// How long the manager waits for a sign of life (WatchdogSec=): $WATCHDOG_USEC, where
/// $WATCHDOG_PID is this process or unset. Nothing: it does not watch.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_time();

/// STATUS= of a kfastd that serves.
[[nodiscard]] std::string status_line(const shard::Standing& standing);

/// The loop's thread. A sign of life is sent only when the shard's own thread has answered a
/// question: a shard that hangs is a kfastd that hangs, and the manager kills it. Without a manager
/// that watches it does nothing, so that an idle kfastd wakes for nothing. Outlives the shard's
/// thread.
class Watchdog {
 public:
  /// `tell` sends sd_notify(3)'s messages.
  Watchdog(session::EventLoop& loop, shard::Shard& shard,
           std::function<void(const std::string&)> tell);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  /// From READY=1 on: three times in each `within`.
  void start(std::chrono::microseconds within);
  /// From now on it says nothing of how kfastd stands: somebody else does.
  void leave_status() { tells_status_ = false; }

 private:
  void ask();
  void on_answer(const shard::Standing& standing);

  session::EventLoop& loop_;
  shard::Shard& shard_;
  std::function<void(const std::string&)> tell_;
  ipc::Fd timer_;
  std::uint32_t unanswered_ = 0;  // ticks since the question that is out
  std::string status_;            // the last that was told
  bool tells_status_ = true;
};

}  // namespace kfast::daemon
