// From SIGTERM to the end: what is waited for and for how long, and what is left behind.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "session/event_loop.hpp"
#include "session/fd_store.hpp"
#include "session/server.hpp"
#include "shard/shard.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon {

/// How long librdkafka may take to end its threads after a drain.
constexpr std::chrono::seconds kShutdownTime{10};

/// Lifecycle: begin(), hurry() at any time, then the loop is stopped. The loop's thread. Has to
/// outlive the shard's thread.
class Drain {
 public:
  struct Environment {
    session::EventLoop& loop;
    session::Server& server;
    const session::FdStore& store;
    shard::Shard& shard;
    telemetry::StatsSegment& stats;
    telemetry::DaemonBlock& counters;
    std::function<void(const std::string&)> notify;  // sd_notify(3)'s messages
  };

  /// Everything new is refused from now on; what was sent is flushed for `at_most` this long.
  [[nodiscard]] static std::unique_ptr<Drain> begin(Environment environment,
                                                    std::chrono::milliseconds at_most);
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  ~Drain() = default;

  /// Ends the wait, and this process soon, also where a thread hangs.
  void hurry();

  /// Afterwards: whether every record has its outcome, and the same in words.
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] const std::string& outcome() const { return outcome_; }

 private:
  Drain(Environment environment, std::chrono::milliseconds at_most)
      : environment_(std::move(environment)),
        deadline_(std::chrono::steady_clock::now() + at_most) {}
  void tell(const shard::Waiting& waiting) const;
  void finish(const shard::Undelivered& left);

  Environment environment_;
  std::chrono::steady_clock::time_point deadline_;
  bool hurried_ = false;
  bool whole_ = false;
  std::string outcome_;
};

}  // namespace kfast::daemon
