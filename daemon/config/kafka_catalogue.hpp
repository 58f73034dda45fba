// The properties that the librdkafka of this process knows, from librdkafka itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kfast::daemon::config {

struct KnownProperty {
  enum class Side { both, producer, consumer };
  std::string name;
  std::string canonical;  ///< the same as name, or what name is an alias for
  Side side = Side::both;
  bool pointer = false;  ///< a callback or an object: cannot come from a file
};

/// Read once per process from rd_kafka_conf_properties_show. Thread-safe.
const std::vector<KnownProperty>& known_properties();
/// That property, or null where this librdkafka does not know it.
const KnownProperty* find_known(std::string_view name);
/// The name that aliases share; an unknown name is its own.
std::string_view canonical(std::string_view name);
std::vector<std::string_view> known_property_names();

}  // namespace kfast::daemon::config
