#include "policy/topic_name.hpp"

#include <algorithm>
#include <cstddef>

namespace kfast::daemon::policy {
namespace {

constexpr std::size_t longest = 249;

bool is_legal(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

std::string printable(std::string_view name) {
  std::string shown(name.substr(0, longest));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return shown;
}

}  // namespace

std::optional<std::string> illegal_topic_name(std::string_view name) {
  if (name.empty()) {
    return "the topic's name is empty";
  }
  if (name.size() > longest) {
    return "the topic's name has " + std::to_string(name.size()) + " bytes; Kafka allows " +
           std::to_string(longest);
  }
  if (name == "." || name == "..") {
    return "'" + std::string(name) + "' is not a topic's name in Kafka; choose another";
  }
  const auto bad = std::find_if_not(name.begin(), name.end(), is_legal);
  if (bad != name.end()) {
    return "the topic's name '" + printable(name) + "' has an illegal byte at " +
           std::to_string(bad - name.begin()) + "; Kafka allows letters, digits, '.', '_' and '-'";
  }
  return std::nullopt;
}

}  // namespace kfast::daemon::policy
