// What a reload changes in a shard, on its own thread.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/kafka_conf.hpp"
#include "shard/shard.hpp"

namespace kfast::daemon::shard {

void Shard::policy_changed() {
  post([this] { review_slots(); });
}

void Shard::review_slots() {
  std::set<uid_t> present;
  for (Slot& slot : slots_) {
    if (slot.channel) {
      slot.channel->ask_topics_again();
      const config::Limits limits = environment_.quota.limits(slot.principal);
      *slot.rate = policy::RateLimit(limits.records_per_second, limits.bytes_per_second);
      present.insert(slot.principal.uid);
    }
  }
  // Who has no channel now gets the new limits with the next one.
  std::erase_if(rates_, [&](const auto& each) { return !present.contains(each.first); });
}

void Shard::renew(std::vector<config::KafkaSetup> profiles) {
  auto shared = std::make_shared<std::vector<config::KafkaSetup>>(std::move(profiles));
  post([this, shared] {
    for (config::KafkaSetup& each : *shared) {
      Profile& profile = profiles_.find(each.profile.name)->second;
      profile.setup = std::move(each);
      profile.instance->resign();
    }
  });
}

void Shard::renew_passwords(std::vector<config::KafkaSetup> profiles) {
  auto shared = std::make_shared<std::vector<config::KafkaSetup>>(std::move(profiles));
  post([this, shared] {
    for (config::KafkaSetup& each : *shared) {
      Profile& profile = profiles_.find(each.profile.name)->second;
      // An instance that takes its place is made of it, too.
      profile.setup = std::move(each);
      if (auto conf = config::make_producer_conf(profile.setup.cluster, profile.setup.profile)) {
        profile.instance->renew_password(config::get_property(conf->conf.get(), "sasl.username"),
                                         config::get_property(conf->conf.get(), "sasl.password"));
      }
    }
  });
}

}  // namespace kfast::daemon::shard
