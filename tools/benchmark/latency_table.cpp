#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "latency.hpp"
#include "samples.hpp"

namespace kfast::bench {
namespace {

constexpr double kMostToInProcess = 1.1;

using State = ReportTimes Latency::*;

double median_of(const std::vector<Latency>& latencies, std::uint32_t value_bytes, State state,
                 double ReportTimes::*figure) {
  std::vector<ReportTimes> runs;
  for (const Latency& latency : latencies) {
    if (latency.value_bytes == value_bytes) {
      runs.push_back(latency.*state);
    }
  }
  return median_of(runs, figure);
}

/// What is compared, for table and goals.
struct Comparison {
  const char* what;
  State kfast;
  State librdkafka;
};
constexpr std::array<Comparison, 2> kComparisons{
    {{"one at a time", &Latency::kfast_alone, &Latency::librdkafka_alone},
     {"paced 1 k/s", &Latency::kfast_paced, &Latency::librdkafka_paced}}};

}  // namespace

void to_json(nlohmann::json& json, const Latency& latency) {
  const auto both = [](const ReportTimes& times) {
    return nlohmann::json{{"p50_us", times.p50_us}, {"p99_us", times.p99_us}};
  };
  json = {{"value_bytes", latency.value_bytes},
          {"kfast_alone", both(latency.kfast_alone)},
          {"librdkafka_alone", both(latency.librdkafka_alone)},
          {"kfast_paced", both(latency.kfast_paced)},
          {"librdkafka_paced", both(latency.librdkafka_paced)}};
}

void print_latencies(const std::vector<Latency>& latencies) {
  std::printf(
      "\nFrom send to report with linger.ms=%s, medians of %zu. kfast: poll on kfast_fd, "
      "kfast_reports_opaque; librdkafka in the\nprocess: the callback, by rd_kafka_poll.\n\n",
      kLatencyLingerMs, latencies.size() / std::size(kLatencySizes));
  std::printf("| %-21s | %-10s | %7s | %7s | %5s | %5s |\n", "records", "", "p50 us", "p99 us",
              "p50", "p99");
  std::printf("|-----------------------|------------|---------|---------|-------|-------|\n");
  for (const std::uint32_t bytes : kLatencySizes) {
    for (const Comparison& c : kComparisons) {
      const double p50 = median_of(latencies, bytes, c.librdkafka, &ReportTimes::p50_us);
      const double p99 = median_of(latencies, bytes, c.librdkafka, &ReportTimes::p99_us);
      const auto row = [&](const char* way, State state) {
        const double way_p50 = median_of(latencies, bytes, state, &ReportTimes::p50_us);
        const double way_p99 = median_of(latencies, bytes, state, &ReportTimes::p99_us);
        std::printf("| %-5s, %-14s | %-10s | %7.0f | %7.0f | %5.2f | %5.2f |\n",
                    size_name(bytes).c_str(), c.what, way, way_p50, way_p99, way_p50 / p50,
                    way_p99 / p99);
      };
      row("kfast", c.kfast);
      row("librdkafka", c.librdkafka);
    }
  }
}

std::vector<Goal> goals_of(const std::vector<Latency>& latencies) {
  std::vector<Goal> goals;
  const auto add = [&](std::uint32_t bytes, const Comparison& c, const char* name,
                       double ReportTimes::*figure) {
    const double to = median_of(latencies, bytes, c.librdkafka, figure);
    if (to > 0) {
      goals.push_back({size_name(bytes) + ", " + c.what + ": send to report, " + name +
                           ", to librdkafka's in the process",
                       Goal::Bound::at_most, kMostToInProcess,
                       median_of(latencies, bytes, c.kfast, figure) / to, "", "P5"});
    }
  };
  for (const std::uint32_t bytes : kLatencySizes) {
    for (const Comparison& c : kComparisons) {
      add(bytes, c, "p50", &ReportTimes::p50_us);
      add(bytes, c, "p99", &ReportTimes::p99_us);
    }
  }
  return goals;
}

}  // namespace kfast::bench
