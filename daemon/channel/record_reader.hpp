// Reading a frame of the c2d ring: everything in it is a lie until checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/hostile.hpp"

namespace kfast::daemon::channel {

/// A record's frame, checked: sizes are private copies that add up; the bytes themselves still
/// belong to the client, and can be read once.
struct RecordView {
  ipc::RecordHead head{};
  ipc::RecordExtension extension{-1, ipc::kAnyPartition, 0, 0, 0, 0};
  ipc::HostileBytes headers;  // to be walked by HeaderWalk
  ipc::HostileBytes key;
  ipc::HostileBytes value;

  [[nodiscard]] std::uint64_t payload_bytes() const noexcept {
    return std::uint64_t{key.size()} + value.size() + headers.size();
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

/// One header of a record.
struct HeaderView {
  ipc::HostileBytes name;
  ipc::HostileBytes value;  // may be null
};

/// Walks a record's headers, reading each length once. Use: while (walk.next(header)) … ; then
/// walk.ok().
class HeaderWalk {
 public:
  HeaderWalk(ipc::HostileBytes headers, std::uint16_t count)
      : left_(static_cast<std::uint32_t>(headers.size())), count_(count) {
    std::move(headers).read_once([this](const std::byte* at, std::size_t) { at_ = at; });
  }

  /// Steps to the next header; false at the end or when the lengths do not add up.
  [[nodiscard]] bool next(HeaderView& header);
  /// After next() was false: whether the headers were well-formed.
  [[nodiscard]] bool ok() const { return count_ == 0 && left_ == 0 && !broken_; }

 private:
  const std::byte* at_ = nullptr;
  std::uint32_t left_;
  std::uint16_t count_;
  bool broken_ = false;
};

}  // namespace kfast::daemon::channel
