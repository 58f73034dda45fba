// What another file would change in a kfastd that runs.
#pragma once

#include <string>
#include <vector>

#include "config/config.hpp"

namespace kfast::daemon::config {

struct Changes {
  /// Keys and profiles that only a start can change, by name.
  std::vector<std::string> need_restart;
  /// Profiles whose properties, or their cluster's, differ: as they shall be.
  std::vector<KafkaSetup> profiles;
  /// Those of which only sasl.password differs. Another user is another producer: connections stay
  /// logged in as the former, and fail what that one may no longer do.
  std::vector<KafkaSetup> passwords;
};

/// From what runs to `next`. [[allow]], [limits], log_level and drain_timeout_ms can always change.
[[nodiscard]] Changes changes_between(const Config& running, const Config& next);

}  // namespace kfast::daemon::config
