// Which partition a record goes to that has neither a partition nor a key: one for a while, then
// another.
#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace kfast::daemon::kafka {

/// librdkafka's sticky partitioning (sticky.partitioning.linger.ms), with the time of the shard's
/// round instead of a clock reading for each record, and a look at the partition's leader when that
/// time has changed instead of one for each record. Keys go where librdkafka's partitioner of that
/// name sends them.
///
/// Lifecycle: made before the producer, outlives it. round_begins() is one thread's; librdkafka
/// asks for partitions on the thread that produces and, for records of topics that it came to know
/// only later, on its main thread.
class StickyPartitioner {
 public:
  /// One topic's partition of the moment. Outlives the producer.
  class Topic {
   public:
    explicit Topic(const StickyPartitioner& owner) : owner_(owner) {}

    /// How many the topic has; 1 until librdkafka knows.
    [[nodiscard]] std::uint32_t partitions() const {
      return partitions_.load(std::memory_order_relaxed);
    }

   private:
    friend class StickyPartitioner;
    const StickyPartitioner& owner_;
    /// When another is chosen, in ms modulo 2^32, above the partition's 32 bits: one word, because
    /// two threads may choose. Nothing else hangs on it or on the next two, so they are relaxed,
    /// and there is no partner.
    std::atomic<std::uint64_t> choice_{kNone};
    /// When its leader was looked at.
    std::atomic<std::uint32_t> looked_ms_{0};
    std::atomic<std::uint32_t> partitions_{1};
  };

  /// Null where `partitioner` sends null keys where it sends all keys, or where `linger_ms` is 0:
  /// then nothing is sticky.
  [[nodiscard]] static std::unique_ptr<StickyPartitioner> create(std::string_view partitioner,
                                                                 std::uint32_t linger_ms);

  /// Makes the topics of `topic_conf` ask us; each needs a Topic as its opaque.
  static void install(rd_kafka_topic_conf_t* topic_conf);

  void round_begins(std::int64_t now_ms) {
    now_ms_.store(static_cast<std::uint32_t>(now_ms), std::memory_order_relaxed);
  }

 private:
  using Keyed = std::int32_t (*)(const rd_kafka_topic_t*, const void*, std::size_t, std::int32_t,
                                 void*, void*);
  static constexpr std::uint64_t kNone = UINT32_MAX;  // no partition has this number

  StickyPartitioner(Keyed keyed, bool empty_is_null, std::uint32_t linger_ms)
      : keyed_(keyed), empty_is_null_(empty_is_null), linger_ms_(linger_ms) {}

  static std::int32_t partition_of(const rd_kafka_topic_t* topic, const void* key, std::size_t size,
                                   std::int32_t partitions, void* opaque, void* record);
  [[nodiscard]] std::int32_t stick(Topic& at, const rd_kafka_topic_t* topic,
                                   std::int32_t partitions) const;
  [[nodiscard]] static bool has_leader(Topic& at, const rd_kafka_topic_t* topic,
                                       std::int32_t partition, std::uint32_t now_ms);

  Keyed keyed_;
  bool empty_is_null_;
  std::uint32_t linger_ms_;
  std::atomic<std::uint32_t> now_ms_{0};
};

}  // namespace kfast::daemon::kafka
