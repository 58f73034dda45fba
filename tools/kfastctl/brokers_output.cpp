#include "kfastctl/brokers_output.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "kfastctl/stat_output.hpp"

namespace kfast::ctl {
namespace {

constexpr std::array<std::string_view, 11> kTitles = {
    "broker",  "state",    "rtt p50 ms", "rtt p99 ms",     "in flight", "errors",
    "retried", "throttle", "sent bytes", "received bytes", "profile"};
using Row = std::array<std::string, kTitles.size()>;

struct Broker {
  std::string state;
  std::map<std::string, std::uint64_t> values;  // by name and own label
};

std::string label(const std::vector<std::pair<std::string, std::string>>& labels,
                  std::string_view name) {
  for (const auto& [key, value] : labels) {
    if (key == name) {
      return value;
    }
  }
  return "";
}

using Key = std::tuple<std::string, std::string, std::string>;  // cluster, profile, broker

Key key_of(const std::vector<std::pair<std::string, std::string>>& labels) {
  return {label(labels, "cluster"), label(labels, "profile"), label(labels, "broker")};
}

std::string milliseconds(std::uint64_t microseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(microseconds) / 1000);
  return text;
}

Row row_of(const Key& key, const Broker& broker) {
  const auto value = [&](const std::string& name) {
    const auto found = broker.values.find(name);
    return found == broker.values.end() ? 0 : found->second;
  };
  return {std::get<2>(key),
          broker.state,
          milliseconds(value("kfast_broker_rtt_microseconds 0.5")),
          milliseconds(value("kfast_broker_rtt_microseconds 0.99")),
          std::to_string(value("kfast_broker_requests queued") +
                         value("kfast_broker_requests waiting")),
          std::to_string(value("kfast_broker_tx_errors_total ") +
                         value("kfast_broker_request_timeouts_total ")),
          std::to_string(value("kfast_broker_tx_retries_total ")),
          std::to_string(value("kfast_broker_throttle_milliseconds ")),
          std::to_string(value("kfast_broker_tx_bytes_total ")),
          std::to_string(value("kfast_broker_rx_bytes_total ")),
          std::get<1>(key)};
}

void append(std::string& text, const Row& row,
            const std::array<std::size_t, kTitles.size()>& width) {
  std::string line;
  for (std::size_t column = 0; column < row.size(); ++column) {
    const std::string fill(width[column] - row[column].size(), ' ');
    const bool is_text = column < 2 || column == row.size() - 1;
    line += (column == 0 ? "" : "  ") + (is_text ? row[column] + fill : fill + row[column]);
  }
  text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

}  // namespace

std::string brokers_text(const Snapshot& snapshot) {
  std::map<Key, Broker> brokers;
  for (const Metric& metric : snapshot.metrics) {
    // What the block "(other)" holds is no broker's.
    if (metric.scope == "broker" && label(metric.labels, "broker") != "(other)") {
      const std::string own = metric.labels.size() > 3 ? metric.labels.back().second : "";
      brokers[key_of(metric.labels)].values[metric.name + " " + own] = metric.value;
    }
  }
  for (const Note& note : snapshot.notes) {
    if (const auto found = brokers.find(key_of(note.labels));
        note.scope == "broker" && note.name == "state" && found != brokers.end()) {
      found->second.state = note.text;
    }
  }
  std::string text = header_line(snapshot) + "\n";
  if (brokers.empty()) {
    return text +
           "no broker is shown: librdkafka's statistics are off, or none have come yet. To have "
           "them, say\n  \"statistics.interval.ms\" = 10000\nin [profiles.NAME] of kfastd.toml, "
           "and restart kfastd\n";
  }
  Row titles;
  std::copy(kTitles.begin(), kTitles.end(), titles.begin());
  std::vector<Row> rows{titles};
  for (const auto& [key, broker] : brokers) {
    Row row = row_of(key, broker);
    for (std::string& cell : row) {
      cell = printable(cell);
    }
    rows.push_back(std::move(row));
  }
  std::array<std::size_t, kTitles.size()> width{};
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      width[column] = std::max(width[column], row[column].size());
    }
  }
  for (const Row& row : rows) {
    append(text, row, width);
  }
  return text;
}

}  // namespace kfast::ctl
