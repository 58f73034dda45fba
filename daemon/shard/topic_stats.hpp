// One block of counters per cluster, topic and principal, for as long as the daemon runs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>

#include "telemetry/stats.hpp"

namespace kfast::daemon::shard {

/// Used by one shard's thread. Blocks are never freed, so totals stay with their names; the segment
/// bounds how many there are and counts the rest together.
class TopicStats {
 public:
  explicit TopicStats(telemetry::StatsSegment& segment) : segment_(segment) {}

  /// The block of these labels; stays valid as long as this object.
  [[nodiscard]] telemetry::TopicBlock& of(std::string_view cluster, std::string_view topic,
                                          std::string_view principal) {
    if (blocks_.size() >= kMaxBlocks) {
      topic = principal = "(other)";  // a worker may think up names for ever
    }
    auto key = std::make_tuple(std::string(cluster), std::string(topic), std::string(principal));
    auto found = blocks_.find(key);
    if (found == blocks_.end()) {
      found = blocks_
                  .emplace(std::move(key), std::make_unique<telemetry::TopicBlock>(
                                               segment_.topic_block(cluster, topic, principal)))
                  .first;
    }
    return *found->second;
  }

 private:
  static constexpr std::size_t kMaxBlocks = 16384;

  telemetry::StatsSegment& segment_;
  std::map<std::tuple<std::string, std::string, std::string>,
           std::unique_ptr<telemetry::TopicBlock>>
      blocks_;
};

}  // namespace kfast::daemon::shard
