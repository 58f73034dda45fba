// Records whose frames are published later than they are written: batches, and values that the
// caller writes into the ring itself.
#include "append.hpp"
#include "channel.hpp"

namespace kfast::client {
namespace {

/// How far behind the newest frame of a batch memory is asked for, in bytes: kfastd has read it a
/// lap ago, so its lines come from another processor's cache, which takes as long as writing some
/// small frames, or one of a kilobyte. Beyond a batch's end they are the next one's.
constexpr std::uint64_t kFetchDistance = 1024;

}  // namespace

std::int64_t Channel::write_one(const Record& record, std::int64_t now_ms) noexcept {
  Frame frame;
  const bool written =
      record.plain() ? write<false>(record, now_ms, frame) : write<true>(record, now_ms, frame);
  if (!written) {
    return static_cast<std::int64_t>(frame.refusal);
  }
  const std::uint64_t end = writer_.reserved_end();
  fetch_at(end + kFetchDistance, end - frame.room.position);
  return static_cast<std::int64_t>(frame.room.position);
}

void Channel::publish_batch() noexcept {
  KFAST_KILL_POINT("client.batch.before_publish");
  writer_.publish();
  KFAST_KILL_POINT("client.batch.after_publish");
  wake_daemon();
}

std::int64_t Channel::reserve(const Record& record, std::int64_t now_ms, void*& value) noexcept {
  if (!(record.plain() ? begin_frame<false>(record, now_ms, open_)
                       : begin_frame<true>(record, now_ms, open_))) {
    return static_cast<std::int64_t>(open_.refusal);
  }
  open_value_size_ = record.value_size;
  value = open_.value;
  KFAST_KILL_POINT("client.reserve.reserved");
  return 0;
}

std::int64_t Channel::commit(std::size_t value_size) noexcept {
  std::byte* head = ring_ + open_.room.offset;
  const auto size =
      static_cast<std::uint32_t>(open_.value - head) + static_cast<std::uint32_t>(value_size);
  std::memcpy(head + offsetof(ipc::RecordHead, size), &size, sizeof size);
  writer_.shrink(open_.room, ipc::align_up(size, ipc::kFrameAlign));
  count_frame(open_.room.position);
  // A hand-over since the reservation leaves no credit, and the next look at it counts this record.
  if (credit_ != 0) {
    --credit_;
  }
  KFAST_KILL_POINT("client.commit.before_publish");
  writer_.publish();
  KFAST_KILL_POINT("client.commit.after_publish");
  wake_daemon();
  fetch_next(open_.room.position);
  return static_cast<std::int64_t>(open_.room.position);
}

}  // namespace kfast::client
