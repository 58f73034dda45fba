// Who may do what: [[allow]], compiled.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.hpp"
#include "policy/pattern.hpp"
#include "policy/principal.hpp"

namespace kfast::daemon::policy {

/// Nothing is allowed that no rule says; the rules of a principal's uid and of each of its groups
/// add up. Any number of threads may ask: for opening sessions and topics, not for records.
class AccessList {
 public:
  explicit AccessList(const std::vector<config::Allow>& rules);

  /// Other rules after a reload.
  void replace(const std::vector<config::Allow>& rules);

  [[nodiscard]] bool may_produce(const Principal& who, std::string_view topic) const;
  [[nodiscard]] bool may_consume(const Principal& who, std::string_view topic) const;
  [[nodiscard]] bool may_join(const Principal& who, std::string_view group) const;
  /// Whether a rule says that it may be believed not to write over what it has sent.
  [[nodiscard]] bool trusts(const Principal& who) const;
  /// Whether any rule is for that principal: if not, its very connection can be refused.
  [[nodiscard]] bool knows(const Principal& who) const;

 private:
  struct Rights {
    PatternSet produce;
    PatternSet consume;
    PatternSet groups;
    bool trusted = false;
  };
  struct Rules {
    std::unordered_map<uid_t, Rights> users;
    std::unordered_map<gid_t, Rights> groups;
  };
  [[nodiscard]] static Rules compile(const std::vector<config::Allow>& rules);
  /// Whether `right` holds for one of the principal's entries. Takes the lock.
  template <typename Right>
  [[nodiscard]] bool any(const Principal& who, Right right) const;

  mutable std::mutex mutex_;
  Rules rules_;
};

}  // namespace kfast::daemon::policy
