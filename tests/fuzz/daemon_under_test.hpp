// The daemon's server and shard inside the fuzzer's process, on real sockets in a folder of its
// own.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "policy/access_list.hpp"
#include "policy/quota.hpp"
#include "session/event_loop.hpp"
#include "session/fd_store.hpp"
#include "session/server.hpp"
#include "shard/shard.hpp"
#include "telemetry/stats.hpp"

namespace kfast::fuzz {

/// Lives as long as the process. No record goes to Kafka: no topic is allowed, so nothing waits for
/// a broker.
class DaemonUnderTest {
 public:
  /// limits.default.sessions.
  static constexpr std::size_t kSessions = 8;

  DaemonUnderTest();
  DaemonUnderTest(const DaemonUnderTest&) = delete;
  DaemonUnderTest& operator=(const DaemonUnderTest&) = delete;
  ~DaemonUnderTest();

  [[nodiscard]] std::string session_socket() const;
  [[nodiscard]] std::string bell_socket() const;

  /// Waits until every session is over, and everything it held is given back: leases, and
  /// descriptors above that number. Aborts when that does not come.
  void expect_nothing_held(std::size_t descriptors_before);

  /// How many descriptors this process has, but for pipes, which no session has.
  [[nodiscard]] static std::size_t descriptors();

 private:
  std::string directory_;
  daemon::config::Config config_;
  daemon::policy::AccessList access_;
  daemon::policy::Quota quota_;
  std::unique_ptr<daemon::telemetry::StatsSegment> stats_;
  daemon::telemetry::DaemonBlock counters_;
  std::unique_ptr<daemon::session::EventLoop> loop_;
  std::unique_ptr<daemon::session::FdStore> store_;
  std::unique_ptr<daemon::shard::Shard> shard_;
  std::unique_ptr<daemon::session::Server> server_;
  std::thread thread_;
};

}  // namespace kfast::fuzz
