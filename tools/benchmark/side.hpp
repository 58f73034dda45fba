// Whose producer a worker has.
#pragma once

#include <cstdint>
#include <string>

namespace kfast::bench {

enum class Side : std::uint8_t {
  kfast,       // libkfast, with kfastd in a process of its own
  librdkafka,  // in the worker
  none,        // neither: what the measurement itself costs
};

[[nodiscard]] constexpr const char* name_of(Side side) {
  switch (side) {
    case Side::kfast:
      return "kfast_send";
    case Side::librdkafka:
      return "rd_kafka_produce";
    case Side::none:
      break;
  }
  return "pacing loop alone";
}

/// Whether --with, if there is one, means it.
[[nodiscard]] inline bool is_wanted(Side side, const std::string& with) {
  return std::string(name_of(side)).find(with) != std::string::npos;
}

}  // namespace kfast::bench
