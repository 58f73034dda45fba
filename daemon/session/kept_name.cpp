#include "session/kept_name.hpp"

#include <charconv>
#include <cstddef>
#include <string_view>

namespace kfast::daemon::session {
namespace {

constexpr std::string_view kPrefix = "kf";
constexpr std::uint32_t kMostNumber = UINT32_MAX / 2;  // there is always a next one

std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > kMostNumber) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace

std::string kept_name(std::uint32_t number, KeptPart part) {
  const char* const parts[] = {"c2d", "bell", "pid"};
  return std::string(kPrefix) + std::to_string(number) + "." +
         parts[static_cast<std::size_t>(part)];
}

std::string kept_d2c_name(std::uint32_t number, std::uint32_t generation) {
  return std::string(kPrefix) + std::to_string(number) + ".d2c." + std::to_string(generation);
}

std::optional<KeptName> parse_kept_name(const std::string& text) {
  std::string_view rest(text);
  if (!rest.starts_with(kPrefix)) {
    return std::nullopt;
  }
  rest.remove_prefix(kPrefix.size());
  const auto number = take_number(rest);
  if (!number || *number == 0) {
    return std::nullopt;
  }
  KeptName name{*number, KeptPart::c2d, 0};
  constexpr std::string_view d2c = ".d2c.";
  if (rest == ".c2d") {
    name.part = KeptPart::c2d;
  } else if (rest == ".bell") {
    name.part = KeptPart::bell;
  } else if (rest == ".pid") {
    name.part = KeptPart::pid;
  } else if (rest.starts_with(d2c)) {
    rest.remove_prefix(d2c.size());
    const auto generation = take_number(rest);
    if (!generation || !rest.empty()) {
      return std::nullopt;
    }
    name.part = KeptPart::d2c;
    name.generation = *generation;
  } else {
    return std::nullopt;
  }
  // Two spellings of one number would be two descriptors for one thing.
  const std::string spelled = name.part == KeptPart::d2c
                                  ? kept_d2c_name(name.number, name.generation)
                                  : kept_name(name.number, name.part);
  return spelled == text ? std::optional(name) : std::nullopt;
}

}  // namespace kfast::daemon::session
