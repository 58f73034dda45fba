#include "idle.hpp"

#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "process_facts.hpp"
#include "progress.hpp"
#include "samples.hpp"
#include "side.hpp"
#include "special.hpp"
#include "worker.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

constexpr int kWorkers = 200;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kSettleNs = 2 * kSecond;
constexpr std::uint64_t kWatchNs = 10 * kSecond;
constexpr int kQuickWorkers = 50;
constexpr std::uint64_t kQuickWatchNs = 3 * kSecond;

/// All threads of some processes at one moment.
struct Moment {
  std::uint64_t at_ns = 0;
  std::map<pid_t, std::vector<ThreadFacts>> processes;
};

Moment moment_of(const std::vector<pid_t>& pids) {
  Moment moment;
  moment.at_ns = now_ns(CLOCK_MONOTONIC);
  for (const pid_t pid : pids) {
    moment.processes[pid] = threads_of(pid);
  }
  return moment;
}

/// The same thread before; one that is new counts from its start.
ThreadFacts before(const std::vector<ThreadFacts>& threads, pid_t tid) {
  for (const ThreadFacts& thread : threads) {
    if (thread.tid == tid) {
      return thread;
    }
  }
  return {};
}

IdleRun between(const Moment& first, const Moment& last, pid_t daemon) {
  IdleRun run;
  run.seconds = static_cast<double>(last.at_ns - first.at_ns) / 1e9;
  for (const auto& [pid, threads] : last.processes) {
    for (const ThreadFacts& thread : threads) {
      const ThreadFacts was = before(first.processes.at(pid), thread.tid);
      const auto wakes = static_cast<double>(thread.sleeps - was.sleeps);
      const double percent = (thread.cpu_seconds - was.cpu_seconds) / run.seconds * 100;
      run.cpu_percent += percent;
      if (is_librdkafka(thread)) {
        run.librdkafka_wakes += wakes;
        run.librdkafka_percent += percent;
      } else if (pid != daemon) {
        run.workers_wakes += wakes;
      } else if (is_shard(thread)) {
        run.shards_wakes += wakes;
      } else {
        run.main_wakes += wakes;
      }
    }
    run.threads += pid != daemon ? static_cast<double>(threads.size()) - 1 : 0;
  }
  return run;
}

IdleRun one_run(const Ground& ground, Side side, const std::string& topic, int workers) {
  WorkerProcess parent("idle", {{"side", side},
                                {"workers", workers},
                                {"topic", topic},
                                {"brokers", ground.options.brokers}});
  auto pids = parent.hear().get<std::vector<pid_t>>();
  pid_t daemon = 0;
  if (side == Side::kfast) {
    daemon = ground.daemon.pid();
    pids.push_back(daemon);
  }
  sleep_until_ns(now_ns(CLOCK_MONOTONIC) + kSettleNs);
  const Moment first = moment_of(pids);
  sleep_until_ns(first.at_ns + (ground.options.quick ? kQuickWatchNs : kWatchNs));
  const IdleRun run = between(first, moment_of(pids), daemon);
  parent.tell("end");
  parent.finish();
  return run;
}

}  // namespace

Idle measure_idle(Ground& ground) {
  Idle idle;
  idle.workers = ground.options.quick ? kQuickWorkers : kWorkers;
  const std::string topic = "kfast-bench-idle-" + std::to_string(::getpid());
  ground.admin.create_topic(topic);
  int started = 0;
  for (int run = 0; run < few_runs(ground.options); ++run) {
    for (const Side side : {Side::kfast, Side::librdkafka}) {
      show_progress("idle workers: " + std::string(name_of(side)) + ", run " +
                    std::to_string(run + 1));
      (side == Side::kfast ? idle.kfast : idle.librdkafka)
          .push_back(one_run(ground, side, topic, idle.workers));
      started += idle.workers;
    }
  }
  const std::uint64_t counted = ground.admin.record_count(topic);
  if (counted != static_cast<std::uint64_t>(started)) {
    give_up("idle: " + std::to_string(started) + " sent, " + std::to_string(counted) + " in Kafka");
  }
  ground.admin.delete_topic(topic);
  return idle;
}

}  // namespace kfast::bench
