// What a configuration file says, as plain data.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/problem.hpp"

namespace kfast::daemon::config {

/// [daemon]. The initial values are the defaults; keys.cpp declares their ranges and meanings.
struct Daemon {
  std::string socket_dir = "/run/kfast";
  std::uint64_t socket_mode = 0666;
  std::string socket_group;
  std::uint64_t shards = 1;
  std::string log_level = "info";
  std::uint64_t drain_timeout_ms = 10'000;
  std::uint64_t spin_us = 50;
  std::uint64_t nap_us = 2'500;
  std::uint64_t max_linger_ms = 600;
};

/// One Kafka property as the file says it; a secret's value is resolved and is never to be printed.
struct Property {
  std::string name;
  std::string value;
  bool secret = false;
  Where where{};
  bool inline_secret = false;  ///< a secret whose value stands in the file itself
  std::string file_state{};  ///< of the file that the value names, if any: another one, other text

  /// The value, or "***" for a secret.
  [[nodiscard]] std::string shown() const { return secret ? "***" : value; }
};

/// [clusters.NAME]
struct Cluster {
  std::string name;
  std::vector<Property> properties;  ///< in the file's order
  Where where;
};

/// [profiles.NAME]: a producer's properties.
struct Profile {
  std::string name;
  std::string cluster;
  std::vector<Property> properties;  ///< in the file's order
  Where where;
};

/// One [[allow]]: one user or one group, and what it may do. A user or group that this machine
/// does not know has neither uid nor gid, and the rule matches nobody.
struct Allow {
  std::string who;  ///< as the file says it: "user www-data", "uid 33", "group adm"
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::vector<std::string> produce;  ///< topic patterns
  std::vector<std::string> consume;  ///< topic patterns
  std::vector<std::string> groups;   ///< consumer group patterns
  bool trusted = false;              ///< their records are read where they are, without a copy
  Where where;
};

/// [limits.NAME]: the most one principal may hold at a time, but for topics: those it has used
/// since kfastd started. 0 means unlimited for the rates.
struct Limits {
  std::uint64_t sessions = 256;
  std::uint64_t channels = 256;
  std::uint64_t ring_bytes = std::uint64_t{1} << 30;
  std::uint64_t topics = 1'024;
  std::uint64_t records_per_second = 0;
  std::uint64_t bytes_per_second = 0;
};

/// The built-in [limits.total], which holds for all principals together.
Limits default_total_limits();

struct Config {
  Daemon daemon;
  std::map<std::string, Cluster, std::less<>> clusters;
  std::map<std::string, Profile, std::less<>> profiles;
  std::vector<Allow> allow;
  /// By user name; "default" and "total" are always there.
  std::map<std::string, Limits, std::less<>> limits{{"default", Limits{}},
                                                    {"total", default_total_limits()}};
};

/// What a profile's Kafka instance is made of.
struct KafkaSetup {
  Cluster cluster;
  Profile profile;
};

/// The limits of that user: its own, else "default".
const Limits& limits_for(const Config& config, const std::string& user);

}  // namespace kfast::daemon::config
