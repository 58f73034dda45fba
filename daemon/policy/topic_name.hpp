// What Kafka accepts as a topic's name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kfast::daemon::policy {

/// Why the name is not legal, in words that name the cause and the cure; nothing if it is.
/// Unprintable bytes are shown as '?': the name may come from a hostile client.
std::optional<std::string> illegal_topic_name(std::string_view name);

}  // namespace kfast::daemon::policy
