// What librdkafka's statistics say of its brokers, shown in the stats segment.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/counters.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::kafka {

/// One broker's figures at one moment.
struct BrokerFigures {
  std::string name;   // "host:port/id"
  std::string state;  // librdkafka's word for it, such as UP
  std::array<std::uint64_t, static_cast<std::size_t>(telemetry::BrokerCounter::count_)> values{};
};

/// The brokers in one document of librdkafka's, without its internal and logical ones. Reads no
/// further than them: what follows is as long as there are partitions. Nothing: it is malformed.
[[nodiscard]] std::optional<std::vector<BrokerFigures>> brokers_in(std::string_view statistics);

/// Adds what another producer says of the same broker: counts are added up, of times the longest
/// counts, and it is up where it is for both.
void add(BrokerFigures& to, const BrokerFigures& other);

/// The blocks of one instance's brokers. Used by the shard's thread; the segment outlives it.
class BrokerStatistics {
 public:
  BrokerStatistics(telemetry::StatsSegment& segment, std::string cluster, std::string profile)
      : segment_(segment), cluster_(std::move(cluster)), profile_(std::move(profile)) {}

  /// Shows the brokers in a document of one of the instance's producers, together with what the
  /// others said last; one that is in none any more is not shown any more. False: it is malformed,
  /// and nothing has changed.
  [[nodiscard]] bool show(std::size_t producer, std::string_view statistics);
  /// Shows none any more.
  void clear() {
    shown_.clear();
    latest_.clear();
  }

 private:
  struct Shown {
    telemetry::BrokerBlock block;
    std::string state;
  };
  telemetry::StatsSegment& segment_;
  std::string cluster_;
  std::string profile_;
  std::map<std::size_t, std::vector<BrokerFigures>> latest_;  // by producer
  std::map<std::string, Shown> shown_;
};

}  // namespace kfast::daemon::kafka
