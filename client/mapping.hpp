// A memory mapping with exactly one owner.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <utility>

namespace kfast::client {

/// Owns one mmap()ed range: unmaps it on destruction, moves, never copies. Not thread-safe.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(Mapping&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    if (this != &other) {
      unmap();
      at_ = std::exchange(other.at_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { unmap(); }

  /// Maps the first `size` bytes of a file, shared. Not valid() and errno set when that fails.
  [[nodiscard]] static Mapping shared(int fd, std::size_t size, int protection) noexcept {
    return Mapping(::mmap(nullptr, size, protection, MAP_SHARED, fd, 0), size);
  }
  /// Fresh zeroed pages of this process alone; pages that are never touched cost nothing.
  [[nodiscard]] static Mapping anonymous(std::size_t size) noexcept {
    return Mapping(
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size);
  }

  [[nodiscard]] bool valid() const noexcept { return at_ != nullptr; }
  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(at_); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  Mapping(void* at, std::size_t size) noexcept
      : at_(at == MAP_FAILED ? nullptr : at), size_(at == MAP_FAILED ? 0 : size) {}
  void unmap() noexcept {
    if (at_ != nullptr) {
      ::munmap(at_, size_);
    }
  }

  void* at_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kfast::client
