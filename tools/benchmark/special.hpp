// The measurements that are not rows of the table: each has a question and a table of its own.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon_process.hpp"
#include "goal.hpp"
#include "kafka_admin.hpp"
#include "plan.hpp"

namespace kfast::bench {

/// What all of them work with.
struct Ground {
  const Options& options;
  KafkaAdmin& admin;
  DaemonProcess& daemon;
  std::vector<Goal>& goals;  // where each adds what it is held to
};

/// Runs of what hardly scatters, such as counts and memory: three unless asked otherwise.
[[nodiscard]] int few_runs(const Options& options);

/// Runs those that the options want, and says which ones --quick leaves out. Returns their figures
/// under their keys.
[[nodiscard]] nlohmann::json run_special_measurements(Ground& ground);

/// In a worker process: does the work of the measurement of this name.
void run_special_worker(const std::string& name);

}  // namespace kfast::bench
