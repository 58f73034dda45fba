// The known name that a misspelt one most likely meant.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kfast::daemon::config {

/// Edits (insert, delete, replace, swap of neighbours) that turn one text into the other.
std::size_t edit_distance(std::string_view from, std::string_view to);

/// The closest of `known`, if it is close enough to be what was meant.
std::optional<std::string> nearest(std::string_view name,
                                   const std::vector<std::string_view>& known);

/// "did you mean 'x'?", or, where nothing is near, `otherwise`.
std::string did_you_mean(std::string_view name, const std::vector<std::string_view>& known,
                         std::string_view otherwise);

}  // namespace kfast::daemon::config
