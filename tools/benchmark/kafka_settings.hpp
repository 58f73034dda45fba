// The librdkafka settings of both sides.
#pragma once

#include <librdkafka/rdkafka.h>

#include <span>
#include <string>

namespace kfast::bench {

struct Setting {
  const char* name;
  const char* value;
};

/// What kfastd's profile is given, and what a producer in the worker gets: the same. They are
/// kfastd's own defaults.
[[nodiscard]] std::span<const Setting> common_settings();

/// What only the producer in the worker needs: kfastd bounds its queue by its rings, and reserves
/// these names.
[[nodiscard]] std::span<const Setting> in_process_settings();

/// A configuration with both, and the brokers. `linger_ms`: instead of the common setting; empty:
/// that. Ends the process if librdkafka refuses one.
[[nodiscard]] rd_kafka_conf_t* producer_conf(const std::string& brokers,
                                             const std::string& linger_ms = {});

}  // namespace kfast::bench
