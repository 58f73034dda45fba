// The names under which a channel's descriptors are kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace kfast::daemon::session {

enum class KeptPart : std::uint8_t { c2d, bell, pid, d2c };

struct KeptName {
  std::uint32_t number = 0;  // the channel's
  KeptPart part = KeptPart::c2d;
  std::uint32_t generation = 0;  // of a d2c segment
};

/// `kf7.c2d`, `kf7.bell`, `kf7.pid`.
[[nodiscard]] std::string kept_name(std::uint32_t number, KeptPart part);
/// `kf7.d2c.1`.
[[nodiscard]] std::string kept_d2c_name(std::uint32_t number, std::uint32_t generation);

/// Nothing: not one of these, or not as they are spelled here.
[[nodiscard]] std::optional<KeptName> parse_kept_name(const std::string& text);

}  // namespace kfast::daemon::session
