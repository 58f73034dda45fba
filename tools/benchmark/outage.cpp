#include "outage.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "broker.hpp"
#include "channel.hpp"
#include "samples.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint64_t kBefore = 40'000;  // records before the outage
constexpr std::uint64_t kRefused = 20'000;
constexpr std::uint64_t kMoreThanFits = 1'000'000;

using Samples = std::vector<std::uint32_t>;

/// Sends at the rate, until `count` are accepted (or refused, if `refused`) or the other happens.
Samples pace(Channel& channel, std::uint64_t count, bool refused) {
  Samples samples;
  samples.reserve(count);
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  for (std::uint64_t i = 0; i < count; ++i) {
    sleep_until_ns(start + i * 1'000'000'000U / kOutageRate);
    const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
    const bool accepted = channel.send();
    const std::uint64_t took = now_ns(CLOCK_MONOTONIC) - before;
    if (accepted == refused) {
      break;
    }
    samples.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(took, UINT32_MAX)));
    if (i % 32 == 31) {
      channel.read_reports();
    }
  }
  return samples;
}

/// Another worker: one record at a time, from send to report, for as long as `go_on`.
double median_round_us(Channel& channel, const std::atomic<bool>& go_on) {
  Samples samples;
  // Relaxed: the flag says nothing about other memory; its partner is the store in one_outage().
  while (go_on.load(std::memory_order_relaxed)) {
    const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
    if (!channel.send()) {
      give_up("the other worker's ring is full");
    }
    channel.settle();
    samples.push_back(static_cast<std::uint32_t>((now_ns(CLOCK_MONOTONIC) - before) / 1000));
  }
  return percentile(samples, 0.5);
}

Outage one_outage(const Broker& broker, const std::string& topic, std::uint64_t& sent) {
  Outage outage;
  Channel channel(topic, kOutageRingBytes, kOutageValueBytes);
  Channel other(topic, "1m", kOutageValueBytes);
  std::atomic<bool> go_on{true};
  const auto fresh = [&](double& result) {
    go_on.store(true, std::memory_order_relaxed);
    return std::thread([&] { result = median_round_us(other, go_on); });
  };
  const auto join = [&](std::thread& thread) {
    go_on.store(false, std::memory_order_relaxed);
    thread.join();
  };

  static_cast<void>(pace(channel, kOutageRate, false));  // warm-up, a second
  std::thread alone = fresh(outage.fresh_before_us);
  static_cast<void>(pace(channel, kOutageRate, false));
  join(alone);
  channel.settle();

  Samples before = pace(channel, kBefore, false);
  channel.settle();
  broker.stop();
  Samples during = pace(channel, kMoreThanFits, false);
  Samples refused = pace(channel, kRefused, true);
  channel.read_reports();
  outage.backlog = static_cast<double>(channel.sent() - channel.reported());
  std::thread meanwhile = fresh(outage.fresh_during_us);
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  broker.resume();
  channel.settle();
  outage.drain_rate = outage.backlog * 1e9 / static_cast<double>(now_ns(CLOCK_MONOTONIC) - start);
  join(meanwhile);

  outage.before_p50_ns = percentile(before, 0.5);
  outage.before_p99_ns = percentile(before, 0.99);
  outage.during_p50_ns = percentile(during, 0.5);
  outage.during_p99_ns = percentile(during, 0.99);
  outage.refused_p50_ns = percentile(refused, 0.5);
  outage.refused_p99_ns = percentile(refused, 0.99);
  sent = channel.sent() + other.sent();
  return outage;
}

}  // namespace

void to_json(nlohmann::json& json, const Outage& outage) {
  json = {{"before_p50_ns", outage.before_p50_ns},
          {"before_p99_ns", outage.before_p99_ns},
          {"during_p50_ns", outage.during_p50_ns},
          {"during_p99_ns", outage.during_p99_ns},
          {"refused_p50_ns", outage.refused_p50_ns},
          {"refused_p99_ns", outage.refused_p99_ns},
          {"backlog", outage.backlog},
          {"drain_rate", outage.drain_rate},
          {"fresh_before_us", outage.fresh_before_us},
          {"fresh_during_us", outage.fresh_during_us}};
}

std::vector<Outage> measure_outages(int broker_pid, int runs, KafkaAdmin& admin) {
  // As in a worker of the other cases.
  static_cast<void>(::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL));
  const Broker broker(broker_pid);
  std::vector<Outage> outages;
  for (int run = 0; run < runs; ++run) {
    const std::string topic =
        "kfast-bench-outage-" + std::to_string(::getpid()) + "-" + std::to_string(run);
    admin.create_topic(topic);
    std::uint64_t sent = 0;
    outages.push_back(one_outage(broker, topic, sent));
    const std::uint64_t counted = admin.record_count(topic);
    if (counted != sent) {
      give_up("outage: " + std::to_string(sent) + " sent, " + std::to_string(counted) +
              " in Kafka");
    }
    admin.delete_topic(topic);
  }
  return outages;
}

void print_outages(const std::vector<Outage>& outages) {
  const auto m = [&](double Outage::*field) { return median_of(outages, field); };
  const auto row = [&](const char* when, double Outage::*p50, double Outage::*p99) {
    std::printf("| %-34s | %7.0f | %7.0f | %5.2f | %5.2f |\n", when, m(p50), m(p99),
                m(p50) / m(&Outage::before_p50_ns), m(p99) / m(&Outage::before_p99_ns));
  };
  std::printf(
      "\nAn outage: the only broker is stopped (SIGSTOP); %u B paced at %u a second, "
      "ring.bytes=%s, medians of %zu\n\n",
      kOutageValueBytes, kOutageRate, kOutageRingBytes, outages.size());
  std::printf("| %-34s | %7s | %7s | %5s | %5s |\n", "kfast_send", "p50 ns", "p99 ns", "p50",
              "p99");
  std::printf("|%s|---------|---------|-------|-------|\n", "------------------------------------");
  row("the broker answers", &Outage::before_p50_ns, &Outage::before_p99_ns);
  row("it does not, the ring has room", &Outage::during_p50_ns, &Outage::during_p99_ns);
  row("the ring is full: refused", &Outage::refused_p50_ns, &Outage::refused_p99_ns);
  std::printf(
      "\n%.0f records waited when the broker was back; they left at %.0f a second, %.1f "
      "times the rate at which they came.\nAnother worker's record, from send to report: "
      "%.0f us before, %.0f us while they left (medians).\n",
      m(&Outage::backlog), m(&Outage::drain_rate), m(&Outage::drain_rate) / kOutageRate,
      m(&Outage::fresh_before_us), m(&Outage::fresh_during_us));
}

}  // namespace kfast::bench
