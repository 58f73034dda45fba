#include "report.hpp"

#include <librdkafka/rdkafka.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "kafka_admin.hpp"
#include "kafka_settings.hpp"
#include "kfast/kfast.h"

namespace kfast::bench {
namespace {

double median_of(const Series& series, double Measurement::*field) {
  std::vector<double> values;
  for (const Measurement& run : series.runs) {
    values.push_back(run.*field);
  }
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

const Series* find(const CaseResult& result, Variant variant) {
  const auto found = std::find_if(result.series.begin(), result.series.end(),
                                  [&](const Series& s) { return s.task.variant == variant; });
  return found == result.series.end() ? nullptr : &*found;
}

double total_cpu(const Measurement& m) {
  return m.worker_cpu_us + m.daemon_cpu_us;
}

std::string ratio(double value, double to) {
  if (to <= 0 || value <= 0) {
    return "-";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value / to);
  return text;
}

/// How far apart the runs were: (most - least) / median, in percent.
double spread_percent(const Series& series) {
  double least = INFINITY;
  double most = 0;
  for (const Measurement& run : series.runs) {
    least = std::min(least, run.seconds);
    most = std::max(most, run.seconds);
  }
  const double middle = median_of(series, &Measurement::seconds);
  return middle > 0 ? (most - least) / middle * 100 : 0;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown";
}

std::string kernel() {
  utsname name{};
  ::uname(&name);
  return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

double load() {
  double average = 0;
  return ::getloadavg(&average, 1) == 1 ? average : -1;
}

nlohmann::json settings_json(std::span<const Setting> settings) {
  nlohmann::json json;
  for (const Setting& setting : settings) {
    json[setting.name] = setting.value;
  }
  return json;
}

void print_settings(const char* title, std::span<const Setting> settings) {
  std::printf("%s:", title);
  for (const Setting& setting : settings) {
    std::printf(" %s=%s", setting.name, setting.value);
  }
  std::printf("\n");
}

void print_row(const CaseResult& result, const Series& series) {
  const Measurement m = median(series);
  const Series* produce = find(result, Variant::produce);
  const Series* batch = find(result, Variant::produce_batch);
  const Measurement to_produce = produce != nullptr ? median(*produce) : Measurement{};
  const Measurement to_batch = batch != nullptr ? median(*batch) : Measurement{};
  // A paced worker's CPU is mostly its own sleeping: the ratio is of what comes on top.
  const Series* pacing = find(result, Variant::pacing);
  const double loop = pacing != nullptr ? total_cpu(median(*pacing)) : 0;
  const bool paced = result.plan.rate != 0;
  const double rate =
      series.task.variant == Variant::pacing ? 0 : m.records_per_second(series.task);
  std::printf(
      "| %-20s | %-22s | %7.0f | %7.0f | %7.3f | %7.2f | %7.2f | %7.2f | %5s | %5s | %5s | %5s | "
      "%5s | %5.0f%% |\n",
      result.plan.title.c_str(), name_of(series.task.variant), m.send_p50_ns, m.send_p99_ns,
      rate / 1e6, m.worker_cpu_us, m.daemon_cpu_us, total_cpu(m),
      ratio(m.send_p50_ns, to_produce.send_p50_ns).c_str(),
      ratio(m.send_p99_ns, to_produce.send_p99_ns).c_str(),
      paced ? "-" : ratio(rate, to_produce.records_per_second(series.task)).c_str(),
      paced ? "-" : ratio(rate, to_batch.records_per_second(series.task)).c_str(),
      ratio(total_cpu(m) - loop, total_cpu(to_produce) - loop).c_str(), spread_percent(series));
}

}  // namespace

Measurement median(const Series& series) {
  Measurement m;
  for (const auto field :
       {&Measurement::send_p50_ns, &Measurement::send_p99_ns, &Measurement::clock_ns,
        &Measurement::seconds, &Measurement::worker_cpu_us, &Measurement::daemon_cpu_us}) {
    m.*field = median_of(series, field);
  }
  if (!series.runs.empty()) {
    m.sent = series.runs.front().sent;
    m.delivered = series.runs.front().delivered;
  }
  return m;
}

void print_circumstances(const Options& options) {
  std::printf("kfast-bench %s, librdkafka %s, %d runs of each row, turn by turn%s\n",
              kfast_version(), rd_kafka_version_str(), runs(options),
              options.quick ? " (--quick)" : "");
  std::printf(
      "machine: %s, %u cores shared by worker, kfastd and whatever else runs here; %s; load %.1f\n",
      processor().c_str(), std::thread::hardware_concurrency(), kernel().c_str(), load());
  std::printf(
      "topics: %d partitions, one replica; null keys, no headers; reports: all, read on both "
      "sides\n",
      kPartitions);
  print_settings("librdkafka on both sides", common_settings());
  print_settings("librdkafka in the worker only", in_process_settings());
  std::printf("kfast: ring.bytes=%s\n\n", options.ring_bytes.c_str());
}

void print_table(const std::vector<CaseResult>& results) {
  std::printf(
      "| %-20s | %-22s | %7s | %7s | %7s | %7s | %7s | %7s | %5s | %5s | %5s | %5s | %5s | %6s |\n",
      "records", "sent with", "p50 ns", "p99 ns", "M rec/s", "worker", "kfastd", "CPU us", "p50",
      "p99", "rate", "rate", "CPU", "spread");
  std::printf(
      "| %-20s | %-22s | %7s | %7s | %7s | %7s | %7s | %7s | %5s | %5s | %5s | %5s | %5s | %6s |\n",
      "", "", "a send", "a send", "", "us/rec", "us/rec", "/record", "/prod", "/prod", "/prod",
      "/batch", "/prod", "");
  std::printf(
      "|----------------------|------------------------|---------|---------|---------|---------|---"
      "------"
      "|---------|-------|-------|-------|-------|-------|--------|\n");
  double clock = 0;
  for (const CaseResult& result : results) {
    for (const Series& series : result.series) {
      print_row(result, series);
      clock = series.task.variant == Variant::produce ? median(series).clock_ns : clock;
    }
  }
  std::printf(
      "\nSends include two clock reads, %.0f ns together here (for a batch of 256: their share of "
      "it; its p50 and p99 are\n"
      "a batch's, divided by 256). Flooding, one send in 13 is timed. CPU is user and system time "
      "of all threads; paced\n"
      "rows include the pacing loop's own, which stands in a row of its own; their CPU ratio is "
      "without it. Rates count from the first send to the last\n"
      "report. M rec/s is medians of runs; spread is (slowest - fastest) / median. Every run's "
      "records were counted in\n"
      "Kafka by end offsets.\n",
      clock);
}

bool write_json(const std::string& path, const Options& options,
                const std::vector<CaseResult>& results, const nlohmann::json& special) {
  nlohmann::json json = {{"kfast", kfast_version()},
                         {"librdkafka", rd_kafka_version_str()},
                         {"processor", processor()},
                         {"cores", std::thread::hardware_concurrency()},
                         {"kernel", kernel()},
                         {"runs", runs(options)},
                         {"partitions", kPartitions},
                         {"ring_bytes", options.ring_bytes},
                         {"settings", settings_json(common_settings())},
                         {"settings_in_process", settings_json(in_process_settings())}};
  for (const CaseResult& result : results) {
    for (const Series& series : result.series) {
      json["rows"].push_back({{"case", result.plan.title},
                              {"task", series.task},
                              {"median", median(series)},
                              {"all", series.runs}});
    }
  }
  json.update(special);
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.flush()) {
    std::fprintf(stderr, "kfast-bench: cannot write %s: does its folder exist?\n", path.c_str());
    return false;
  }
  return true;
}

}  // namespace kfast::bench
