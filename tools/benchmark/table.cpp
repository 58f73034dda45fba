#include "table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace kfast::bench {
namespace {

/// A figure, or "-" where it was not measured.
std::string number(double value, int digits) {
  if (value < 0) {
    return "-";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string ratio(double value, double to) {
  if (to <= 0 || value <= 0) {
    return "-";
  }
  const double result = value / to;
  return number(result, result < 10 ? 2 : result < 100 ? 1 : 0);
}

/// How far apart the runs were: (most - least) / median, in percent. Of how long they took; paced
/// ones all take as long, so of their sends.
double spread_percent(const Series& series) {
  const auto figure = series.task.rate == 0 ? &Measurement::seconds : &Measurement::send_p50_ns;
  double least = INFINITY;
  double most = 0;
  for (const Measurement& run : series.runs) {
    least = std::min(least, run.*figure);
    most = std::max(most, run.*figure);
  }
  const double middle = median(series).*figure;
  return middle > 0 ? (most - least) / middle * 100 : 0;
}

std::string percent(double value) {
  return value < 0 ? "-" : number(value, 0) + "%";
}

/// What a row's figures are compared with: those of a way of sending in the same case; all 0 where
/// there is none.
Measurement compared(const CaseResult& result, std::initializer_list<Variant> variants) {
  const Series* series = find(result, variants);
  return series != nullptr ? median(*series) : Measurement{};
}

void print_row(const CaseResult& result, const Series& series) {
  const Measurement m = median(series);
  const Measurement produce = compared(result, {Variant::produce, Variant::produceva});
  const Measurement batch = compared(result, {Variant::produce_batch});
  const bool to_kafka = sends_to_kafka(series.task.variant);
  const bool kfast = is_kfast(series.task.variant);
  const double rate = m.records_per_second(series.task);
  const auto rate_ratio = [&](const Measurement& to) {
    const bool flooding = series.task.rate == 0;
    return to_kafka && flooding ? ratio(rate, to.records_per_second(series.task)) : "-";
  };
  const auto cpu_ratio = [&](const Measurement& to) {
    return to_kafka ? ratio(m.cpu_us(), to.cpu_us()) : "-";
  };
  std::printf("| %-22s | %6s %6s %5s | %6s %6s | %6s %6s %5s %5s | %4s %4s %4s %4s | %4s %4s |\n",
              name_of(series.task.variant), number(m.send_p50_ns, 0).c_str(),
              number(m.send_p99_ns, 0).c_str(), number(m.net_ns, m.net_ns < 1000 ? 1 : 0).c_str(),
              number(rate / 1e6, 3).c_str(), percent(spread_percent(series)).c_str(),
              number(m.worker_cpu_us, 2).c_str(), number(kfast ? m.daemon_cpu_us : -1, 2).c_str(),
              number(m.cpu_us(), 2).c_str(), percent(kfast ? m.worker_share() * 100 : -1).c_str(),
              ratio(m.send_p50_ns, produce.send_p50_ns).c_str(),
              ratio(m.send_p99_ns, produce.send_p99_ns).c_str(), rate_ratio(produce).c_str(),
              cpu_ratio(produce).c_str(), rate_ratio(batch).c_str(), cpu_ratio(batch).c_str());
}

void print_head() {
  std::printf("| %-22s | %-19s | %-13s | %-25s | %-19s | %-9s |\n", "", "a send, ns", "records",
              "CPU us a record", "to rd_kafka_produce", "to _batch");
  std::printf("| %-22s | %6s %6s %5s | %6s %6s | %6s %6s %5s %5s | %4s %4s %4s %4s | %4s %4s |\n",
              "sent with", "p50", "p99", "net", "M/s", "spread", "worker", "kfastd", "both",
              "share", "p50", "p99", "rate", "CPU", "rate", "CPU");
}

void print_rule() {
  const auto line = [](std::size_t width) { return std::string(width, '-'); };
  std::printf("|%s|%s|%s|%s|%s|%s|\n", line(24).c_str(), line(21).c_str(), line(15).c_str(),
              line(27).c_str(), line(21).c_str(), line(11).c_str());
}

void print_footer(double clock) {
  std::printf(
      "\n"
      "a send: p50 and p99 include two clock reads, %.0f ns together here; flooding, one send in "
      "13 "
      "is timed. net is without\n"
      "  them: the median of stretches of 16 sends that are timed as one. Of batches (256 "
      "records), "
      "all are a record's share.\n"
      "records: M/s is millions delivered a second, from the first send to the last report. spread "
      "is (most - least) / median\n"
      "  of the runs' time; paced, of p50. Each run's records were counted in Kafka by end "
      "offsets.\n"
      "CPU: user and system time of all threads. share is the worker's part of both. kfastd counts "
      "whole. Paced, how the worker\n"
      "  waits for its next record is left out: of the sending thread the calls count (send, "
      "reading "
      "reports), which are metered\n"
      "  for one record in 13; librdkafka's own threads count whole.\n"
      "paced: the worker sleeps until a record's time; at 100 k/s it spins.\n"
      "made: each record's value is written, by memcpy from a model and a number, in the timed "
      "part: by kfast_reserve into the\n"
      "  ring, for the others into a buffer, which they copy from. Elsewhere these send a buffer "
      "that is ready, and kfast_reserve\n"
      "  copies the model: all copy the same bytes once.\n"
      "With headers, rd_kafka_produceva takes the place of rd_kafka_produce, which has none; nor "
      "has rd_kafka_produce_batch.\n",
      clock);
}

}  // namespace

void print_table(const std::vector<CaseResult>& results) {
  double clock = 0;
  print_head();
  for (const CaseResult& result : results) {
    print_rule();
    std::printf("| %-122s |\n", result.plan.title.c_str());
    for (const Series& series : result.series) {
      print_row(result, series);
      clock = median(series).clock_ns;
    }
  }
  print_footer(clock);
}

}  // namespace kfast::bench
