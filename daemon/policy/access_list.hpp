// Who may do what: [[allow]], compiled.
#pragma once

#include <sys/types.h>

#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.hpp"
#include "policy/pattern.hpp"
#include "policy/principal.hpp"

namespace kfast::daemon::policy {

/// Nothing is allowed that no rule says; the rules of a principal's uid and of each of its groups
/// add up. Immutable, so any number of threads may ask.
class AccessList {
 public:
  AccessList() = default;
  explicit AccessList(const std::vector<config::Allow>& rules);

  [[nodiscard]] bool may_produce(const Principal& who, std::string_view topic) const;
  [[nodiscard]] bool may_consume(const Principal& who, std::string_view topic) const;
  [[nodiscard]] bool may_join(const Principal& who, std::string_view group) const;
  /// Whether any rule is for that principal: if not, its very connection can be refused.
  [[nodiscard]] bool knows(const Principal& who) const;

 private:
  struct Rights {
    PatternSet produce;
    PatternSet consume;
    PatternSet groups;
  };
  [[nodiscard]] bool allows(const Principal& who, std::string_view name,
                            PatternSet Rights::*kind) const;

  std::unordered_map<uid_t, Rights> users_;
  std::unordered_map<gid_t, Rights> groups_;
};

}  // namespace kfast::daemon::policy
