// What an event of a shard's epoll is about, packed into its 64-bit tag.
#pragma once

#include <cstdint>

namespace kfast::daemon::shard {

enum class EpollSource : std::uint8_t { command = 1, kafka = 2, channel = 3 };

[[nodiscard]] constexpr std::uint64_t tag_of(EpollSource source, std::uint16_t index,
                                             std::uint16_t generation) noexcept {
  return (std::uint64_t{static_cast<std::uint8_t>(source)} << 32U) |
         (std::uint64_t{generation} << 16U) | index;
}
[[nodiscard]] constexpr EpollSource source_of(std::uint64_t tag) noexcept {
  return static_cast<EpollSource>(tag >> 32U);
}
[[nodiscard]] constexpr std::uint16_t index_of(std::uint64_t tag) noexcept {
  return static_cast<std::uint16_t>(tag);
}
[[nodiscard]] constexpr std::uint16_t generation_of(std::uint64_t tag) noexcept {
  return static_cast<std::uint16_t>(tag >> 16U);
}

/// librdkafka's opaque for a record: slot, generation and sequence number, never a pointer.
[[nodiscard]] constexpr std::uint64_t opaque_base(std::uint16_t slot,
                                                  std::uint16_t generation) noexcept {
  return (std::uint64_t{slot} << 48U) | (std::uint64_t{generation} << 32U);
}
[[nodiscard]] constexpr std::uint16_t slot_of(std::uint64_t opaque) noexcept {
  return static_cast<std::uint16_t>(opaque >> 48U);
}
[[nodiscard]] constexpr std::uint16_t slot_generation_of(std::uint64_t opaque) noexcept {
  return static_cast<std::uint16_t>(opaque >> 32U);
}
[[nodiscard]] constexpr std::uint32_t sequence_of(std::uint64_t opaque) noexcept {
  return static_cast<std::uint32_t>(opaque);
}

}  // namespace kfast::daemon::shard
