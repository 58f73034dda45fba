// The worker process of `topics`: sends at a fixed rate to topics in a random order.
#include <sys/prctl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <random>

#include "process_facts.hpp"
#include "samples.hpp"
#include "topic_sender.hpp"
#include "topics.hpp"
#include "worker.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

/// Sent at a time, every 0.5 ms; then reports are read. A sleep for each record would cost more than
/// the records, and that CPU is the broker's here, too.
constexpr std::size_t kBurst = 10;

/// The same in every run over so many topics, and made before it.
std::vector<std::uint16_t> random_order(std::size_t topics, std::size_t records) {
  std::minstd_rand random(static_cast<std::minstd_rand::result_type>(topics));
  std::uniform_int_distribution<std::size_t> any(0, topics - 1);
  std::vector<std::uint16_t> order(records);
  for (std::uint16_t& topic : order) {
    topic = static_cast<std::uint16_t>(any(random));
  }
  return order;
}

std::unique_ptr<TopicSender> make_sender(const nlohmann::json& task) {
  SenderSettings settings;
  settings.side = task.at("side");
  settings.topics = task.at("topics");
  settings.value_bytes = kTopicsValueBytes;
  settings.ring_bytes = task.at("ring_bytes");
  settings.brokers = task.at("brokers");
  settings.linger_ms = task.at("linger_ms");
  return settings.side == Side::none ? nullptr : make_topic_sender(settings);
}

double shard_seconds(pid_t daemon) {
  double seconds = 0;
  for (const ThreadFacts& thread : threads_of(daemon)) {
    seconds += is_shard(thread) ? thread.cpu_seconds : 0;
  }
  return seconds;
}

/// Returns how many sends had to wait for room. Without a sender it keeps the time only.
std::uint64_t pace(TopicSender* sender, const std::vector<std::uint16_t>& order) {
  std::uint64_t full = 0;
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i % kBurst == 0) {
      sleep_until_ns(start + i * 1'000'000'000U / kTopicsRate);
    }
    if (sender == nullptr) {
      continue;
    }
    while (!sender->send(order[i])) {
      ++full;
      sender->read_reports();
      sender->wait();
    }
    if (i % kBurst == kBurst - 1) {
      sender->read_reports();
    }
  }
  return full;
}

/// A record for each topic, so that all are known, then some at the rate. Returns how many.
std::uint64_t warm_up(TopicSender& sender, std::size_t topics,
                      const std::vector<std::uint16_t>& order) {
  for (std::size_t topic = 0; topic < topics; ++topic) {
    if (!sender.send(topic)) {
      give_up("there is no room for one record of each topic");
    }
  }
  sender.wait_reported(topics);
  pace(&sender, order);
  sender.wait_reported(topics + order.size());
  return topics + order.size();
}

}  // namespace

void work_on_topics() {
  const nlohmann::json task = hear_parent();
  const std::unique_ptr<TopicSender> sender = make_sender(task);
  // After the sender's threads were started, which would inherit it.
  static_cast<void>(::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL));
  const std::size_t topics = task.at("topics").size();
  const auto records = task.at("records").get<std::size_t>();
  const std::vector<std::uint16_t> order = random_order(topics, records);
  std::uint64_t warmed = 0;
  if (sender) {
    warmed = warm_up(*sender, topics, random_order(topics, task.at("warmup")));
    sender->time_records(records);
  }
  const pid_t daemon = task.at("daemon_pid");
  const double worker_cpu = cpu_seconds(::getpid());
  const double daemon_cpu = daemon != 0 ? cpu_seconds(daemon) : 0;
  const double shard_cpu = daemon != 0 ? shard_seconds(daemon) : 0;
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  TopicsRun run;
  run.full = static_cast<double>(pace(sender.get(), order));
  if (sender) {
    sender->wait_reported(warmed + records);
  }
  const double seconds = static_cast<double>(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
  const auto count = static_cast<double>(records);
  run.rate = count / seconds;
  run.worker_cpu_us = (cpu_seconds(::getpid()) - worker_cpu) * 1e6 / count;
  if (daemon != 0) {
    const double used = cpu_seconds(daemon) - daemon_cpu;
    run.daemon_cpu_us = used * 1e6 / count;
    run.shard_cpu_us = (shard_seconds(daemon) - shard_cpu) * 1e6 / count;
    run.daemon_percent = used / seconds * 100;
  }
  if (sender) {
    std::vector<std::uint32_t> times = sender->take_times();
    run.report_p50_us = percentile(times, 0.5);
    run.report_p99_us = percentile(times, 0.99);
  }
  tell_parent({{"sent", sender ? warmed + records : 0}, {"run", run}});
}

}  // namespace kfast::bench
