// What is made of the figures of many topics: JSON, goals, a table.
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "samples.hpp"
#include "topics.hpp"

namespace kfast::bench {
namespace {

constexpr double kGoal = 1.5;

/// All series of one way of sending, fewest topics first.
std::vector<const TopicsSeries*> series_with(const Topics& result, Side side) {
  std::vector<const TopicsSeries*> found;
  for (const TopicsSeries& series : result.series) {
    if (series.side == side) {
      found.push_back(&series);
    }
  }
  return found;
}

TopicsRun median(const std::vector<TopicsRun>& runs) {
  TopicsRun m;
  for (const auto figure :
       {&TopicsRun::rate, &TopicsRun::worker_cpu_us, &TopicsRun::daemon_cpu_us,
        &TopicsRun::shard_cpu_us, &TopicsRun::daemon_percent, &TopicsRun::report_p50_us,
        &TopicsRun::report_p99_us, &TopicsRun::full}) {
    m.*figure = median_of(runs, figure);
  }
  return m;
}

/// Of worker and kfastd, without the pacing loop's.
double cpu_us(const Topics& result, const TopicsSeries& series) {
  const TopicsSeries& pacing = result.series.back();
  return median_of(series.runs, &TopicsRun::worker_cpu_us) +
         median_of(series.runs, &TopicsRun::daemon_cpu_us) -
         median_of(pacing.runs, &TopicsRun::worker_cpu_us);
}

std::string ratio(double value, double to) {
  std::array<char, 16> text{'-'};
  if (to > 0) {
    std::snprintf(text.data(), text.size(), "%.2f", value / to);
  }
  return text.data();
}

void print_row(const Topics& result, const TopicsSeries& series, const TopicsSeries& fewest) {
  const TopicsRun m = median(series.runs);
  const double cpu = cpu_us(result, series);
  std::printf(
      "| %6d | %-16s | %7.1f | %8.1f | %7.2f | %7.2f | %6s | %7.2f | %6s | %8.0f | %8.0f |\n",
      series.topics, name_of(series.side), m.rate / 1e3, m.daemon_percent, m.daemon_cpu_us,
      m.shard_cpu_us,
      ratio(m.daemon_cpu_us, median_of(fewest.runs, &TopicsRun::daemon_cpu_us)).c_str(), cpu,
      ratio(cpu, cpu_us(result, fewest)).c_str(), m.report_p50_us, m.report_p99_us);
}

}  // namespace

void to_json(nlohmann::json& json, const TopicsRun& run) {
  json = {{"rate", run.rate},
          {"worker_cpu_us", run.worker_cpu_us},
          {"daemon_cpu_us", run.daemon_cpu_us},
          {"shard_cpu_us", run.shard_cpu_us},
          {"daemon_percent", run.daemon_percent},
          {"report_p50_us", run.report_p50_us},
          {"report_p99_us", run.report_p99_us},
          {"full", run.full}};
}

void from_json(const nlohmann::json& json, TopicsRun& run) {
  json.at("rate").get_to(run.rate);
  json.at("worker_cpu_us").get_to(run.worker_cpu_us);
  json.at("daemon_cpu_us").get_to(run.daemon_cpu_us);
  json.at("shard_cpu_us").get_to(run.shard_cpu_us);
  json.at("daemon_percent").get_to(run.daemon_percent);
  json.at("report_p50_us").get_to(run.report_p50_us);
  json.at("report_p99_us").get_to(run.report_p99_us);
  json.at("full").get_to(run.full);
}

void to_json(nlohmann::json& json, const Topics& topics) {
  json = {{"create_seconds", topics.create_seconds},
          {"seconds", topics.seconds},
          {"linger_ms", topics.linger_ms},
          {"nap_us", topics.nap_us},
          {"rate", kTopicsRate},
          {"value_bytes", kTopicsValueBytes},
          {"partitions", kTopicsPartitions}};
  for (const TopicsSeries& series : topics.series) {
    json["rows"].push_back({{"with", name_of(series.side)},
                            {"topics", series.topics},
                            {"median", median(series.runs)},
                            {"all", series.runs}});
  }
}

std::vector<Goal> goals_of(const Topics& result) {
  const std::vector<const TopicsSeries*> kfast = series_with(result, Side::kfast);
  if (kfast.size() < 2) {
    return {};
  }
  const TopicsSeries& fewest = *kfast.front();
  const TopicsSeries& most = *kfast.back();
  const auto cpu = [](const TopicsSeries& series) {
    return median_of(series.runs, &TopicsRun::daemon_cpu_us);
  };
  return {{"kfastd's CPU per record, " + std::to_string(most.topics) + " topics over " +
               std::to_string(fewest.topics),
           Goal::Bound::at_most, kGoal, cpu(most) / cpu(fewest), " times", "P11"}};
}

void print_topics(const Topics& result) {
  std::printf(
      "\nMany topics of %d partitions: one worker, %u B paced at %u a second, each record to a "
      "random topic, for %g s;\nmedians of %zu runs, each with a kfastd of its own. The topics "
      "were "
      "created in %.1f s.\n",
      kTopicsPartitions, kTopicsValueBytes, kTopicsRate, result.seconds,
      result.series.front().runs.size(), result.create_seconds);
  if (!result.linger_ms.empty() || !result.nap_us.empty()) {
    std::printf("Here linger.ms=%s on both sides, and nap_us=%s.\n",
                result.linger_ms.empty() ? "as above" : result.linger_ms.c_str(),
                result.nap_us.empty() ? "as kfastd has it" : result.nap_us.c_str());
  }
  const char* const head =
      "| %6s | %-16s | %7s | %8s | %7s | %7s | %6s | %7s | %6s | %8s | %8s |\n";
  std::printf("\n");
  std::printf(head, "topics", "sent with", "k rec/s", "kfastd %", "kfastd", "of it", "ratio",
              "CPU us", "ratio", "p50 us", "p99 us");
  std::printf(head, "", "", "", "of core", "us/rec", "shard", "", "/record", "", "report",
              "report");
  std::printf(
      "|--------|------------------|---------|----------|---------|---------|--------|---------|---"
      "-----|----------|----------|\n");
  for (std::size_t i = 0; i + 1 < result.series.size(); ++i) {
    const TopicsSeries& series = result.series[i];
    print_row(result, series, *series_with(result, series.side).front());
  }
  std::printf(
      "\nRatios are to %d topics with the same way of sending. CPU us is worker and kfastd without "
      "the pacing loop (%.2f us).\nA report is timed from its record's send until the worker reads "
      "it, which it tries every 0.5 ms. k rec/s is up to\nthe last report, so the time that this "
      "one "
      "takes lowers it; so does a broker that does not keep up with %u.\n",
      result.series.front().topics, median_of(result.series.back().runs, &TopicsRun::worker_cpu_us),
      kTopicsRate / 1000);
}

}  // namespace kfast::bench
