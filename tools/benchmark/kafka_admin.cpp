#include "kafka_admin.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr int kTimeoutMs = 60'000;
/// Topics of one request: Kafka takes 10,000 metadata records at a time.
constexpr std::size_t kBatch = 250;

template <typename Each>
void in_batches(std::span<const std::string> topics, Each&& each) {
  while (!topics.empty()) {
    const auto batch = topics.first(std::min(kBatch, topics.size()));
    each(batch);
    topics = topics.subspan(batch.size());
  }
}

}  // namespace

KafkaAdmin::KafkaAdmin(const std::string& brokers) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  std::array<char, 512> why{};
  if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), why.data(), why.size()) !=
      RD_KAFKA_CONF_OK) {
    give_up(why.data());
  }
  rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
  if (rk_ == nullptr) {
    give_up(why.data());
  }
  queue_ = rd_kafka_queue_new(rk_);
}

KafkaAdmin::~KafkaAdmin() {
  rd_kafka_queue_destroy(queue_);
  rd_kafka_destroy(rk_);
}

KafkaAdmin::Event KafkaAdmin::answer(const std::string& asked) {
  Event event(rd_kafka_queue_poll(queue_, kTimeoutMs), rd_kafka_event_destroy);
  if (!event || rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    give_up(asked + ": " +
            (event ? rd_kafka_event_error_string(event.get()) : "no answer; is the broker there?"));
  }
  return event;
}

void KafkaAdmin::create_batch(std::span<const std::string> topics, int partitions) {
  std::vector<rd_kafka_NewTopic_t*> wanted;
  for (const std::string& topic : topics) {
    std::array<char, 512> why{};
    wanted.push_back(rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, why.data(), why.size()));
    if (wanted.back() == nullptr) {
      give_up(why.data());
    }
  }
  rd_kafka_CreateTopics(rk_, wanted.data(), wanted.size(), nullptr, queue_);
  const Event event = answer("topics could not be created");
  std::size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (const rd_kafka_topic_result_t* result : std::span(results, count)) {
    if (rd_kafka_topic_result_error(result) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      give_up(std::string("topic ") + rd_kafka_topic_result_name(result) +
              " could not be created: " + rd_kafka_topic_result_error_string(result));
    }
  }
  rd_kafka_NewTopic_destroy_array(wanted.data(), wanted.size());
}

void KafkaAdmin::create_topics(const std::vector<std::string>& topics, int partitions) {
  in_batches(topics, [&](auto batch) { create_batch(batch, partitions); });
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTimeoutMs);
  for (;;) {
    // Asked for anew: what librdkafka remembers of a topic that was not there yet would be believed
    // for seconds.
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk_, 1, nullptr, &metadata, kTimeoutMs);
    if (metadata != nullptr) {
      rd_kafka_metadata_destroy(metadata);
    }
    std::uint64_t sum = 0;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      error = end_offsets(topics, partitions, sum);
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      return;
    }
    if (std::chrono::steady_clock::now() > until) {
      give_up("topics that were created are not served: " + std::string(rd_kafka_err2str(error)));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void KafkaAdmin::delete_batch(std::span<const std::string> topics) {
  std::vector<rd_kafka_DeleteTopic_t*> wanted;
  for (const std::string& topic : topics) {
    wanted.push_back(rd_kafka_DeleteTopic_new(topic.c_str()));
  }
  rd_kafka_DeleteTopics(rk_, wanted.data(), wanted.size(), nullptr, queue_);
  static_cast<void>(answer("topics could not be deleted"));
  rd_kafka_DeleteTopic_destroy_array(wanted.data(), wanted.size());
}

void KafkaAdmin::delete_topics(const std::vector<std::string>& topics) {
  in_batches(topics, [&](auto batch) { delete_batch(batch); });
}

rd_kafka_resp_err_t KafkaAdmin::end_offsets(std::span<const std::string> topics, int partitions,
                                            std::uint64_t& sum) {
  rd_kafka_topic_partition_list_t* wanted = rd_kafka_topic_partition_list_new(
      static_cast<int>(topics.size() * static_cast<std::size_t>(partitions)));
  for (const std::string& topic : topics) {
    for (int partition = 0; partition < partitions; ++partition) {
      rd_kafka_topic_partition_list_add(wanted, topic.c_str(), partition)->offset =
          RD_KAFKA_OFFSET_SPEC_LATEST;
    }
  }
  rd_kafka_ListOffsets(rk_, wanted, nullptr, queue_);
  rd_kafka_topic_partition_list_destroy(wanted);
  const Event event(rd_kafka_queue_poll(queue_, kTimeoutMs), rd_kafka_event_destroy);
  if (!event) {
    return RD_KAFKA_RESP_ERR__TIMED_OUT;
  }
  rd_kafka_resp_err_t error = rd_kafka_event_error(event.get());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return error;
  }
  std::size_t count = 0;
  const rd_kafka_ListOffsetsResultInfo_t** infos =
      rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event.get()), &count);
  sum = 0;
  for (const rd_kafka_ListOffsetsResultInfo_t* info : std::span(infos, count)) {
    const rd_kafka_topic_partition_t* end = rd_kafka_ListOffsetsResultInfo_topic_partition(info);
    if (end->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return end->err;
    }
    sum += static_cast<std::uint64_t>(end->offset);
  }
  return count == topics.size() * static_cast<std::size_t>(partitions) ? RD_KAFKA_RESP_ERR_NO_ERROR
                                                                       : RD_KAFKA_RESP_ERR__PARTIAL;
}

std::uint64_t KafkaAdmin::record_count(const std::vector<std::string>& topics, int partitions) {
  std::uint64_t sum = 0;
  const rd_kafka_resp_err_t error = end_offsets(topics, partitions, sum);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    give_up("Kafka does not say what is in " + topics.front() + ": " + rd_kafka_err2str(error));
  }
  return sum;
}

}  // namespace kfast::bench
