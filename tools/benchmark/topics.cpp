#include "topics.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "progress.hpp"
#include "samples.hpp"
#include "special.hpp"
#include "worker.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

struct Extent {
  std::vector<int> topics;  // growing
  std::uint64_t records;    // of a run
  std::uint64_t warmup;     // beside one for each topic
};

Extent extent(const Options& options) {
  Extent e = options.quick ? Extent{{10, 100}, kTopicsRate, kTopicsRate / 2}
                           : Extent{{10, 100, 1000}, std::uint64_t{4} * kTopicsRate, kTopicsRate};
  if (!options.topics.empty()) {
    e.topics = options.topics;
    std::sort(e.topics.begin(), e.topics.end());
  }
  return e;
}

std::vector<std::string> names_of_topics(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.push_back("kfast-bench-topics-" + std::to_string(::getpid()) + "-" + std::to_string(i));
  }
  return names;
}

/// The records are counted in all topics, wherever they went.
TopicsRun one_run(Ground& ground, Side side, int topics, const Extent& extent,
                  const std::vector<std::string>& all) {
  std::unique_ptr<DaemonProcess> daemon;
  if (side == Side::kfast) {
    daemon = std::make_unique<DaemonProcess>(DaemonProcess::Settings{
        ground.options.kfastd, ground.options.brokers, ground.options.trusted,
        ground.options.linger_ms, ground.options.nap_us});
  }
  const std::uint64_t before = ground.admin.record_count(all, kTopicsPartitions);
  WorkerProcess worker("topics", {{"side", side},
                                  {"topics", std::vector(all.begin(), all.begin() + topics)},
                                  {"records", extent.records},
                                  {"warmup", extent.warmup},
                                  {"brokers", ground.options.brokers},
                                  {"ring_bytes", ground.options.ring_bytes},
                                  {"linger_ms", ground.options.linger_ms},
                                  {"daemon_pid", daemon ? daemon->pid() : 0}});
  const nlohmann::json answer = worker.hear();
  worker.finish();
  const auto sent = answer.at("sent").get<std::uint64_t>();
  const std::uint64_t counted = ground.admin.record_count(all, kTopicsPartitions) - before;
  if (counted != sent) {
    give_up("topics: " + std::to_string(sent) + " sent, " + std::to_string(counted) + " in Kafka");
  }
  return answer.at("run").get<TopicsRun>();
}

}  // namespace

Topics measure_topics(Ground& ground) {
  const Extent e = extent(ground.options);
  const std::vector<std::string> all = names_of_topics(e.topics.back());
  Topics result;
  result.linger_ms = ground.options.linger_ms;
  result.nap_us = ground.options.nap_us;
  result.seconds = static_cast<double>(e.records) / kTopicsRate;
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  ground.admin.create_topics(all, kTopicsPartitions);
  result.create_seconds = static_cast<double>(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
  for (const int topics : e.topics) {
    for (const Side side : {Side::kfast, Side::librdkafka}) {
      if (is_wanted(side, ground.options.with)) {
        result.series.push_back({side, topics, {}});
      }
    }
  }
  result.series.push_back({Side::none, 1, {}});
  // Not counted: a broker that was just started is slow, and that is none of the first row's.
  static_cast<void>(one_run(ground, Side::librdkafka, e.topics.back(), e, all));
  for (int run = 0; run < runs(ground.options); ++run) {
    for (TopicsSeries& series : result.series) {
      show_progress("topics: " + std::to_string(series.topics) + ", " + name_of(series.side) +
                    ", run " + std::to_string(run + 1));
      series.runs.push_back(one_run(ground, series.side, series.topics, e, all));
    }
  }
  ground.admin.delete_topics(all);
  return result;
}

}  // namespace kfast::bench
