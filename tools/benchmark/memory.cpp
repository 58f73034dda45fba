#include "memory.hpp"

#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "broker.hpp"
#include "kfastctl/stats_file.hpp"
#include "process_facts.hpp"
#include "progress.hpp"
#include "samples.hpp"
#include "side.hpp"
#include "special.hpp"
#include "worker.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint64_t kRecords = 1'000'000;
constexpr std::uint64_t kQuickRecords = 200'000;
constexpr std::uint64_t kUsed = 10'000;  // records of a worker that is measured itself
constexpr std::uint64_t kLookEveryNs = 200'000'000;
constexpr std::uint64_t kStuckNs = 60'000'000'000;

nlohmann::json task_of(const Ground& ground, Side side, const std::string& topic,
                       std::uint64_t records, bool backlog) {
  return {{"side", side},
          {"topic", topic},
          {"brokers", ground.options.brokers},
          {"records", records},
          {"backlog", backlog}};
}

WorkerFootprint footprint(const Ground& ground, Side side, const std::string& topic) {
  WorkerProcess worker("memory", task_of(ground, side, topic, kUsed, false));
  static_cast<void>(worker.hear());
  const ProcessMemory before = memory_of(worker.pid());
  worker.tell("open");
  static_cast<void>(worker.hear());
  const ProcessMemory after = memory_of(worker.pid());
  WorkerFootprint footprint;
  footprint.own_kb = after.rest.own - before.rest.own;
  footprint.resident_kb = after.rest.rss - before.rest.rss;
  footprint.rings_kb = after.rings.rss;
  footprint.threads = static_cast<double>(threads_of(worker.pid()).size()) - 1;
  worker.tell("end");
  worker.finish();
  return footprint;
}

/// Records that kfastd has taken from rings and that have no outcome yet.
std::uint64_t in_flight() {
  const char* const folder = std::getenv("KFAST_SOCKET_DIR");
  if (folder == nullptr) {
    give_up("KFAST_SOCKET_DIR is not set, which starting kfastd does");
  }
  const ctl::Parsed parsed = ctl::read_snapshot(folder);
  if (!parsed.snapshot) {
    give_up("kfastd's statistics cannot be read: " + parsed.error);
  }
  std::uint64_t sum = 0;
  for (const ctl::Metric& metric : parsed.snapshot->metrics) {
    sum += metric.name == "kfast_profile_in_flight_messages" ? metric.value : 0;
  }
  return sum;
}

void wait_taken(std::uint64_t records) {
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  while (in_flight() < records) {
    if (now_ns(CLOCK_MONOTONIC) - start > kStuckNs) {
      give_up("kfastd does not take the records: " + std::to_string(in_flight()) + " of " +
              std::to_string(records));
    }
    sleep_until_ns(now_ns(CLOCK_MONOTONIC) + kLookEveryNs);
  }
}

/// Until librdkafka's threads have made all requests that they make without an answer.
ProcessMemory settled_memory(pid_t pid) {
  ProcessMemory last = memory_of(pid);
  for (;;) {
    sleep_until_ns(now_ns(CLOCK_MONOTONIC) + kLookEveryNs);
    const ProcessMemory now = memory_of(pid);
    if (now.rest.rss == last.rest.rss) {
      return now;
    }
    last = now;
  }
}

Backlog backlog(const Ground& ground, const Broker& broker, Side side, const std::string& topic,
                std::uint64_t records) {
  std::unique_ptr<DaemonProcess> daemon;  // one with nothing of before in its memory
  if (side == Side::kfast) {
    daemon = std::make_unique<DaemonProcess>(DaemonProcess::Settings{
        ground.options.kfastd, ground.options.brokers, ground.options.trusted, {}, {}});
  }
  WorkerProcess worker("memory", task_of(ground, side, topic, records, true));
  static_cast<void>(worker.hear());  // connected
  const pid_t holder = daemon ? daemon->pid() : worker.pid();
  Backlog backlog;
  backlog.empty_kb = memory_of(holder).rest.rss;
  broker.stop();
  worker.tell("send");
  static_cast<void>(worker.hear());  // sent
  if (daemon) {
    wait_taken(records);
  }
  const ProcessMemory memory = settled_memory(holder);
  backlog.holder_kb = memory.rest.rss;
  backlog.rings_kb = memory.rings.rss;
  broker.resume();
  worker.tell("deliver");
  static_cast<void>(worker.hear());  // reported
  worker.finish();
  return backlog;
}

/// Counts what a run has sent to its topic, and deletes it.
void check(KafkaAdmin& admin, const std::string& topic, std::uint64_t wanted) {
  const std::uint64_t counted = admin.record_count(topic);
  if (counted != wanted) {
    give_up("memory: " + std::to_string(wanted) + " sent, " + std::to_string(counted) +
            " in Kafka");
  }
  admin.delete_topic(topic);
}

MemoryRun one_run(Ground& ground, const std::string& topic, std::uint64_t records) {
  MemoryRun run;
  ground.admin.create_topic(topic);
  run.kfast_worker = footprint(ground, Side::kfast, topic);
  run.librdkafka_worker = footprint(ground, Side::librdkafka, topic);
  std::uint64_t sent = 2 * kUsed;
  if (ground.options.kafka_pid != 0) {
    const Broker broker(ground.options.kafka_pid);
    run.kfastd = backlog(ground, broker, Side::kfast, topic, records);
    run.librdkafka = backlog(ground, broker, Side::librdkafka, topic, records);
    sent += 2 * (records + 1);
  }
  check(ground.admin, topic, sent);
  return run;
}

}  // namespace

MemoryUse measure_memory(Ground& ground) {
  MemoryUse memory;
  memory.records = ground.options.quick ? kQuickRecords : kRecords;
  for (int run = 0; run < few_runs(ground.options); ++run) {
    show_progress("memory, run " + std::to_string(run + 1));
    const std::string topic =
        "kfast-bench-memory-" + std::to_string(::getpid()) + "-" + std::to_string(run);
    memory.runs.push_back(one_run(ground, topic, memory.records));
  }
  return memory;
}

}  // namespace kfast::bench
