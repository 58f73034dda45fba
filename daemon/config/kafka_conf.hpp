// A librdkafka configuration made from our defaults, a cluster and a profile.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/problem.hpp"
#include "config/result.hpp"

namespace kfast::daemon::config {

struct KafkaConfDelete {
  void operator()(rd_kafka_conf_t* conf) const noexcept { rd_kafka_conf_destroy(conf); }
};
/// Owns a rd_kafka_conf_t. rd_kafka_new takes it over on success only: release() it then.
using KafkaConf = std::unique_ptr<rd_kafka_conf_t, KafkaConfDelete>;

/// A value of the composed configuration and where it comes from.
struct Effective {
  std::string name;
  std::string value;  ///< "***" for a secret
  std::string from;   ///< "default", "fixed", "clusters.NAME", "profiles.NAME"
};

struct ProducerConf {
  KafkaConf conf;
  bool idempotent = true;
  std::int64_t message_timeout_ms = 0;  ///< 0: never
  std::int64_t linger_ms = 0;
  std::int64_t message_max_bytes = 0;
  std::int64_t sticky_linger_ms = 0;
  std::vector<Problem> warnings;     ///< promises weakened; idempotence switched off
  std::vector<Effective> effective;  ///< what was set, in order
};

/// Composes fixed values, defaults, the cluster's and the profile's properties, later ones winning,
/// and checks them by the table of exceptions. Every error found is returned, not only the first.
/// Callbacks and events are the caller's to set on `conf`. Thread-safe.
Result<ProducerConf, std::vector<Problem>> make_producer_conf(const Cluster& cluster,
                                                              const Profile& profile);

/// Checks one property by the table of exceptions and by librdkafka on a scratch configuration.
std::optional<Problem> check_property(const Property& property, bool in_profile);

/// Makes and destroys a producer without brokers from a copy of `conf`: finds what librdkafka
/// checks only then (certificates, keys, contradictions). Returns librdkafka's message, or empty.
/// Starts threads for the moment: not for a process that forks.
std::string try_producer(const rd_kafka_conf_t* conf);

/// A property's value by rd_kafka_conf_get; empty where librdkafka does not know it.
std::string get_property(const rd_kafka_conf_t* conf, std::string_view name);

}  // namespace kfast::daemon::config
