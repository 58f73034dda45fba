#include "telemetry/counters.hpp"

#include <array>

namespace kfast::daemon::telemetry {
namespace {

using ipc::stats::Kind;
using ipc::stats::TextRole;

#define KFAST_DECLARE(id, name, label, label_value, kind, unit, help) \
  CounterDeclaration{name, label, label_value, Kind::kind, unit, help},

#define KFAST_DAEMON_COUNTER KFAST_DECLARE
constexpr CounterDeclaration kDaemon[] = {
#include "counters.def"
};
#define KFAST_SHARD_COUNTER KFAST_DECLARE
constexpr CounterDeclaration kShard[] = {
#include "counters.def"
};
#define KFAST_PROFILE_COUNTER KFAST_DECLARE
constexpr CounterDeclaration kProfile[] = {
#include "counters.def"
};
#define KFAST_TOPIC_COUNTER KFAST_DECLARE
constexpr CounterDeclaration kTopic[] = {
#include "counters.def"
};
#define KFAST_CHANNEL_COUNTER KFAST_DECLARE
constexpr CounterDeclaration kChannel[] = {
#include "counters.def"
};
#define KFAST_BROKER_COUNTER KFAST_DECLARE
constexpr CounterDeclaration kBroker[] = {
#include "counters.def"
};
#undef KFAST_DECLARE

constexpr TextDeclaration kDaemonTexts[] = {{"last_reload_refused", 256, TextRole::note}};
constexpr TextDeclaration kShardTexts[] = {{"shard", 8, TextRole::label}};
constexpr TextDeclaration kProfileTexts[] = {{"cluster", 64, TextRole::label},
                                             {"profile", 64, TextRole::label},
                                             {"last_error", 512, TextRole::note}};
// A topic name has at most 249 bytes.
constexpr TextDeclaration kTopicTexts[] = {{"cluster", 64, TextRole::label},
                                           {"topic", 256, TextRole::label},
                                           {"principal", 64, TextRole::label}};
constexpr TextDeclaration kChannelTexts[] = {{"channel", 24, TextRole::label},
                                             {"pid", 16, TextRole::label},
                                             {"principal", 64, TextRole::label},
                                             {"profile", 64, TextRole::label}};

// A host name has at most 255 bytes; longer ones are cut.
constexpr TextDeclaration kBrokerTexts[] = {{"cluster", 64, TextRole::label},
                                            {"profile", 64, TextRole::label},
                                            {"broker", 128, TextRole::label},
                                            {"state", 32, TextRole::note}};

constexpr std::array<ScopeDeclaration, kScopeCount> kScopes = {{
    {"daemon", kDaemonTexts, kDaemon, 64, true},
    {"shard", kShardTexts, kShard, ipc::stats::kMaxShards + 1, true},
    {"profile", kProfileTexts, kProfile, 1024, true},
    {"topic", kTopicTexts, kTopic, 16384, true},
    {"channel", kChannelTexts, kChannel, 16384, false},
    {"broker", kBrokerTexts, kBroker, 4096, true},
}};

constexpr bool fits_the_layout() {
  for (const ScopeDeclaration& scope : kScopes) {
    if (scope.texts.size() > ipc::stats::kMaxTexts ||
        scope.counters.size() > ipc::stats::kMaxValues) {
      return false;
    }
    for (const TextDeclaration& text : scope.texts) {
      if (text.capacity % 8 != 0 || text.capacity > ipc::stats::kMaxTextBytes) {
        return false;
      }
    }
  }
  return kScopes.size() <= ipc::stats::kMaxScopes;
}
static_assert(fits_the_layout());

constexpr const char* kReasons[] = {
#define KFAST_FAILURE_REASON(id, meaning) #id,
#include "failure_reasons.def"
#undef KFAST_FAILURE_REASON
};

}  // namespace

const char* to_string(FailureReason reason) noexcept {
  return kReasons[static_cast<std::uint32_t>(reason)];
}

std::span<const ScopeDeclaration, kScopeCount> scopes() noexcept {
  return kScopes;
}

}  // namespace kfast::daemon::telemetry
