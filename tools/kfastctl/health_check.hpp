// Whether kfastd works, as its socket and its stats segment tell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kfastctl/snapshot.hpp"

namespace kfast::ctl {

/// The exit codes of `kfastctl health`; a higher one is not worse: critical goes before unknown.
enum class HealthLevel { ok = 0, warning = 1, critical = 2, unknown = 3 };

struct Health {
  HealthLevel level = HealthLevel::ok;
  std::vector<std::string> findings;  ///< a sentence each, with the level in front

  void add(HealthLevel found, const std::string& finding);
};

/// What a snapshot says: gone or draining, hung shards, profiles without a broker.
void check_snapshot(const Snapshot& snapshot, std::uint64_t stale_ms, Health& health);

/// Connects to the session socket, and reads the segment.
Health check_health(const std::string& socket_dir, std::uint64_t stale_ms);

const char* to_string(HealthLevel level) noexcept;

}  // namespace kfast::ctl
