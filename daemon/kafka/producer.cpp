#include "kafka/producer.hpp"

#include <array>
#include <cstdint>
#include <string>

#include "config/kafka_conf.hpp"

namespace kfast::daemon::kafka {
namespace {

constexpr std::uint64_t kWakeIncrement = 1;

}  // namespace

Result<Producer> Producer::create(const rd_kafka_conf_t* conf, int wake_fd) {
  std::array<char, 512> why{};
  config::KafkaConf copy(rd_kafka_conf_dup(conf));
  Producer made;
  made.handle_.reset(rd_kafka_new(RD_KAFKA_PRODUCER, copy.get(), why.data(), why.size()));
  if (!made.handle_) {
    return Failure{std::string(why.data())};
  }
  static_cast<void>(copy.release());  // rd_kafka_new has taken it over
  made.events_.reset(rd_kafka_queue_get_main(made.get()));
  rd_kafka_set_log_queue(made.get(), made.events());
  rd_kafka_queue_io_event_enable(made.events(), wake_fd, &kWakeIncrement, sizeof kWakeIncrement);
  return made;
}

}  // namespace kfast::daemon::kafka
