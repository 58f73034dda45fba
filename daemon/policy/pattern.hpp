// Shell-like patterns over names.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kfast::daemon::policy {

/// Whether the name matches: '*' matches any run of characters (none too), everything else stands
/// for itself. Takes at most pattern length x name length steps.
bool matches(std::string_view pattern, std::string_view name);

/// A set of patterns, sorted so that most questions are one look-up.
class PatternSet {
 public:
  void add(const std::string& pattern);
  [[nodiscard]] bool contains(std::string_view name) const;

 private:
  bool everything_ = false;
  std::set<std::string, std::less<>> exact_;
  std::vector<std::string> patterns_;
};

}  // namespace kfast::daemon::policy
