// After a fatal librdkafka error, or for a reload with other properties: another instance takes
// over, and nothing is reported that the first one gave up.
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "shard/shard.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::shard {
namespace {

using namespace std::chrono_literals;

/// For requests that are out when the error comes: most are answered, and what was answered is not
/// sent twice.
constexpr auto kAnswersWithin = 5s;
/// An instance that fails at once again must not make us start threads in a loop.
constexpr auto kLeastLife = 1s;

}  // namespace

void Shard::replace_ended(const std::string& name, Profile& profile) {
  kafka::Instance& former = *profile.instance;
  const auto now = std::chrono::steady_clock::now();
  if (!profile.replace_at) {
    former.begin_purge(false);
    profile.replace_at = now + kAnswersWithin;
  }
  if (former.in_flight() != 0) {
    if (now >= *profile.replace_at) {
      former.begin_purge(true);
      profile.replace_at = now + kAnswersWithin;
    }
    return;
  }
  // One former instance at a time: its threads may take a while to end.
  const bool ending = profile.former_ended.valid() &&
                      profile.former_ended.wait_for(0s) != std::future_status::ready;
  if (ending || now < profile.made + kLeastLife) {
    profile.replace_at = now + 100ms;
    return;
  }
  auto kept = std::move(profile.instance);
  if (const auto made = make_instance(name, profile); !made) {
    spdlog::critical("no new Kafka producer profile={}: {}; tries again", name, made.error());
    profile.instance = std::move(kept);
    profile.replace_at = now + kLeastLife;
    return;
  }
  profile.replace_at.reset();
  profile.ready = true;
  if (kept->fatal()) {
    profile.stats.add(telemetry::ProfileCounter::instances_replaced);
    profile.instance->follow(*kept);
    telemetry::process_log().log(spdlog::level::warn, "replaced:" + name,
                                 "Kafka producer replaced profile={}", name);
  } else {
    spdlog::warn("Kafka producer replaced profile={}", name);
  }
  take_again(*kept, *profile.instance);
  profile.former_ended =
      std::async(std::launch::async, [kept = std::move(kept)]() mutable { kept.reset(); });
}

void Shard::take_again(const kafka::Instance& former, kafka::Instance& next) {
  for (std::size_t at = 0; at < slots_.size(); ++at) {
    Slot& slot = slots_[at];
    if (!slot.channel || slot.instance != &former) {
      continue;
    }
    const auto index = static_cast<std::uint16_t>(at);
    slot.instance = &next;
    slot.sink = std::make_unique<KafkaSink>(next, slot.principal, environment_.access,
                                            topic_claims_, topic_stats_);
    slot.channel->take_again();
    activate(index);
    touch(index);
  }
}

}  // namespace kfast::daemon::shard
