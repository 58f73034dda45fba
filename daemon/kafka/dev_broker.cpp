#include "kafka/dev_broker.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <system_error>

namespace kfast::daemon::kafka {

Result<DevTopic> parse_dev_topic(const std::string& text) {
  DevTopic topic;
  const std::size_t colon = text.find(':');
  topic.name = text.substr(0, colon);
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, topic.partitions);
    if (error != std::errc{} || stop != end || topic.partitions < 1 || topic.partitions > 1000) {
      return Failure{"--topic " + text + ": partitions must be a number from 1 to 1000"};
    }
  }
  if (topic.name.empty()) {
    return Failure{"--topic " + text + ": the name is missing (use NAME or NAME:PARTITIONS)"};
  }
  return topic;
}

Result<std::unique_ptr<DevBroker>> DevBroker::start(const std::vector<DevTopic>& topics) {
  std::unique_ptr<DevBroker> self(new DevBroker);
  std::array<char, 512> why{};
  // The mock cluster lives inside a client instance of its own, which never connects anywhere.
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  static_cast<void>(rd_kafka_conf_set(conf, "log_level", "3", why.data(), why.size()));
  self->rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
  if (self->rk_ == nullptr) {
    rd_kafka_conf_destroy(conf);
    return Failure{std::string("cannot start the embedded broker: ") + why.data()};
  }
  self->cluster_ = rd_kafka_mock_cluster_new(self->rk_, 1);
  if (self->cluster_ == nullptr) {
    return Failure{std::string("cannot start the embedded broker (no loopback port?)")};
  }
  for (const DevTopic& topic : topics) {
    const rd_kafka_resp_err_t error =
        rd_kafka_mock_topic_create(self->cluster_, topic.name.c_str(), topic.partitions, 1);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return Failure{"cannot create topic " + topic.name + ": " + rd_kafka_err2str(error)};
    }
  }
  self->bootstrap_ = rd_kafka_mock_cluster_bootstraps(self->cluster_);
  return self;
}

DevBroker::~DevBroker() {
  if (cluster_ != nullptr) {
    rd_kafka_mock_cluster_destroy(cluster_);
  }
  if (rk_ != nullptr) {
    rd_kafka_destroy(rk_);
  }
}

}  // namespace kfast::daemon::kafka
