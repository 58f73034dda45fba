// The wire layout of everything in shared memory: the two segments of a channel and the shard page.
//
// Both sides compile this file; it has no I/O. Every word has exactly one writer. Words that
// different sides write, or that are read on every send, sit on lines of their own (128 bytes: two
// 64-byte lines that prefetchers fetch in pairs).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kfast/ipc/refusal.hpp"

namespace kfast::ipc {

inline constexpr std::uint64_t kSegmentMagic = 0x31474553'54534146;  // "FASTSEG1" in memory
inline constexpr std::uint64_t kShardMagic = 0x31445248'53534146;    // "FASSHRD1" in memory
inline constexpr std::uint16_t kLayoutMajor = 1;
inline constexpr std::uint16_t kLayoutMinor = 0;

inline constexpr std::size_t kHotLine = 128;
inline constexpr std::size_t kPage = 4096;

/// Frames start at multiples of this, in bytes; a done bit stands for this many bytes of the ring.
inline constexpr std::uint64_t kFrameAlign = 8;

inline constexpr std::uint64_t kMinRingBytes = kPage;
inline constexpr std::uint64_t kMaxRingBytes = 1ULL << 30;
inline constexpr std::uint32_t kMaxTopicCapacity = 32768;
inline constexpr std::uint64_t kDefaultC2dRingBytes = 4ULL << 20;
inline constexpr std::uint32_t kDefaultTopicCapacity = 1024;

/// A record's frame may be as large as this share of its ring: a larger one could leave no room to
/// pad around.
inline constexpr std::uint64_t kMaxFrameShare = 4;

[[nodiscard]] constexpr std::uint64_t align_up(std::uint64_t bytes, std::uint64_t to) noexcept {
  return (bytes + to - 1) & ~(to - 1);
}
[[nodiscard]] constexpr bool is_power_of_two(std::uint64_t n) noexcept {
  return n != 0 && (n & (n - 1)) == 0;
}

// ---- c2d: written by the client only ------------------------------------------------------------

/// The first page of a c2d segment.
struct C2dHeader {
  /// End of the published frames of the c2d ring. Client: release store. Daemon: acquire load.
  alignas(kHotLine) std::atomic<std::uint64_t> tail;
  /// What the client has read of the d2c ring. Client: release store. Daemon: acquire load.
  alignas(kHotLine) std::atomic<std::uint64_t> d2c_head;
  /// Grows by one each time the client wants one wake-up on its session socket; zero: never asked.
  alignas(kHotLine) std::atomic<std::uint64_t> waiting;
  /// How many entries of the topic table are valid. Client: release store. Daemon: acquire load.
  alignas(kHotLine) std::atomic<std::uint32_t> topic_count;
  /// Not 0: the client has let go of the channel. For a daemon that Close does not reach.
  std::atomic<std::uint32_t> closed;
  /// The client gives up the records before this position that are not handed over to Kafka's
  /// client yet. It only grows; zero: none. Client: release store. Daemon: acquire load, once per
  /// turn. On this line, since it is written as seldom as the others here and read as often.
  std::atomic<std::uint64_t> purged_until;
  std::uint8_t unused[kPage - 3 * kHotLine - 2 * sizeof(std::uint32_t) - sizeof(std::uint64_t)];
};
static_assert(sizeof(C2dHeader) == kPage && alignof(C2dHeader) == kHotLine);
static_assert(offsetof(C2dHeader, tail) == 0 && offsetof(C2dHeader, d2c_head) == 128);
static_assert(offsetof(C2dHeader, waiting) == 256 && offsetof(C2dHeader, topic_count) == 384);
static_assert(offsetof(C2dHeader, closed) == 388 && offsetof(C2dHeader, purged_until) == 392);

/// Kafka's own bound for a topic name, in bytes.
inline constexpr std::size_t kMaxTopicName = 249;

/// One topic of a channel: append-only, valid once `topic_count` covers it.
struct TopicEntry {
  std::uint16_t size;  // bytes of `name`, 1..kMaxTopicName
  char name[254];
};
static_assert(sizeof(TopicEntry) == 256);

// ---- d2c: written by the daemon only ------------------------------------------------------------

/// Where everything in a channel's two segments lies, in bytes. It follows from four numbers by
/// geometry_of().
struct Geometry {
  std::uint64_t c2d_bytes;  // size of the whole segment
  std::uint64_t d2c_bytes;
  std::uint64_t topic_table;  // offset in c2d
  std::uint64_t c2d_ring;     // offset in c2d
  std::uint64_t c2d_ring_bytes;
  std::uint64_t topic_states;  // offset in d2c
  std::uint64_t done_bits;     // offset in d2c
  std::uint64_t lost_bits;     // offset in d2c
  std::uint64_t d2c_ring;      // offset in d2c
  std::uint64_t d2c_ring_bytes;
  std::uint32_t topic_capacity;
  std::uint32_t zero;

  friend constexpr bool operator==(const Geometry&, const Geometry&) = default;
};
static_assert(sizeof(Geometry) == 88);

/// The immutable first line(s) of a d2c segment.
struct SegmentIdentity {
  std::uint64_t magic;
  std::uint16_t layout_major;
  std::uint16_t layout_minor;
  std::uint32_t channel;       // the daemon's number for this channel, for people
  std::uint64_t daemon_epoch;  // which life of the daemon made this segment
  Geometry geometry;
};
static_assert(sizeof(SegmentIdentity) == 112);

inline constexpr std::size_t kOwnerText = 64;
inline constexpr std::uint32_t kMaxOwnerGroups = 512;

/// Whose channel it is. For a daemon that finds the segments without a worker that hands them back;
/// clients have no use for it. Numbers are those of the daemon's namespaces.
struct ChannelOwner {
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint32_t pid;          // for people
  std::uint32_t reports;      // wire.hpp: ReportsMode
  std::uint32_t group_count;  // of `groups`; a process with more groups than fit is known by those
  std::uint32_t groups[kMaxOwnerGroups];
  std::uint32_t zero;
  char user[kOwnerText];     // NUL-terminated
  char profile[kOwnerText];  // NUL-terminated; empty: a daemon that did not fill this in
};
static_assert(sizeof(ChannelOwner) == 24 + 4 * kMaxOwnerGroups + 2 * kOwnerText);

/// The first page of a d2c segment.
struct D2cHeader {
  alignas(kHotLine) SegmentIdentity identity;
  /// End of the c2d ring that the daemon no longer needs. Daemon: release store. Client: acquire
  /// load.
  alignas(kHotLine) std::atomic<std::uint64_t> head;
  /// End of the c2d ring that the daemon has read. Same line as `head`: one writer, and read
  /// together.
  std::atomic<std::uint64_t> taken;
  /// End of the published frames of the d2c ring. Daemon: release store. Client: acquire load.
  alignas(kHotLine) std::atomic<std::uint64_t> tail;
  /// Odd: the channel is parked, and each value wants one ring of the doorbell. Written at most
  /// once per burst.
  alignas(kHotLine) std::atomic<std::uint64_t> parked;
  /// Totals over the channel's life in this daemon, for the client's own statistics.
  alignas(kHotLine) std::atomic<std::uint64_t> delivered;
  std::atomic<std::uint64_t> failed;
  std::atomic<std::uint64_t> unknown;
  /// Not 0: the client does not come back to this channel. What is taken is delivered, and nobody
  /// reads a report.
  std::atomic<std::uint64_t> retired;
  ChannelOwner owner;  // never changes
  /// By how much the wall clock was ahead of the monotonic one, in milliseconds, as the daemon has
  /// last seen it. For whoever follows it, to tell whether the wall clock was set since; zero: not
  /// known.
  std::atomic<std::int64_t> wall_ahead_ms;
  Refusal refusal;  // for kfast_report_text: nothing is decided by it
  std::uint8_t unused[kPage - 4 * kHotLine - 5 * sizeof(std::uint64_t) - sizeof(ChannelOwner) -
                      sizeof(Refusal)];
};
static_assert(sizeof(D2cHeader) == kPage && alignof(D2cHeader) == kHotLine);
static_assert(offsetof(D2cHeader, head) == 128 && offsetof(D2cHeader, taken) == 136);
static_assert(offsetof(D2cHeader, tail) == 256 && offsetof(D2cHeader, parked) == 384);
static_assert(offsetof(D2cHeader, delivered) == 512 && offsetof(D2cHeader, owner) == 544);
static_assert(offsetof(D2cHeader, wall_ahead_ms) == 544 + sizeof(ChannelOwner));
static_assert(offsetof(D2cHeader, refusal) == 2752);

/// What the daemon says of a topic of the channel, one byte each; read by every send.
enum class TopicState : std::uint8_t {
  unseen = 0,       // the daemon has not looked yet; sends are accepted
  open = 1,         // allowed
  not_allowed = 2,  // no [[allow]] rule covers it
  over_budget =
      3,      // it holds more than its share of the ring; sends are refused until reports come in
  limit = 4,  // one topic more than the principal's limit
};

// ---- the shard page: written by the shard only --------------------------------------------------

enum class ShardState : std::uint64_t { awake = 0, napping = 1, asleep = 2 };
inline constexpr unsigned kShardStateBits = 2;

/// One page per shard, mapped read-only by its clients.
struct ShardPage {
  alignas(kHotLine) std::uint64_t magic;
  std::uint16_t layout_major;
  std::uint16_t layout_minor;
  std::uint32_t shard;
  std::uint64_t daemon_epoch;
  /// (generation << kShardStateBits) | ShardState. A line of its own: every send reads it.
  alignas(kHotLine) std::atomic<std::uint64_t> state;
  std::uint8_t unused[kPage - kHotLine - sizeof(std::uint64_t)];
};
static_assert(sizeof(ShardPage) == kPage && offsetof(ShardPage, state) == 128);

// ---- geometry -----------------------------------------------------------------------------------

/// Bytes of a bitmap with one bit per kFrameAlign bytes of ring.
[[nodiscard]] constexpr std::uint64_t bitmap_bytes(std::uint64_t ring_bytes) noexcept {
  return ring_bytes / kFrameAlign / 8;
}

/// True when the numbers can make a channel: rings are powers of two in [kMinRingBytes,
/// kMaxRingBytes].
[[nodiscard]] constexpr bool geometry_is_possible(std::uint64_t c2d_ring_bytes,
                                                  std::uint64_t d2c_ring_bytes,
                                                  std::uint32_t topic_capacity) noexcept {
  return is_power_of_two(c2d_ring_bytes) && c2d_ring_bytes >= kMinRingBytes &&
         c2d_ring_bytes <= kMaxRingBytes && is_power_of_two(d2c_ring_bytes) &&
         d2c_ring_bytes >= kMinRingBytes && d2c_ring_bytes <= kMaxRingBytes &&
         topic_capacity >= 1 && topic_capacity <= kMaxTopicCapacity;
}

/// The one formula for a channel's layout. Needs geometry_is_possible().
[[nodiscard]] constexpr Geometry geometry_of(std::uint64_t c2d_ring_bytes,
                                             std::uint64_t d2c_ring_bytes,
                                             std::uint32_t topic_capacity) noexcept {
  Geometry g{};
  g.topic_capacity = topic_capacity;
  g.c2d_ring_bytes = c2d_ring_bytes;
  g.d2c_ring_bytes = d2c_ring_bytes;
  g.topic_table = sizeof(C2dHeader);
  g.c2d_ring = align_up(g.topic_table + topic_capacity * sizeof(TopicEntry), kPage);
  g.c2d_bytes = g.c2d_ring + c2d_ring_bytes;
  g.topic_states = sizeof(D2cHeader);
  g.done_bits = align_up(g.topic_states + topic_capacity, kHotLine);
  g.lost_bits = align_up(g.done_bits + bitmap_bytes(c2d_ring_bytes), kHotLine);
  g.d2c_ring = align_up(g.lost_bits + bitmap_bytes(c2d_ring_bytes), kPage);
  g.d2c_bytes = g.d2c_ring + d2c_ring_bytes;
  return g;
}
static_assert(geometry_of(4096, 4096, 1).d2c_bytes % kPage == 0);

}  // namespace kfast::ipc
