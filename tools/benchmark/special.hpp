// The measurements that are not rows of the table: each has a question and a table of its own.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
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

struct Special {
  const char* name;                       // as --only takes it
  const char* what;                       // as it runs
  const char* key;                        // of its figures in the JSON file
  bool stops_broker;                      // needs --kafka-pid
  nlohmann::json (*run)(Ground& ground);  // measures, prints its table, returns its figures
};

/// In the order in which they run.
[[nodiscard]] std::span<const Special> special_measurements();

/// Runs those that the options want. Returns their figures under their keys.
[[nodiscard]] nlohmann::json run_special_measurements(Ground& ground);

}  // namespace kfast::bench
