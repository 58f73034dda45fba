#include "policy/access_list.hpp"

#include <sys/types.h>

#include <algorithm>
#include <string>

namespace kfast::daemon::policy {

AccessList::AccessList(const std::vector<config::Allow>& rules) {
  const auto add = [](Rights& rights, const config::Allow& rule) {
    for (const std::string& pattern : rule.produce) {
      rights.produce.add(pattern);
    }
    for (const std::string& pattern : rule.consume) {
      rights.consume.add(pattern);
    }
    for (const std::string& pattern : rule.groups) {
      rights.groups.add(pattern);
    }
  };
  for (const config::Allow& rule : rules) {
    if (rule.uid) {
      add(users_[*rule.uid], rule);
    }
    if (rule.gid) {
      add(groups_[*rule.gid], rule);
    }
  }
}

bool AccessList::allows(const Principal& who, std::string_view name,
                        PatternSet Rights::*kind) const {
  const auto in = [&](const auto& map, auto id) {
    const auto found = map.find(id);
    return found != map.end() && (found->second.*kind).contains(name);
  };
  return in(users_, who.uid) ||
         std::any_of(who.gids.begin(), who.gids.end(), [&](gid_t gid) { return in(groups_, gid); });
}

bool AccessList::may_produce(const Principal& who, std::string_view topic) const {
  return allows(who, topic, &Rights::produce);
}

bool AccessList::may_consume(const Principal& who, std::string_view topic) const {
  return allows(who, topic, &Rights::consume);
}

bool AccessList::may_join(const Principal& who, std::string_view group) const {
  return allows(who, group, &Rights::groups);
}

bool AccessList::knows(const Principal& who) const {
  return users_.contains(who.uid) || std::any_of(who.gids.begin(), who.gids.end(),
                                                 [&](gid_t gid) { return groups_.contains(gid); });
}

}  // namespace kfast::daemon::policy
