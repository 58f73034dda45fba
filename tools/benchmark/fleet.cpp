#include "fleet.hpp"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "connections.hpp"
#include "process_facts.hpp"
#include "progress.hpp"
#include "samples.hpp"
#include "side.hpp"
#include "special.hpp"
#include "worker.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint64_t kRecords = 125'000;  // of each worker
constexpr std::uint64_t kQuickRecords = 15'000;
constexpr std::uint64_t kWarmup = 5'000;
constexpr std::uint64_t kPacedRecords = 4'000;
constexpr std::uint64_t kQuickPacedRecords = 1'000;

/// What each worker does, after it was warmed up.
struct Load {
  std::uint64_t records = 0;
  std::uint64_t rate = 0;  // a second; 0: as fast as goes
};

std::vector<WorkerProcess> start_workers(const Ground& ground, Side side, const std::string& topic,
                                         const Load& load) {
  std::vector<WorkerProcess> workers;
  for (int i = 0; i < kFleetWorkers; ++i) {
    workers.emplace_back("fleet", nlohmann::json{{"side", side},
                                                 {"topic", topic},
                                                 {"number", i},
                                                 {"records", load.records},
                                                 {"rate", load.rate},
                                                 {"warmup", kWarmup},
                                                 {"brokers", ground.options.brokers},
                                                 {"ring_bytes", ground.options.ring_bytes}});
  }
  return workers;
}

void hear_all(std::vector<WorkerProcess>& workers) {
  for (WorkerProcess& worker : workers) {
    static_cast<void>(worker.hear());
  }
}

void tell_all(std::vector<WorkerProcess>& workers) {
  for (WorkerProcess& worker : workers) {
    worker.tell("go on");
  }
}

double cpu_of(const std::vector<WorkerProcess>& workers, pid_t daemon) {
  double seconds = daemon != 0 ? cpu_seconds(daemon) : 0;
  for (const WorkerProcess& worker : workers) {
    seconds += cpu_seconds(worker.pid());
  }
  return seconds;
}

/// What is there while all are connected.
void count_all(FleetRun& run, const std::vector<WorkerProcess>& workers, pid_t daemon,
               const std::string& brokers) {
  for (const WorkerProcess& worker : workers) {
    run.connections += connections_to(brokers, worker.pid());
    run.worker_threads += static_cast<double>(threads_of(worker.pid()).size()) - 1;
  }
  if (daemon != 0) {
    run.connections += connections_to(brokers, daemon);
    run.daemon_threads = static_cast<double>(threads_of(daemon).size());
  }
}

FleetRun one_run(const Ground& ground, Side side, const std::string& topic, const Load& load) {
  std::vector<WorkerProcess> workers = start_workers(ground, side, topic, load);
  const pid_t daemon = side == Side::kfast ? ground.daemon.pid() : 0;
  hear_all(workers);  // warmed up
  FleetRun run;
  const double cpu = cpu_of(workers, daemon);
  const pid_t kafka = ground.options.kafka_pid;
  const double kafka_cpu = kafka != 0 ? cpu_seconds(kafka) : 0;
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  tell_all(workers);
  hear_all(workers);  // all is reported
  const double seconds = static_cast<double>(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
  const auto count = static_cast<double>(load.records * kFleetWorkers);
  run.rate = count / seconds;
  run.cpu_us = (cpu_of(workers, daemon) - cpu) * 1e6 / count;
  run.kafka_cpu_us = kafka != 0 ? (cpu_seconds(kafka) - kafka_cpu) * 1e6 / count : 0;
  count_all(run, workers, daemon, ground.options.brokers);
  tell_all(workers);
  for (WorkerProcess& worker : workers) {
    worker.finish();
  }
  return run;
}

FleetRun counted_run(Ground& ground, Side side, int number, const Load& load) {
  show_progress(std::to_string(kFleetWorkers) +
                (load.rate == 0 ? " workers: " : " paced workers: ") + name_of(side) + ", run " +
                std::to_string(number + 1));
  if (side == Side::none) {
    return one_run(ground, side, "", load);
  }
  const std::string topic = "kfast-bench-fleet-" + std::to_string(::getpid()) + "-" +
                            std::to_string(static_cast<int>(side)) + "-" +
                            std::to_string(load.rate) + "-" + std::to_string(number);
  ground.admin.create_topic(topic);
  const FleetRun run = one_run(ground, side, topic, load);
  const std::uint64_t wanted = kFleetWorkers * (load.records + kWarmup);
  const std::uint64_t counted = ground.admin.record_count(topic);
  if (counted != wanted) {
    give_up("fleet: " + std::to_string(wanted) + " sent, " + std::to_string(counted) + " in Kafka");
  }
  ground.admin.delete_topic(topic);
  return run;
}

FleetRuns measure(Ground& ground, const Load& load) {
  FleetRuns found;
  found.records = load.records;
  for (int run = 0; run < runs(ground.options); ++run) {
    found.kfast.push_back(counted_run(ground, Side::kfast, run, load));
    found.librdkafka.push_back(counted_run(ground, Side::librdkafka, run, load));
    if (load.rate != 0) {
      found.none.push_back(counted_run(ground, Side::none, run, load));
    }
  }
  return found;
}

}  // namespace

Fleet measure_fleet(Ground& ground) {
  // Not counted: a broker that was just started is slow.
  static_cast<void>(counted_run(ground, Side::librdkafka, -1, {kQuickRecords, 0}));
  const bool quick = ground.options.quick;
  Fleet fleet;
  fleet.flooding = measure(ground, {quick ? kQuickRecords : kRecords, 0});
  fleet.paced = measure(ground, {quick ? kQuickPacedRecords : kPacedRecords, kFleetRate});
  return fleet;
}

}  // namespace kfast::bench
