// One block of counters per cluster, topic and principal, for as long as the daemon runs.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

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
    if (const auto found = blocks_.find(key_of(cluster, topic, principal));
        found != blocks_.end()) {
      return *found->second;
    }
    if (blocks_.size() >= kMaxBlocks) {
      topic = principal = "(other)";
    }
    auto& block = blocks_[key_of(cluster, topic, principal)];
    if (!block) {
      block =
          std::make_unique<telemetry::TopicBlock>(segment_.topic_block(cluster, topic, principal));
    }
    return *block;
  }

  /// The same for a topic that is refused. Nothing vouches for its name and a worker may think up
  /// names for ever: after the first ones of a principal the rest count as one.
  [[nodiscard]] telemetry::TopicBlock& of_refused(std::string_view cluster, std::string_view topic,
                                                  std::string_view principal) {
    if (!blocks_.contains(key_of(cluster, topic, principal))) {
      std::size_t& names = refused_[std::string(principal)];
      if (names >= kMaxRefusedNames) {
        topic = "(refused)";
      } else {
        ++names;
      }
    }
    return of(cluster, topic, principal);
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;

  static constexpr std::size_t kMaxBlocks = 16384;
  static constexpr std::size_t kMaxRefusedNames = 64;

  static Key key_of(std::string_view cluster, std::string_view topic, std::string_view principal) {
    return {std::string(cluster), std::string(topic), std::string(principal)};
  }

  telemetry::StatsSegment& segment_;
  std::map<Key, std::unique_ptr<telemetry::TopicBlock>> blocks_;
  std::map<std::string, std::size_t> refused_;  // by principal: how many names it has blocks of
};

}  // namespace kfast::daemon::shard
