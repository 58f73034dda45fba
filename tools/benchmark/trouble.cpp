#include "trouble.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "kfast/kfast.h"
#include "samples.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr int kRounds = 500;
constexpr std::uint64_t kRoundsInAll = 4 * std::uint64_t{kRounds};  // with the warm-up
constexpr int kStuckMs = 60'000;
constexpr std::uint32_t kFloodRate = 20'000;  // records a second
constexpr std::array<char, 100> kValue{};

class Producer {
 public:
  explicit Producer(const char* reports) {
    std::array<char, 512> why{};
    kfast_options_t* options = kfast_options_new();
    if (kfast_options_set(options, "reports", reports, why.data(), why.size()) != KFAST_OK ||
        kfast_producer_open(options, &producer_, why.data(), why.size()) != KFAST_OK) {
      give_up(why.data());
    }
    kfast_options_free(options);
  }
  ~Producer() { kfast_producer_close(producer_); }
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  [[nodiscard]] std::int32_t topic(const std::string& name) {
    return kfast_topic(producer_, name.c_str());
  }

  /// False: no room, for this topic or at all.
  bool send(std::int32_t topic) {
    const std::int64_t position =
        kfast_send(producer_, topic, nullptr, 0, kValue.data(), kValue.size());
    if (position < 0 && position != KFAST_ERR_QUEUE_FULL) {
      give_up(std::string("kfast_send: ") + kfast_last_error(producer_));
    }
    return position >= 0;
  }

  RoundTrips rounds(std::int32_t topic) {
    kfast_record_t record = KFAST_RECORD_INIT;
    record.topic = topic;
    record.value = kValue.data();
    record.value_size = kValue.size();
    std::vector<std::uint32_t> samples;
    for (int i = 0; i < kRounds; ++i) {
      kfast_report_t report;
      const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
      const int code = kfast_send_wait(producer_, &record, kStuckMs, &report);
      samples.push_back(static_cast<std::uint32_t>((now_ns(CLOCK_MONOTONIC) - before) / 1000));
      if (code != KFAST_OK || report.outcome != KFAST_DELIVERED) {
        give_up(std::string("a record of the healthy topic: ") + kfast_last_error(producer_));
      }
    }
    return {percentile(samples, 0.5), percentile(samples, 0.99), percentile(samples, 1)};
  }

 private:
  kfast_producer_t* producer_ = nullptr;
};

/// Another worker, which goes on sending to a topic as long as this lives.
class Flood {
 public:
  explicit Flood(const std::string& topic)
      : thread_([this, topic] {
          Producer producer("none");
          const std::int32_t number = producer.topic(topic);
          const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
          // Relaxed: the flag says nothing about other memory; its partner is the destructor.
          for (std::uint64_t i = 0; !over_.load(std::memory_order_relaxed); ++i) {
            sleep_until_ns(start + i * 1'000'000'000U / kFloodRate);
            producer.send(number);
          }
        }) {}
  ~Flood() {
    over_.store(true, std::memory_order_relaxed);
    thread_.join();
  }
  Flood(const Flood&) = delete;
  Flood& operator=(const Flood&) = delete;

 private:
  std::atomic<bool> over_{false};
  std::thread thread_;
};

Trouble one_trouble(const std::string& healthy) {
  Trouble trouble;
  Producer producer("all");
  const std::int32_t topic = producer.topic(healthy);
  static_cast<void>(producer.rounds(topic));  // warm-up
  trouble.alone = producer.rounds(topic);
  {
    const Flood flood(healthy + "-missing-1");
    trouble.other_channel = producer.rounds(topic);
  }
  const std::int32_t missing = producer.topic(healthy + "-missing-2");
  while (producer.send(missing)) {
  }
  trouble.same_channel = producer.rounds(topic);
  return trouble;
}

}  // namespace

void to_json(nlohmann::json& json, const Trouble& trouble) {
  const auto both = [](const RoundTrips& trips) {
    return nlohmann::json{
        {"p50_us", trips.p50_us}, {"p99_us", trips.p99_us}, {"longest_us", trips.longest_us}};
  };
  json = {{"alone", both(trouble.alone)},
          {"other_channel", both(trouble.other_channel)},
          {"same_channel", both(trouble.same_channel)}};
}

std::vector<Trouble> measure_troubles(int runs, KafkaAdmin& admin) {
  static_cast<void>(::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL));
  std::vector<Trouble> troubles;
  for (int run = 0; run < runs; ++run) {
    const std::string topic =
        "kfast-bench-healthy-" + std::to_string(::getpid()) + "-" + std::to_string(run);
    admin.create_topic(topic);
    troubles.push_back(one_trouble(topic));
    const std::uint64_t counted = admin.record_count(topic);
    if (counted != kRoundsInAll) {
      give_up("trouble: " + std::to_string(counted) + " records in Kafka, not " +
              std::to_string(kRoundsInAll));
    }
    admin.delete_topic(topic);
  }
  return troubles;
}

void print_troubles(const std::vector<Trouble>& troubles) {
  const auto median = [&](RoundTrips Trouble::*state, double RoundTrips::*figure) {
    std::vector<double> values;
    for (const Trouble& trouble : troubles) {
      values.push_back(trouble.*state.*figure);
    }
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() / 2];
  };
  const auto row = [&](const char* what, RoundTrips Trouble::*state) {
    const double p50 = median(state, &RoundTrips::p50_us);
    const double p99 = median(state, &RoundTrips::p99_us);
    std::printf("| %-46s | %7.0f | %7.0f | %10.0f | %5.2f | %5.2f |\n", what, p50, p99,
                median(state, &RoundTrips::longest_us),
                p50 / median(&Trouble::alone, &RoundTrips::p50_us),
                p99 / median(&Trouble::alone, &RoundTrips::p99_us));
  };
  std::printf(
      "\nA topic in trouble (it does not exist): records of a healthy topic from send to report, "
      "one at a time, linger 5 ms, medians of %zu with %d records each\n\n",
      troubles.size(), kRounds);
  std::printf("| %-46s | %7s | %7s | %10s | %5s | %5s |\n", "the topic in trouble", "p50 us",
              "p99 us", "longest us", "p50", "p99");
  std::printf("|%s|---------|---------|------------|-------|-------|\n",
              "------------------------------------------------");
  row("has no records", &Trouble::alone);
  row("is flooded by another worker, 20 k/s", &Trouble::other_channel);
  row("holds its whole share of the same ring", &Trouble::same_channel);
}

}  // namespace kfast::bench
