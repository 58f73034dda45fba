// The counters of counters.def as enums, and the tables that describe them.
#pragma once

#include <cstdint>
#include <span>

#include "kfast/ipc/stats_layout.hpp"

namespace kfast::daemon::telemetry {

/// What a block counts for. The values are the scopes' indices in the segment.
enum class Scope : std::uint32_t { daemon, shard, profile, topic, channel, broker };
inline constexpr std::uint32_t kScopeCount = 6;

/// Why a record failed; the order is that of the discarded_* counters.
enum class FailureReason : std::uint32_t {
#define KFAST_FAILURE_REASON(id, meaning) id,
#include "failure_reasons.def"
#undef KFAST_FAILURE_REASON
};

enum class DaemonCounter : std::uint32_t {
#define KFAST_DAEMON_COUNTER(id, ...) id,
#include "counters.def"
  count_
};

enum class ShardCounter : std::uint32_t {
#define KFAST_SHARD_COUNTER(id, ...) id,
#include "counters.def"
  count_
};

enum class ProfileCounter : std::uint32_t {
#define KFAST_PROFILE_COUNTER(id, ...) id,
#include "counters.def"
  count_
};

enum class TopicCounter : std::uint32_t {
#define KFAST_TOPIC_COUNTER(id, ...) id,
#include "counters.def"
  count_
};

enum class ChannelCounter : std::uint32_t {
#define KFAST_CHANNEL_COUNTER(id, ...) id,
#include "counters.def"
  count_
};

enum class BrokerCounter : std::uint32_t {
#define KFAST_BROKER_COUNTER(id, ...) id,
#include "counters.def"
  count_
};

/// The counter of a failure reason.
constexpr TopicCounter discarded(FailureReason reason) noexcept {
  return static_cast<TopicCounter>(static_cast<std::uint32_t>(TopicCounter::discarded_too_large) +
                                   static_cast<std::uint32_t>(reason));
}
static_assert(discarded(FailureReason::other) == TopicCounter::discarded_other);

/// The `reason` label of a failure reason, such as "too_large". Static storage.
const char* to_string(FailureReason reason) noexcept;

/// One text of a scope's blocks.
struct TextDeclaration {
  const char* name;
  std::uint32_t capacity;  ///< bytes, multiple of 8, NUL included
  ipc::stats::TextRole role;
};

struct CounterDeclaration {
  const char* name;
  const char* label;  ///< empty when the family has one member
  const char* label_value;
  ipc::stats::Kind kind;
  const char* unit;
  const char* help;
};

struct ScopeDeclaration {
  const char* name;
  std::span<const TextDeclaration> texts;
  std::span<const CounterDeclaration> counters;  ///< by the scope's enum
  std::uint32_t default_blocks;                  ///< in the segment, block 0 ("other") included
  bool keeps_totals;  ///< whether the counts of a block that is freed go on in block 0
};

/// All scopes, by Scope.
std::span<const ScopeDeclaration, kScopeCount> scopes() noexcept;

}  // namespace kfast::daemon::telemetry
