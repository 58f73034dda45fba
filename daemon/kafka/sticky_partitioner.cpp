#include "kafka/sticky_partitioner.hpp"

#include <algorithm>
#include <array>

namespace kfast::daemon::kafka {

std::unique_ptr<StickyPartitioner> StickyPartitioner::create(std::string_view partitioner,
                                                             std::uint32_t linger_ms) {
  struct Row {
    std::string_view name;
    Keyed keyed;
    bool empty_is_null;
  };
  static constexpr auto kSticky = std::to_array<Row>({
      {"random", rd_kafka_msg_partitioner_random, false},
      {"consistent_random", rd_kafka_msg_partitioner_consistent_random, true},
      {"murmur2_random", rd_kafka_msg_partitioner_murmur2_random, false},
      {"fnv1a_random", rd_kafka_msg_partitioner_fnv1a_random, false},
  });
  const auto* row = std::find_if(kSticky.begin(), kSticky.end(),
                                 [&](const Row& r) { return r.name == partitioner; });
  if (row == kSticky.end() || linger_ms == 0) {
    return nullptr;
  }
  return std::unique_ptr<StickyPartitioner>(
      new StickyPartitioner(row->keyed, row->empty_is_null, linger_ms));
}

void StickyPartitioner::install(rd_kafka_topic_conf_t* topic_conf) {
  rd_kafka_topic_conf_set_partitioner_cb(topic_conf, &StickyPartitioner::partition_of);
}

std::int32_t StickyPartitioner::partition_of(const rd_kafka_topic_t* topic, const void* key,
                                             std::size_t size, std::int32_t partitions,
                                             void* opaque, void* record) {
  Topic& at = *static_cast<Topic*>(opaque);
  const StickyPartitioner& self = at.owner_;
  at.partitions_.store(static_cast<std::uint32_t>(partitions), std::memory_order_relaxed);
  if (key != nullptr && (size != 0 || !self.empty_is_null_)) {
    return self.keyed_(topic, key, size, partitions, nullptr, record);
  }
  return self.stick(at, topic, partitions);
}

std::int32_t StickyPartitioner::stick(Topic& at, const rd_kafka_topic_t* topic,
                                      std::int32_t partitions) const {
  const std::uint32_t now = now_ms_.load(std::memory_order_relaxed);
  const std::uint64_t choice = at.choice_.load(std::memory_order_relaxed);
  const auto chosen = static_cast<std::uint32_t>(choice);
  // Between 1 and linger_ms_ where it still holds. A topic that rested for weeks has any value here.
  const std::uint32_t left_ms = static_cast<std::uint32_t>(choice >> 32U) - now;
  // The topic may have been made again with fewer partitions.
  if (left_ms - 1 < linger_ms_ && chosen < static_cast<std::uint32_t>(partitions) &&
      has_leader(at, topic, static_cast<std::int32_t>(chosen), now)) {
    return static_cast<std::int32_t>(chosen);
  }
  // One that has a leader, if the first that it tries has none.
  const std::int32_t next =
      rd_kafka_msg_partitioner_random(topic, nullptr, 0, partitions, nullptr, nullptr);
  at.choice_.store(
      static_cast<std::uint64_t>(now + linger_ms_) << 32U | static_cast<std::uint32_t>(next),
      std::memory_order_relaxed);
  at.looked_ms_.store(now, std::memory_order_relaxed);
  return next;
}

bool StickyPartitioner::has_leader(Topic& at, const rd_kafka_topic_t* topic, std::int32_t partition,
                                   std::uint32_t now_ms) {
  if (at.looked_ms_.load(std::memory_order_relaxed) == now_ms) {
    return true;
  }
  at.looked_ms_.store(now_ms, std::memory_order_relaxed);
  return rd_kafka_topic_partition_available(topic, partition) != 0;
}

}  // namespace kfast::daemon::kafka
