// What the benchmark asks of Kafka beside producing: topics, and how many records are in them.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kfast::bench {

inline constexpr int kPartitions = 12;

/// One connection for all questions. One thread. Failures end the process with a sentence.
class KafkaAdmin {
 public:
  explicit KafkaAdmin(const std::string& brokers);
  KafkaAdmin(const KafkaAdmin&) = delete;
  KafkaAdmin& operator=(const KafkaAdmin&) = delete;
  ~KafkaAdmin();

  /// Creates them, one replica of each partition, and waits until all have leaders.
  void create_topics(const std::vector<std::string>& topics, int partitions);
  void delete_topics(const std::vector<std::string>& topics);
  /// The sum of the end offsets of all of their partitions.
  [[nodiscard]] std::uint64_t record_count(const std::vector<std::string>& topics, int partitions);

  /// The same for one topic with 12 partitions.
  void create_topic(const std::string& topic) { create_topics({topic}, kPartitions); }
  void delete_topic(const std::string& topic) { delete_topics({topic}); }
  [[nodiscard]] std::uint64_t record_count(const std::string& topic) {
    return record_count(std::vector<std::string>{topic}, kPartitions);
  }

 private:
  using Event = std::unique_ptr<rd_kafka_event_t, void (*)(rd_kafka_event_t*)>;
  /// The answer to what was asked last; ends the process where it is an error or none comes.
  [[nodiscard]] Event answer(const std::string& asked);
  void create_batch(std::span<const std::string> topics, int partitions);
  void delete_batch(std::span<const std::string> topics);
  /// The first error, or the sum of the end offsets.
  [[nodiscard]] rd_kafka_resp_err_t end_offsets(std::span<const std::string> topics, int partitions,
                                                std::uint64_t& sum);

  rd_kafka_t* rk_ = nullptr;
  rd_kafka_queue_t* queue_ = nullptr;
};

}  // namespace kfast::bench
