#include "policy/access_list.hpp"

#include <sys/types.h>

#include <algorithm>
#include <string>
#include <utility>

namespace kfast::daemon::policy {

AccessList::AccessList(const std::vector<config::Allow>& rules) : rules_(compile(rules)) {}

void AccessList::replace(const std::vector<config::Allow>& rules) {
  Rules compiled = compile(rules);
  const std::lock_guard lock(mutex_);
  rules_ = std::move(compiled);
}

AccessList::Rules AccessList::compile(const std::vector<config::Allow>& rules) {
  Rules compiled;
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
      add(compiled.users[*rule.uid], rule);
    }
    if (rule.gid) {
      add(compiled.groups[*rule.gid], rule);
    }
  }
  return compiled;
}

bool AccessList::allows(const Principal& who, std::string_view name,
                        PatternSet Rights::*kind) const {
  const auto in = [&](const auto& map, auto id) {
    const auto found = map.find(id);
    return found != map.end() && (found->second.*kind).contains(name);
  };
  const std::lock_guard lock(mutex_);
  return in(rules_.users, who.uid) || std::any_of(who.gids.begin(), who.gids.end(), [&](gid_t gid) {
           return in(rules_.groups, gid);
         });
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
  const std::lock_guard lock(mutex_);
  return rules_.users.contains(who.uid) ||
         std::any_of(who.gids.begin(), who.gids.end(),
                     [&](gid_t gid) { return rules_.groups.contains(gid); });
}

}  // namespace kfast::daemon::policy
