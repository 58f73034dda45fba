#include "kafka_admin.hpp"

#include <array>
#include <chrono>
#include <thread>

#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr int kTimeoutMs = 60'000;

const char* first_error(const rd_kafka_topic_result_t** results, std::size_t count) {
  return count == 1 && rd_kafka_topic_result_error(results[0]) != RD_KAFKA_RESP_ERR_NO_ERROR
             ? rd_kafka_topic_result_error_string(results[0])
             : nullptr;
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

void KafkaAdmin::create_topic(const std::string& topic) {
  std::array<char, 512> why{};
  rd_kafka_NewTopic_t* wanted =
      rd_kafka_NewTopic_new(topic.c_str(), kPartitions, 1, why.data(), why.size());
  if (wanted == nullptr) {
    give_up(why.data());
  }
  rd_kafka_CreateTopics(rk_, &wanted, 1, nullptr, queue_);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, kTimeoutMs);
  if (event == nullptr || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    give_up("topic " + topic + " could not be created: " +
            (event == nullptr ? "no answer; is the broker there?"
                              : rd_kafka_event_error_string(event)));
  }
  std::size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
  if (const char* error = first_error(results, count)) {
    give_up("topic " + topic + " could not be created: " + error);
  }
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy(wanted);

  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kTimeoutMs);
  for (std::int64_t low = 0, high = 0;;) {
    // Asked for anew: what librdkafka remembers of a topic that was not there yet would be believed
    // for seconds.
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk_, 1, nullptr, &metadata, kTimeoutMs);
    if (metadata != nullptr) {
      rd_kafka_metadata_destroy(metadata);
    }
    int partition = 0;
    while (partition < kPartitions && error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      error = rd_kafka_query_watermark_offsets(rk_, topic.c_str(), partition++, &low, &high,
                                               kTimeoutMs);
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      return;
    }
    if (std::chrono::steady_clock::now() > until) {
      give_up("topic " + topic + " is not served: " + rd_kafka_err2str(error));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void KafkaAdmin::delete_topic(const std::string& topic) {
  rd_kafka_DeleteTopic_t* wanted = rd_kafka_DeleteTopic_new(topic.c_str());
  rd_kafka_DeleteTopics(rk_, &wanted, 1, nullptr, queue_);
  if (rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, kTimeoutMs)) {
    rd_kafka_event_destroy(event);
  }
  rd_kafka_DeleteTopic_destroy(wanted);
}

std::uint64_t KafkaAdmin::record_count(const std::string& topic) {
  std::uint64_t sum = 0;
  for (int partition = 0; partition < kPartitions; ++partition) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    const rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(rk_, topic.c_str(), partition, &low, &high, kTimeoutMs);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      give_up("Kafka does not say what is in " + topic + ": " + rd_kafka_err2str(error));
    }
    sum += static_cast<std::uint64_t>(high);
  }
  return sum;
}

}  // namespace kfast::bench
