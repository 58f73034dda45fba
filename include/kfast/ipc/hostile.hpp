// The only way to read memory that a client can write.
//
// Each wrapper hands its contents out once, by copying, and is used up by it: its read is a member
// of an rvalue, and it can be neither copied nor read twice. So a check is always a check of the
// local copy that is used afterwards.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace kfast::ipc {

/// A trivially copyable object in client memory.
template <class T>
class Hostile {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit Hostile(const std::byte* at) noexcept : at_(at) {}
  Hostile(const Hostile&) = delete;
  Hostile& operator=(const Hostile&) = delete;
  Hostile(Hostile&&) = delete;
  Hostile& operator=(Hostile&&) = delete;
  ~Hostile() = default;

  /// The one read. The barrier keeps the compiler from going back to the original for parts of the
  /// copy.
  [[nodiscard]] T fetch() && noexcept {
    T copy;
    std::memcpy(&copy, std::exchange(at_, nullptr), sizeof(T));
    asm volatile("" : "+m"(copy) : : "memory");
    return copy;
  }

 private:
  const std::byte* at_;
};

/// A run of bytes in client memory, or nothing (null). They may change while they are read: good
/// only for handing to something that copies them once and makes no decision on what stood there
/// before (librdkafka with F_COPY, rd_kafka_header_add). Moves; never copies.
class HostileBytes {
 public:
  HostileBytes() noexcept = default;
  HostileBytes(const std::byte* at, std::size_t size) noexcept : at_(at), size_(size) {}
  HostileBytes(const HostileBytes&) = delete;
  HostileBytes& operator=(const HostileBytes&) = delete;
  HostileBytes(HostileBytes&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  HostileBytes& operator=(HostileBytes&& other) noexcept {
    at_ = std::exchange(other.at_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }
  ~HostileBytes() = default;

  [[nodiscard]] bool is_null() const noexcept { return at_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Gives address and size to a reader that reads each byte once. Uses the wrapper up.
  template <class Reader>
  decltype(auto) read_once(Reader&& reader) && {
    const std::size_t size = std::exchange(size_, 0);
    return std::forward<Reader>(reader)(std::exchange(at_, nullptr), size);
  }

 private:
  const std::byte* at_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kfast::ipc
