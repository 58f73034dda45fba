#include "policy/pattern.hpp"

#include <algorithm>
#include <cstddef>

namespace kfast::daemon::policy {

bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;  // the last '*' seen
  std::size_t resume = 0;                     // where in the name its run may end next
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

void PatternSet::add(const std::string& pattern) {
  if (pattern.find('*') == std::string::npos) {
    exact_.insert(pattern);
  } else if (pattern.find_first_not_of('*') == std::string::npos) {
    everything_ = true;
  } else {
    patterns_.push_back(pattern);
  }
}

bool PatternSet::contains(std::string_view name) const {
  return everything_ || exact_.contains(name) ||
         std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const std::string& pattern) { return matches(pattern, name); });
}

}  // namespace kfast::daemon::policy
