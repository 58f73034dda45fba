#include "config/changes.hpp"

#include <algorithm>

namespace kfast::daemon::config {
namespace {

bool same(const std::vector<Property>& one, const std::vector<Property>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const Property& a, const Property& b) {
                      return a.name == b.name && a.value == b.value && a.file_state == b.file_state;
                    });
}

std::vector<Property> without_password(std::vector<Property> properties) {
  std::erase_if(properties, [](const Property& each) { return each.name == "sasl.password"; });
  return properties;
}

bool same_but_password(const std::vector<Property>& one, const std::vector<Property>& other) {
  return same(without_password(one), without_password(other));
}

void compare_daemon(const Daemon& running, const Daemon& next, std::vector<std::string>& differ) {
  const auto look = [&](const char* key, auto field) {
    if (running.*field != next.*field) {
      differ.push_back(std::string("daemon.") + key);
    }
  };
  look("socket_dir", &Daemon::socket_dir);
  look("socket_mode", &Daemon::socket_mode);
  look("socket_group", &Daemon::socket_group);
  look("shards", &Daemon::shards);
  look("spin_us", &Daemon::spin_us);
  look("nap_us", &Daemon::nap_us);
  look("max_linger_ms", &Daemon::max_linger_ms);
}

}  // namespace

Changes changes_between(const Config& running, const Config& next) {
  Changes changes;
  compare_daemon(running.daemon, next.daemon, changes.need_restart);
  for (const auto& [name, profile] : running.profiles) {
    const auto found = next.profiles.find(name);
    if (found == next.profiles.end() || found->second.cluster != profile.cluster) {
      changes.need_restart.push_back("profiles." + name);
      continue;
    }
    const Cluster& before = running.clusters.at(profile.cluster);
    const Cluster& after = next.clusters.at(profile.cluster);
    if (same(profile.properties, found->second.properties) &&
        same(before.properties, after.properties)) {
      continue;
    }
    const bool password_only = same_but_password(profile.properties, found->second.properties) &&
                               same_but_password(before.properties, after.properties);
    (password_only ? changes.passwords : changes.profiles).push_back({after, found->second});
  }
  for (const auto& [name, profile] : next.profiles) {
    if (!running.profiles.contains(name)) {
      changes.need_restart.push_back("profiles." + name);
    }
  }
  return changes;
}

}  // namespace kfast::daemon::config
