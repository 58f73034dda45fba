// The send path. Every cache line, fence, copy and system call of a send stands in this file or is
// called from it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "channel.hpp"
#include "fetch.hpp"
#include "kfast/ipc/kill_point.hpp"

namespace kfast::client {

/// What is fetched for the next frame at most, in bytes: processors hold a dozen or so of fetches
/// open, and of a longer frame they foresee the rest by themselves.
inline constexpr std::uint64_t kMaxFetch = 1152;

/// Writes a frame up to its value, where `frame` then points. False: a Refusal, and nothing has
/// changed.
template <bool kExtended>
[[gnu::always_inline]] inline bool Channel::begin_frame(const Record& record, std::int64_t now_ms,
                                                        Frame& frame) noexcept {
  if (static_cast<std::uint32_t>(record.topic) >= topics_.count()) [[unlikely]] {
    return refuse(Refusal::no_such_topic, frame);
  }
  // Line 1, shared: the topic's state byte in d2c. kfastd writes it when the state changes, so it
  // stays in cache.
  const std::uint8_t state = topic_states_[record.topic].load(std::memory_order_relaxed);
  if (state > static_cast<std::uint8_t>(ipc::TopicState::open)) [[unlikely]] {
    return refuse(refusal_of(state), frame);
  }
  const bool has_key = record.key != nullptr;
  const bool has_value = record.value != nullptr;
  if ((!has_key && record.key_size != 0) || (!has_value && record.value_size != 0)) [[unlikely]] {
    return refuse(Refusal::null_with_size, frame);
  }
  // Each size is bounded before it is added, so no sum can wrap.
  if (record.key_size > max_payload_ || record.value_size > max_payload_ - record.key_size)
      [[unlikely]] {
    return refuse(Refusal::too_large, frame);
  }
  std::uint64_t size = sizeof(ipc::RecordHead) + record.key_size + record.value_size;
  if constexpr (kExtended) {
    size += sizeof(ipc::RecordExtension) + record.headers_size;
    if (size > max_frame_ ||
        record.key_size + record.value_size + record.headers_size > max_record_) [[unlikely]] {
      return refuse(Refusal::too_large, frame);
    }
  }
  // Two loads of lines that kfastd writes (d2c head and tail), once per used up credit.
  if (credit_ == 0 && !refresh_credit()) [[unlikely]] {
    return refuse(Refusal::no_credit, frame);
  }
  // One load of d2c head, only when the ring looks full by the head that was seen last.
  ipc::Reservation& room = frame.room;
  if (!writer_.reserve(ipc::align_up(size, ipc::kFrameAlign), room)) [[unlikely]] {
    return refuse(Refusal::ring_full, frame);
  }
  KFAST_KILL_POINT("client.append.reserved");
  if (room.padding != 0) [[unlikely]] {
    write_padding(room.position - room.padding, room.padding);
    KFAST_KILL_POINT("client.append.padded");
  }

  // The frame's own lines: the head, then the one copy of the record's bytes, in the order of the
  // flags. The value comes last, so that its end can still move.
  std::byte* at = ring_ + room.offset;
  const auto flags =
      static_cast<std::uint64_t>((has_key ? ipc::kHasKey : 0) | (has_value ? ipc::kHasValue : 0) |
                                 (kExtended ? ipc::kHasExtension : 0));
  // A RecordHead as three whole words: put together field by field in memory, its copy would wait
  // for the small stores.
  const std::uint64_t head[3] = {
      size | std::uint64_t{static_cast<std::uint8_t>(ipc::FrameKind::record)} << 32U |
          flags << 40U | static_cast<std::uint64_t>(record.topic) << 48U,
      static_cast<std::uint64_t>(now_ms), next_ordinal_ | std::uint64_t{record.key_size} << 32U};
  static_assert(sizeof head == sizeof(ipc::RecordHead) && offsetof(ipc::RecordHead, kind) == 4 &&
                offsetof(ipc::RecordHead, flags) == 5 && offsetof(ipc::RecordHead, topic) == 6 &&
                offsetof(ipc::RecordHead, sent_ms) == 8 &&
                offsetof(ipc::RecordHead, ordinal) == 16 &&
                offsetof(ipc::RecordHead, key_size) == 20);
  std::memcpy(at, head, sizeof head);
  KFAST_KILL_POINT("client.append.head_written");
  at += sizeof head;
  if constexpr (kExtended) {
    ipc::RecordExtension extension{};
    extension.timestamp_ms = record.timestamp_ms;
    extension.partition = record.partition;
    extension.header_count = static_cast<std::uint16_t>(record.header_count);
    extension.headers_size = static_cast<std::uint32_t>(record.headers_size);
    std::memcpy(at, &extension, sizeof extension);
    at = write_headers(at + sizeof extension, record);
  }
  if (record.key_size != 0) {
    std::memcpy(at, record.key, record.key_size);
    at += record.key_size;
  }
  frame.value = at;
  return true;
}

/// A frame is whole. No report may be read between this and the publish: one of the record that
/// stood here a lap before would be remembered as this one's.
[[gnu::always_inline]] inline void Channel::count_frame(std::uint64_t position) noexcept {
  // A private line: one bit per eight bytes of ring, so one line serves 4 KiB of records.
  seen_.forget(position);
  ++next_ordinal_;
}

/// Writes a whole frame and does not publish it. False: a Refusal, and nothing has changed.
template <bool kExtended>
[[gnu::always_inline]] inline bool Channel::write(const Record& record, std::int64_t now_ms,
                                                  Frame& frame) noexcept {
  if (!begin_frame<kExtended>(record, now_ms, frame)) [[unlikely]] {
    return false;
  }
  KFAST_KILL_POINT("client.append.key_written");
  if (record.value_size != 0) {
    std::memcpy(frame.value, record.value, record.value_size);
  }
  count_frame(frame.room.position);
  --credit_;
  return true;
}

/// After a publish, of however many records: the one full fence, then the lines of `parked` and of
/// the shard's state, which kfastd writes when it rests or wakes. The system call is made only when
/// it rests.
[[gnu::always_inline]] inline void Channel::wake_daemon() noexcept {
  if (ringer_.must_ring(*parked_, *shard_state_, *taken_, writer_.tail(), writer_.capacity()))
      [[unlikely]] {
    KFAST_KILL_POINT("client.append.before_ring");
    ring_doorbell();
  }
}

/// After a publish: begins to fetch where the next frame will stand, if it is as long as the newest.
/// kfastd has read these lines a lap ago, so a worker that sends now and then finds them in no cache
/// of its own, and the fence of its next send would wait for each. Here nobody waits.
[[gnu::always_inline]] inline void Channel::fetch_next(std::uint64_t newest) noexcept {
  fetch_at(writer_.tail(), writer_.tail() - newest);
}

/// Begins to fetch what a frame of `size` bytes at the position `from` would be written to.
[[gnu::always_inline]] inline void Channel::fetch_at(std::uint64_t from,
                                                     std::uint64_t size) noexcept {
  const std::uint64_t mask = writer_.capacity() - 1;
  const std::uint64_t ahead = size < kMaxFetch ? size : kMaxFetch;
  for (std::uint64_t at = 0; at < ahead; at += kFetchBytes) {
    fetch_to_write(ring_ + ((from + at) & mask));
  }
}

template <bool kExtended>
[[gnu::always_inline]] inline std::int64_t Channel::append(const Record& record,
                                                           std::int64_t now_ms) noexcept {
  Frame frame;
  if (!write<kExtended>(record, now_ms, frame)) [[unlikely]] {
    return static_cast<std::int64_t>(frame.refusal);
  }
  // The tail's line, which kfastd reads: one release store. A worker that is killed before it has
  // sent nothing, after it everything.
  KFAST_KILL_POINT("client.append.before_publish");
  writer_.publish();
  KFAST_KILL_POINT("client.append.after_publish");
  wake_daemon();
  fetch_next(frame.room.position);
  return static_cast<std::int64_t>(frame.room.position);
}

}  // namespace kfast::client
