// The embedded broker of `kfastd --dev`: librdkafka's mock cluster. For a quick start and fault
// injection, not a broker: it keeps a few megabytes per partition, in memory.
#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <memory>
#include <string>
#include <vector>

#include "config/result.hpp"

namespace kfast::daemon::kafka {

struct DevTopic {
  std::string name;
  int partitions = 4;
};

/// "name" or "name:partitions".
[[nodiscard]] Result<DevTopic> parse_dev_topic(const std::string& text);

/// Runs until destroyed. Threads are librdkafka's own.
class DevBroker {
 public:
  /// Starts one broker on a loopback port and creates the topics.
  [[nodiscard]] static Result<std::unique_ptr<DevBroker>> start(
      const std::vector<DevTopic>& topics);
  DevBroker(const DevBroker&) = delete;
  DevBroker& operator=(const DevBroker&) = delete;
  ~DevBroker();

  /// "127.0.0.1:port"
  [[nodiscard]] const std::string& bootstrap_servers() const noexcept { return bootstrap_; }

 private:
  DevBroker() = default;
  rd_kafka_t* rk_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  std::string bootstrap_;
};

}  // namespace kfast::daemon::kafka
