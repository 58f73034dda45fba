#include "config/nearest.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace kfast::daemon::config {

std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before(to.size() + 1);
  std::vector<std::size_t> last(to.size() + 1);
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); ++j) {
    last[j] = j;
  }
  for (std::size_t i = 1; i <= from.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replace = last[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[to.size()];
}

std::optional<std::string> nearest(std::string_view name,
                                   const std::vector<std::string_view>& known) {
  // A name from a hostile or binary file may be long: distance costs the product of the lengths.
  constexpr std::size_t longest_name = 128;
  if (name.size() > longest_name) {
    return std::nullopt;
  }
  std::size_t best = std::max<std::size_t>(2, name.size() / 3) + 1;
  std::optional<std::string> found;
  for (std::string_view candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      found = std::string(candidate);
    }
  }
  return found;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& known,
                         std::string_view otherwise) {
  if (auto near = nearest(name, known)) {
    return "did you mean '" + *near + "'?";
  }
  return std::string(otherwise);
}

}  // namespace kfast::daemon::config
