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
    rights.trusted = rights.trusted || rule.trusted;
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

template <typename Right>
bool AccessList::any(const Principal& who, Right right) const {
  const auto in = [&](const auto& map, auto id) {
    const auto found = map.find(id);
    return found != map.end() && right(found->second);
  };
  const std::lock_guard lock(mutex_);
  return in(rules_.users, who.uid) || std::any_of(who.gids.begin(), who.gids.end(), [&](gid_t gid) {
           return in(rules_.groups, gid);
         });
}

bool AccessList::may_produce(const Principal& who, std::string_view topic) const {
  return any(who, [&](const Rights& rights) { return rights.produce.contains(topic); });
}

bool AccessList::may_consume(const Principal& who, std::string_view topic) const {
  return any(who, [&](const Rights& rights) { return rights.consume.contains(topic); });
}

bool AccessList::may_join(const Principal& who, std::string_view group) const {
  return any(who, [&](const Rights& rights) { return rights.groups.contains(group); });
}

bool AccessList::trusts(const Principal& who) const {
  return any(who, [](const Rights& rights) { return rights.trusted; });
}

bool AccessList::knows(const Principal& who) const {
  return any(who, [](const Rights&) { return true; });
}

}  // namespace kfast::daemon::policy
