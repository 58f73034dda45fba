// The writer of the stats segment: kfast/ipc/stats_layout.hpp has the layout, counters.def what
// is counted.
//
//   auto made = StatsSegment::create({.directory = "/run/kfast", .version = "0.1.0", .shards = 1});
//   if (!made.segment) { spdlog::critical(made.error); return 1; }
//   StatsSegment& stats = *made.segment;
//   TopicBlock topic = stats.topic_block("main", "orders", "www-data");  // cold: takes a mutex
//   topic.add(TopicCounter::taken_messages);                             // hot: a load, a store
//   topic.add(discarded(FailureReason::too_large), 3);
//   topic.set(TopicCounter::in_flight_messages, 17);                     // gauges
//   stats.set_phase(Phase::running);
//   stats.beat(0, Activity::working);  // in every round of shard 0
//   stats.beat(0, Activity::idle);     // before it sleeps without a time limit
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kfast/ipc/stats_layout.hpp"
#include "telemetry/counters.hpp"

namespace kfast::daemon::telemetry {

using ipc::stats::Activity;
using ipc::stats::Phase;

class SegmentMemory;

/// What all blocks have in common; use the typed Block.
class BlockBase {
 public:
  BlockBase() noexcept;
  BlockBase(BlockBase&& other) noexcept;
  BlockBase& operator=(BlockBase&& other) noexcept;
  BlockBase(const BlockBase&) = delete;
  BlockBase& operator=(const BlockBase&) = delete;
  ~BlockBase();

  /// False for a block that was default-constructed or moved from; counting on such a one aborts.
  explicit operator bool() const noexcept { return values_ != nullptr; }

  /// True when the scope's table was full: this handle counts into the block "(other)".
  [[nodiscard]] bool is_other() const noexcept { return values_ != nullptr && shared_; }

  /// Sets a note of the block, such as a profile's "last_error"; cut to its capacity. Takes the
  /// segment's mutex. Aborts when the scope has no such note.
  void set_note(std::string_view name, std::string_view text);

 protected:
  BlockBase(std::shared_ptr<SegmentMemory> memory, std::uint32_t scope, std::uint32_t index);

  void add_at(std::uint32_t index, std::uint64_t n) noexcept {
    if (shared_) [[unlikely]] {
      add_to_other(index, n);
      return;
    }
    ipc::stats::Word& word = values_[index];
    word.store(word.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set_at(std::uint32_t index, std::uint64_t value) noexcept {
    if (shared_) [[unlikely]] {
      set_in_other(index, value);
      return;
    }
    values_[index].store(value, std::memory_order_relaxed);
  }
  void add_locked_at(std::uint32_t index, std::uint64_t n) noexcept;

 private:
  void add_to_other(std::uint32_t index, std::uint64_t n) noexcept;
  void set_in_other(std::uint32_t index, std::uint64_t value) noexcept;
  void release() noexcept;

  ipc::stats::Word* values_ = nullptr;
  // Also true while there is no block, so that the hot path tests one flag.
  bool shared_ = true;
  std::uint32_t scope_ = 0;
  std::uint32_t index_ = 0;
  // What this handle put into the gauges of "(other)", to take it out again.
  std::unique_ptr<std::uint64_t[]> gauges_;
  std::shared_ptr<SegmentMemory> memory_;
};

/// A block of counters of one scope: move-only; frees its block on destruction. It may outlive the
/// StatsSegment. Threads: add, sub and set of one counter belong to one thread at a time; several
/// threads that count the same thing each have a block with the same labels (readers add them up),
/// or use add_from_any_thread.
template <class CounterEnum>
class Block : public BlockBase {
 public:
  Block() noexcept = default;

  void add(CounterEnum counter, std::uint64_t n = 1) noexcept { add_at(at(counter), n); }
  /// For gauges.
  void sub(CounterEnum gauge, std::uint64_t n = 1) noexcept { add_at(at(gauge), 0 - n); }
  /// For gauges, and for counters that somebody else counts.
  void set(CounterEnum gauge, std::uint64_t value) noexcept { set_at(at(gauge), value); }
  /// For counters that several threads count on this block, and only in this way: a locked
  /// instruction.
  void add_from_any_thread(CounterEnum counter, std::uint64_t n = 1) noexcept {
    add_locked_at(at(counter), n);
  }

 private:
  friend class StatsSegment;
  using BlockBase::BlockBase;
  static constexpr std::uint32_t at(CounterEnum counter) noexcept {
    return static_cast<std::uint32_t>(counter);
  }
};

using DaemonBlock = Block<DaemonCounter>;
using ShardBlock = Block<ShardCounter>;
using ProfileBlock = Block<ProfileCounter>;
using TopicBlock = Block<TopicCounter>;
using ChannelBlock = Block<ChannelCounter>;
using BrokerBlock = Block<BrokerCounter>;

/// CLOCK_BOOTTIME in milliseconds, as heartbeats carry it.
std::uint64_t boottime_ms() noexcept;

/// kfastd's end of the stats segment. Holds a flock on the file as long as it and its blocks live,
/// by which readers know that kfastd does. On destruction the phase becomes `stopped`; the file
/// stays, so the last counts can still be read. Threads: every function may be called by any
/// thread, beat(shard) by that shard's only.
class StatsSegment {
 public:
  struct Options {
    std::string
        directory{};        ///< where the file `stats` goes; empty: an anonymous segment, for tests
    std::string version{};  ///< kfastd's
    std::uint32_t shards = 1;                         ///< 1 to kMaxShards
    std::array<std::uint32_t, kScopeCount> blocks{};  ///< per scope; 0: the scope's default
    /// How long a freed block is left alone, so that a reader never takes one thing's counts for
    /// another's.
    std::chrono::milliseconds cool_off = std::chrono::seconds(10);
    std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
  };
  struct Created {
    std::unique_ptr<StatsSegment> segment;  ///< null on error
    std::string error;                      ///< a sentence with cause and cure
  };

  /// Makes the segment; a `stats` file of an earlier kfastd is replaced in one step.
  [[nodiscard]] static Created create(Options options);
  ~StatsSegment();
  StatsSegment(const StatsSegment&) = delete;
  StatsSegment& operator=(const StatsSegment&) = delete;

  // Allocation never fails: when a scope's table is full, the handle counts into its block
  // "(other)". The counts of a freed block go on in "(other)" too, except a channel's; so hold a
  // topic's block for as long as its totals matter by name.
  [[nodiscard]] DaemonBlock daemon_block();
  [[nodiscard]] ShardBlock shard_block(std::uint32_t shard);
  [[nodiscard]] ProfileBlock profile_block(std::string_view cluster, std::string_view profile);
  [[nodiscard]] TopicBlock topic_block(std::string_view cluster, std::string_view topic,
                                       std::string_view principal);
  [[nodiscard]] ChannelBlock channel_block(std::string_view channel, std::int32_t pid,
                                           std::string_view principal, std::string_view profile);
  [[nodiscard]] BrokerBlock broker_block(std::string_view cluster, std::string_view profile,
                                         std::string_view broker);

  void set_phase(Phase phase) noexcept;
  /// Phase::draining, until then at the latest.
  void begin_drain(std::chrono::milliseconds at_most) noexcept;
  void beat(std::uint32_t shard, Activity activity) noexcept {
    beat(shard, activity, boottime_ms());
  }
  void beat(std::uint32_t shard, Activity activity, std::uint64_t boottime_now_ms) noexcept;

  /// The segment as readers see it. Valid while this object lives.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept;

 private:
  explicit StatsSegment(std::shared_ptr<SegmentMemory> memory);
  std::shared_ptr<SegmentMemory> memory_;
};

}  // namespace kfast::daemon::telemetry
