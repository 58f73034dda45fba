// Why brokers refuse a channel's profile, in words: written by the daemon, read by the client.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kfast::ipc {

inline constexpr std::size_t kRefusalText = 400;

/// The last words of a login or a TLS handshake that failed. Zeros: none failed.
struct Refusal {
  /// Odd while the text is written, or for ever where the daemon died at it.
  std::atomic<std::uint64_t> version;
  /// Ends in a zero byte. In words, because it is read while it may be written.
  std::atomic<std::uint64_t> text[kRefusalText / sizeof(std::uint64_t)];
};
static_assert(sizeof(Refusal) == 8 + kRefusalText);

/// Cut to fit. One thread, of the daemon.
inline void put_refusal(Refusal& refusal, const char* text, std::size_t size) noexcept {
  std::array<std::uint64_t, kRefusalText / sizeof(std::uint64_t)> words{};
  std::memcpy(words.data(), text, size < kRefusalText ? size : kRefusalText - 1);
  const std::uint64_t version = refusal.version.load(std::memory_order_relaxed) | 1U;
  refusal.version.store(version, std::memory_order_relaxed);
  for (std::size_t i = 0; i < words.size(); ++i) {
    // Release: whoever sees a new word sees the odd version, too.
    refusal.text[i].store(words[i], std::memory_order_release);
  }
  refusal.version.store(version + 1, std::memory_order_release);
}

/// Copies the words, NUL-terminated. They are empty where there are none, or the daemon is at it.
inline void get_refusal(const Refusal& refusal, char (&text)[kRefusalText]) noexcept {
  constexpr int kTries = 16;
  std::array<std::uint64_t, kRefusalText / sizeof(std::uint64_t)> words{};
  for (int tries = 0; tries < kTries; ++tries) {
    const std::uint64_t version = refusal.version.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < words.size(); ++i) {
      words[i] = refusal.text[i].load(std::memory_order_acquire);
    }
    if (version % 2 == 0 && refusal.version.load(std::memory_order_relaxed) == version) {
      std::memcpy(text, words.data(), kRefusalText);
      text[kRefusalText - 1] = '\0';
      return;
    }
  }
  text[0] = '\0';
}

}  // namespace kfast::ipc
