// Reading a frame of the c2d ring: everything in it is a lie until checked.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/hostile.hpp"

namespace kfast::daemon::channel {

/// A record's frame, checked: sizes are private copies that add up; the bytes themselves still
/// belong to the client.
struct RecordView {
  ipc::RecordHead head{};
  ipc::RecordExtension extension{-1, ipc::kAnyPartition, 0, 0, 0, 0};
  const std::byte* headers = nullptr;  // extension.headers_size bytes, to be walked by HeaderWalk
  const std::byte* key = nullptr;      // head.key_size bytes; nullptr: null key
  const std::byte* value = nullptr;    // value_size bytes; nullptr: null value
  std::uint32_t value_size = 0;

  [[nodiscard]] std::uint64_t payload_bytes() const noexcept {
    return std::uint64_t{head.key_size} + value_size + extension.headers_size;
  }
};

enum class FrameCheck : std::uint8_t { record, padding, violation };

/// Checks the frame at `at`, of which at most `available` bytes are published and contiguous (a
/// multiple of kFrameAlign, at least one). Fills `view` for a record and `aligned` with the bytes
/// to move on by, also for padding. `max_frame` is the largest legal record frame. `why` names the
/// rule that was broken.
[[nodiscard]] FrameCheck check_frame(const std::byte* at, std::uint64_t available,
                                     std::uint64_t max_frame, RecordView& view,
                                     std::uint64_t& aligned, const char*& why);

/// Walks a record's headers, reading each length once. Use: while (walk.next()) … ; then walk.ok().
class HeaderWalk {
 public:
  HeaderWalk(const std::byte* at, std::uint32_t size, std::uint16_t count)
      : at_(at), left_(size), count_(count) {}

  /// Steps to the next header; false at the end or when the lengths do not add up.
  [[nodiscard]] bool next();
  /// After next() was false: whether the headers were well-formed.
  [[nodiscard]] bool ok() const { return count_ == 0 && left_ == 0 && !broken_; }

  [[nodiscard]] const std::byte* name() const { return name_; }
  [[nodiscard]] std::size_t name_size() const { return name_size_; }
  /// nullptr: a null value.
  [[nodiscard]] const std::byte* value() const { return value_; }
  [[nodiscard]] std::size_t value_size() const { return value_size_; }

 private:
  const std::byte* at_;
  std::uint32_t left_;
  std::uint16_t count_;
  bool broken_ = false;
  const std::byte* name_ = nullptr;
  const std::byte* value_ = nullptr;
  std::size_t name_size_ = 0;
  std::size_t value_size_ = 0;
};

}  // namespace kfast::daemon::channel
