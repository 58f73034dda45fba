// What `kfastctl stat` prints.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "kfastctl/snapshot.hpp"

namespace kfast::ctl {

struct Selection {
  bool all = false;     ///< zeros too
  std::string scope{};  ///< empty: every scope
  /// Against the metric's name and each `label=value`: contained, or matched as a whole when it has
  /// one of *?[.
  std::string filter{};

  [[nodiscard]] bool takes(const Metric& metric) const;
};

/// The values of an earlier round, by metric_id().
struct EarlierRound {
  std::map<std::string, std::uint64_t> values;
  double seconds_ago = 0;
};

/// Name and labels of a metric in one string that is unique within a snapshot.
std::string metric_id(const Metric& metric);

/// The text with its control characters escaped.
std::string printable(std::string_view text);

/// "cluster=main topic=orders"; control characters are escaped.
std::string labels_text(const std::vector<std::pair<std::string, std::string>>& labels);

/// "kfastd 0.1.0 pid 4711 running, up 3 h 12 min; stats layout 1; shard 0 idle, heartbeat 12 ms
/// ago", or that it is gone.
std::string header_line(const Snapshot& snapshot);

/// Header line, table, notes. With an earlier round: a column of changes per second, too.
std::string text_of(const Snapshot& snapshot, const Selection& selection,
                    const EarlierRound* earlier);

/// One JSON object in one line.
std::string json_of(const Snapshot& snapshot, const Selection& selection);

/// "12 ms", "3.4 s", "5 min 6 s", "7 h 8 min", "9 d 10 h"
std::string duration_text(std::uint64_t milliseconds);

}  // namespace kfast::ctl
