// How a shard stands, told by its own thread: an answer proves that the thread still makes rounds.
#include <map>
#include <string_view>
#include <utility>

#include "shard/shard.hpp"

namespace kfast::daemon::shard {

void Shard::ask(std::function<void(Standing)> answer) {
  post([this, answer = std::move(answer)] { answer(standing()); });
}

Standing Shard::standing() const {
  Standing now;
  std::map<std::string_view, bool> clusters;  // whether each is up, as far as its profiles know
  for (const auto& [name, profile] : profiles_) {
    bool& up = clusters.try_emplace(profile.instance->cluster(), true).first->second;
    up = up && !profile.instance->all_brokers_down();
  }
  now.clusters = clusters.size();
  for (const auto& [name, up] : clusters) {
    now.clusters_up += up ? 1U : 0U;
  }
  for (const Slot& slot : slots_) {
    if (slot.channel) {
      now.waiting.records += slot.channel->in_flight();
      now.waiting.bytes += slot.channel->tail() - slot.channel->taken();
    }
  }
  return now;
}

}  // namespace kfast::daemon::shard
