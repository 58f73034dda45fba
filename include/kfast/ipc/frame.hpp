// Frames: what stands in the rings. A frame is a fixed header, then bytes; its position is its
// identity.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kfast/ipc/layout.hpp"

namespace kfast::ipc {

static_assert(std::endian::native == std::endian::little, "frames are little-endian in memory");

/// Zero is no kind: a page of zeros (a punched hole) can never parse as a frame.
enum class FrameKind : std::uint8_t { padding = 1, record = 2, report = 3 };

// ---- records (c2d) ------------------------------------------------------------------------------

/// What a record's frame holds; the order of the parts is the order of these bits: extension,
/// headers, key, value.
enum RecordFlags : std::uint8_t {
  kHasKey = 1,        // else the key is null; an empty key has this bit and key_size 0
  kHasValue = 2,      // else the value is null (a tombstone)
  kHasExtension = 4,  // a RecordExtension follows the header
};

/// Head of a record's frame. Padding uses the same head: `size`, `kind` and `ordinal` only.
struct RecordHead {
  std::uint32_t size;  // of the frame, this head included, before alignment
  FrameKind kind;
  std::uint8_t flags;      // RecordFlags
  std::uint16_t topic;     // index into the channel's topic table
  std::int64_t sent_ms;    // when `send` was called: CLOCK_REALTIME_COARSE, milliseconds
  std::uint32_t ordinal;   // how many records of this channel came before, modulo 2^32
  std::uint32_t key_size;  // bytes
};
static_assert(sizeof(RecordHead) == 24 && offsetof(RecordHead, ordinal) == 16);

inline constexpr std::int32_t kAnyPartition = -1;

/// What only some records need.
struct RecordExtension {
  std::int64_t timestamp_ms;  // the record's timestamp; negative: `sent_ms` is
  std::int32_t partition;     // or kAnyPartition
  std::uint16_t header_count;
  std::uint16_t zero;
  std::uint32_t headers_size;  // bytes of the headers that follow
  std::uint32_t zero2;
};
static_assert(sizeof(RecordExtension) == 24);

/// Head of one record header; `name_size` bytes of name and then the value's bytes follow it,
/// unaligned.
struct HeaderHead {
  std::uint32_t value_size;  // or kNullHeader
  std::uint16_t name_size;
  std::uint16_t zero;
};
static_assert(sizeof(HeaderHead) == 8);
inline constexpr std::uint32_t kNullHeader = 0xFFFFFFFFU;
inline constexpr std::uint32_t kMaxHeaders = 1024;
inline constexpr std::uint32_t kMaxHeaderName = 32767;

/// The smallest frame in a c2d ring that is not padding.
inline constexpr std::uint32_t kMinRecordFrame = sizeof(RecordHead);
/// Padding may be as small as one unit of alignment: then only `size` and `kind` are there.
inline constexpr std::uint32_t kMinPaddingFrame = static_cast<std::uint32_t>(kFrameAlign);

// ---- reports (d2c) ------------------------------------------------------------------------------

enum class Outcome : std::uint8_t {
  delivered = 1,  // partition and offset are Kafka's; offset -1: delivered before a daemon restart,
                  // offset not kept
  failed = 2,     // never in Kafka; `error` is Kafka's or librdkafka's code
  unknown = 3,    // it may be in Kafka
};

/// One report frame speaks of `count` records of one topic, partition and outcome, whose offsets
/// follow one another. After it come `count - 1` varints: the distance of each record from the one
/// before, in units of kFrameAlign bytes.
struct ReportHead {
  std::uint32_t size;  // of the frame, this head included, before alignment
  FrameKind kind;
  Outcome outcome;
  std::int16_t error;  // 0 when delivered
  std::uint16_t topic;
  std::uint16_t count;       // 1..kMaxReportRecords
  std::int32_t partition;    // -1: none
  std::int64_t base_offset;  // -1: none
  std::uint64_t base_position;
};
static_assert(sizeof(ReportHead) == 32);

/// Room that one record's report can take at most, whatever it shares a frame with. The credit rule
/// counts with it.
inline constexpr std::uint64_t kReportBytesPerRecord = sizeof(ReportHead);
inline constexpr std::uint32_t kMaxReportRecords = 1024;
inline constexpr std::uint64_t kMaxReportFrame = 2048;
inline constexpr std::size_t kMaxVarint = 5;
static_assert(sizeof(ReportHead) + kMaxVarint <= 2 * kReportBytesPerRecord);

/// Appends `value` as a little-endian base-128 varint; returns its length, 1..kMaxVarint.
inline std::size_t put_varint(std::byte* to, std::uint32_t value) noexcept {
  std::size_t n = 0;
  while (value >= 0x80U) {
    to[n++] = static_cast<std::byte>((value & 0x7FU) | 0x80U);
    value >>= 7U;
  }
  to[n++] = static_cast<std::byte>(value);
  return n;
}

/// Reads a varint from [from, end); returns its length, or 0 when it is cut off or exceeds 32 bits.
inline std::size_t get_varint(const std::byte* from, const std::byte* end,
                              std::uint32_t& value) noexcept {
  std::uint32_t result = 0;
  for (std::size_t n = 0; n < kMaxVarint && from + n < end; ++n) {
    const auto byte = static_cast<std::uint32_t>(from[n]);
    if (n == kMaxVarint - 1 && byte > 0x0FU) {
      return 0;  // more than 32 bits
    }
    result |= (byte & 0x7FU) << (7U * n);
    if ((byte & 0x80U) == 0) {
      value = result;
      return n + 1;
    }
  }
  return 0;
}

/// How many records may be between "sent" and "report read", given the unread bytes of a d2c ring:
/// the credit rule. One report frame's room is set aside because a frame that does not fit before
/// the ring's end is padded around.
[[nodiscard]] constexpr std::uint64_t report_credit(std::uint64_t d2c_ring_bytes,
                                                    std::uint64_t unread_bytes) noexcept {
  const std::uint64_t used = unread_bytes + kMaxReportFrame;
  return used >= d2c_ring_bytes ? 0 : (d2c_ring_bytes - used) / kReportBytesPerRecord;
}

}  // namespace kfast::ipc
