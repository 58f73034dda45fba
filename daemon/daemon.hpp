// A running kfastd: everything between a configuration and an exit code.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "command_line.hpp"
#include "config/config.hpp"
#include "config/result.hpp"
#include "drain.hpp"
#include "kafka/dev_broker.hpp"
#include "kfast/ipc/fd.hpp"
#include "policy/access_list.hpp"
#include "policy/quota.hpp"
#include "session/event_loop.hpp"
#include "session/fd_store.hpp"
#include "session/listeners.hpp"
#include "session/server.hpp"
#include "shard/shard.hpp"
#include "telemetry/stats.hpp"
#include "watchdog.hpp"

namespace kfast::daemon {

/// Lifecycle: start(), run(), destruction. One per process; used by the main thread.
class Daemon {
 public:
  /// What a process has before it is a kfastd.
  struct Given {
    ipc::Fd signals;               // a signalfd
    ipc::Fd directory;             // the lock of claim_directory()
    session::KeptFds kept;         // of take_kept_fds(), without
    session::Listeners listeners;  // of take_listeners()
    /// Reads the configuration again, for a reload.
    std::function<Result<config::Config>()> read_config;
  };

  /// Makes the shard and has the sockets. Fails with a sentence.
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(
      config::Config config, std::unique_ptr<kafka::DevBroker> dev_broker, Given given);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  /// Serves until SIGTERM or SIGINT, then drains. Returns the exit code.
  int run();

 private:
  explicit Daemon(config::Config config);
  void on_signal();
  void begin_drain();
  void reload();
  void announce_reloaded();
  /// Empty, or why the file as it is now is refused.
  [[nodiscard]] std::string take_new_config();
  void announce_serving();
  /// To whoever started us, as of sd_notify(3).
  void tell(const std::string& state);

  config::Config config_;
  std::unique_ptr<kafka::DevBroker> dev_broker_;
  ipc::Fd signals_;
  ipc::Fd directory_;
  policy::AccessList access_;
  policy::Quota quota_;
  std::unique_ptr<telemetry::StatsSegment> stats_;
  telemetry::DaemonBlock counters_;
  telemetry::DaemonBlock log_counters_;  // counted under the log's own mutex
  std::unique_ptr<session::EventLoop> loop_;
  std::unique_ptr<session::FdStore> store_;
  session::KeptFds kept_;
  std::function<Result<config::Config>()> read_config_;
  std::unique_ptr<shard::Shard> shard_;
  std::unique_ptr<session::Server> server_;
  std::unique_ptr<Watchdog> watchdog_;
  bool serving_ = false;          // kept segments are adopted
  bool stop_asked_ = false;       // before that
  bool reload_asked_ = false;     // before it serves
  std::unique_ptr<Drain> drain_;  // from the first SIGTERM on
};

}  // namespace kfast::daemon
