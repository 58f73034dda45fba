// kfastd is killed and started again: how long until the first record of its workers is delivered.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "daemon_process.hpp"
#include "goal.hpp"
#include "kafka_admin.hpp"

namespace kfast::bench {

/// From the start of the process to the first report that its worker reads, in milliseconds.
struct Restart {
  double empty_ms = 0;       // one record waits
  double full_ms = 0;        // the ring is full
  double librdkafka_ms = 0;  // rd_kafka_new to the first delivery: what connecting takes
};

void to_json(nlohmann::json& json, const Restart& restart);

/// Kills kfastd several times in each run. Counts the records in Kafka, where none may be missing; some may be
/// there twice.
[[nodiscard]] std::vector<Restart> measure_restarts(DaemonProcess& daemon,
                                                    const std::string& brokers, int runs,
                                                    KafkaAdmin& admin);

[[nodiscard]] std::vector<Goal> goals_of(const std::vector<Restart>& restarts);
void print_restarts(const std::vector<Restart>& restarts);

}  // namespace kfast::bench
