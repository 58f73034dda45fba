// The table of exceptions: Kafka properties that kfastd sets itself, refuses, or names because
// they weaken a promise. Every other property passes through to librdkafka.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace kfast::daemon::config {

/// A value of ours where the file says nothing.
struct KafkaDefault {
  std::string_view name;
  std::string_view value;
  std::string_view why;
};
std::span<const KafkaDefault> kafka_defaults();

/// Values that kfastd always sets, over everything (the properties are reserved).
std::span<const KafkaDefault> kafka_fixed();

/// A property that a file may not say, and why. Names are canonical; a name ending in '*' is a
/// prefix.
struct Reserved {
  std::string_view name;
  std::string_view why;
};
std::span<const Reserved> reserved_properties();
/// The reason why that property (or what it is an alias for) is refused, or empty.
std::string reserved_reason(std::string_view name);

/// Reads a property of the composed configuration by its canonical name.
using PropertyReader = std::function<std::string(std::string_view)>;

/// A property whose value can weaken a promise. `row` is the row of the promises table.
struct Weakening {
  std::string_view name;
  std::string_view values;  ///< the values meant, in words
  bool (*applies)(const PropertyReader& get);
  std::string_view row;
  std::string_view consequence;
};
std::span<const Weakening> weakenings();

/// Whether a property's value is never to be printed, wherever it comes from.
bool is_secret(std::string_view name);

/// Why that SASL mechanism cannot work with a librdkafka of that version (as from
/// rd_kafka_version()), or empty.
std::string broken_mechanism(std::string_view mechanism, int librdkafka_version);

}  // namespace kfast::daemon::config
