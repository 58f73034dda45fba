// What the benchmark asks of Kafka beside producing: topics, and how many records are in them.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <string>

namespace kfast::bench {

inline constexpr int kPartitions = 12;

/// One connection for all questions. One thread. Failures end the process with a sentence.
class KafkaAdmin {
 public:
  explicit KafkaAdmin(const std::string& brokers);
  KafkaAdmin(const KafkaAdmin&) = delete;
  KafkaAdmin& operator=(const KafkaAdmin&) = delete;
  ~KafkaAdmin();

  /// Creates it with 12 partitions, one replica each, and waits until they have leaders.
  void create_topic(const std::string& topic);
  void delete_topic(const std::string& topic);
  /// The sum of the end offsets of its partitions.
  [[nodiscard]] std::uint64_t record_count(const std::string& topic);

 private:
  rd_kafka_t* rk_ = nullptr;
  rd_kafka_queue_t* queue_ = nullptr;
};

}  // namespace kfast::bench
