#include "kfastctl/stat_output.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "kfastctl/drain_state.hpp"

namespace kfast::ctl {
namespace {

using ipc::stats::Activity;
using ipc::stats::Kind;
using ipc::stats::Phase;

std::string padded(std::string_view text, std::size_t width, bool to_the_right) {
  const std::string fill(width > text.size() ? width - text.size() : 0, ' ');
  return to_the_right ? fill + std::string(text) : std::string(text) + fill;
}

struct Row {
  std::string name;
  std::string value;
  std::string rate;
  std::string labels;
};

std::string rate_text(const Metric& metric, const EarlierRound& earlier) {
  const auto before = earlier.values.find(metric_id(metric));
  if (metric.kind != Kind::counter || earlier.seconds_ago <= 0 || before == earlier.values.end() ||
      before->second > metric.value) {
    return "";
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f/s",
                static_cast<double>(metric.value - before->second) / earlier.seconds_ago);
  return text;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    if (value >= 0x20 && value != 0x7f) {
      out += byte;
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(value));
      out += escaped;
    }
  }
  return out;
}

bool Selection::takes(const Metric& metric) const {
  if ((!all && metric.value == 0) || (!scope.empty() && scope != metric.scope)) {
    return false;
  }
  if (filter.empty()) {
    return true;
  }
  const bool is_pattern = filter.find_first_of("*?[") != std::string::npos;
  const auto fits = [&](const std::string& text) {
    return is_pattern ? ::fnmatch(filter.c_str(), text.c_str(), 0) == 0
                      : text.find(filter) != std::string::npos;
  };
  return fits(metric.name) ||
         std::any_of(metric.labels.begin(), metric.labels.end(),
                     [&](const auto& label) { return fits(label.first + "=" + label.second); });
}

std::string labels_text(const std::vector<std::pair<std::string, std::string>>& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += text.empty() ? "" : " ";
    text += name + "=" + printable(value);
  }
  return text;
}

std::string metric_id(const Metric& metric) {
  return metric.name + " " + labels_text(metric.labels);
}

std::string duration_text(std::uint64_t milliseconds) {
  const std::uint64_t seconds = milliseconds / 1000;
  const auto two = [](std::uint64_t large, const char* large_unit, std::uint64_t small,
                      const char* small_unit) {
    return std::to_string(large) + large_unit + std::to_string(small) + small_unit;
  };
  if (milliseconds < 1000) {
    return std::to_string(milliseconds) + " ms";
  }
  if (seconds < 60) {
    return two(seconds, ".", milliseconds % 1000 / 100, " s");
  }
  if (seconds < 3600) {
    return two(seconds / 60, " min ", seconds % 60, " s");
  }
  if (seconds < 86400) {
    return two(seconds / 3600, " h ", seconds % 3600 / 60, " min");
  }
  return two(seconds / 86400, " d ", seconds % 86400 / 3600, " h");
}

std::string header_line(const Snapshot& snapshot) {
  std::string line =
      "kfastd " + printable(snapshot.version) + " pid " + std::to_string(snapshot.pid) + " ";
  if (snapshot.alive) {
    line += std::string(to_string(snapshot.phase));
    if (snapshot.drain_left_ms) {
      const DrainState drain = drain_state(snapshot);
      line += " (" + waiting_text(drain) + ", " + duration_text(drain.left_ms) + " left)";
    }
    line += ", up " + duration_text(snapshot.up_ms);
  } else if (snapshot.phase == Phase::stopped) {
    line += "has stopped; these are its last counts";
  } else {
    line += std::string("is gone (killed or crashed while ") + to_string(snapshot.phase) +
            "); these are its last counts";
  }
  line += "; stats layout " + std::to_string(snapshot.layout_version);
  for (const Beat& beat : snapshot.beats) {
    line += "; shard " + std::to_string(beat.shard) + " " + to_string(beat.activity);
    if (beat.activity != Activity::absent) {
      line += ", heartbeat " + duration_text(beat.age_ms) + " ago";
    }
  }
  return line;
}

std::string text_of(const Snapshot& snapshot, const Selection& selection,
                    const EarlierRound* earlier) {
  std::vector<Row> rows;
  for (const Metric& metric : snapshot.metrics) {
    if (selection.takes(metric)) {
      rows.push_back({metric.name, std::to_string(metric.value),
                      earlier != nullptr ? rate_text(metric, *earlier) : std::string(),
                      labels_text(metric.labels)});
    }
  }
  std::size_t name_width = 0;
  std::size_t value_width = 0;
  std::size_t rate_width = 0;
  for (const Row& row : rows) {
    name_width = std::max(name_width, row.name.size());
    value_width = std::max(value_width, row.value.size());
    rate_width = std::max(rate_width, row.rate.size());
  }
  std::string text = header_line(snapshot) + "\n";
  for (const Row& row : rows) {
    text += padded(row.name, name_width, false) + "  " + padded(row.value, value_width, true);
    if (earlier != nullptr) {
      text += "  " + padded(row.rate, rate_width, true);
    }
    text += (row.labels.empty() ? "" : "  " + row.labels) + "\n";
  }
  if (rows.empty()) {
    text += selection.filter.empty() && selection.scope.empty()
                ? "every counter is zero\n"
                : "no counter that is not zero fits --scope and --filter (-a shows zeros too)\n";
  }
  for (const Note& note : snapshot.notes) {
    if (selection.scope.empty() || selection.scope == note.scope) {
      text += note.name + " " + labels_text(note.labels) + ": " + printable(note.text) + "\n";
    }
  }
  return text;
}

}  // namespace kfast::ctl
