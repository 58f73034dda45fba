// The worker processes of `memory`: one that opens a producer and uses it for a while, and one that
// sends what has to wait.
#include <poll.h>

#include <array>
#include <nlohmann/json.hpp>

#include "kafka_settings.hpp"
#include "kfast/kfast.h"
#include "memory.hpp"
#include "topic_sender.hpp"
#include "worker.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

constexpr int kStuckMs = 60'000;
constexpr std::uint64_t kReadEvery = 512;
/// Has room for a million records of 100 B, which are 128 B there; the report ring, a quarter of it,
/// for their reports, which are 32 B at most.
constexpr const char* kBacklogRingBytes = "128m";
constexpr const char* kBacklogMessages = "2000000";
constexpr std::array<char, kMemoryValueBytes> kValue{};

/// Nothing here needs memory of its own: what is measured is the library's.
class KfastUser {
 public:
  void open(const std::string& topic) {
    std::array<char, 512> why{};
    if (kfast_producer_open(nullptr, &producer_, why.data(), why.size()) != KFAST_OK) {
      give_up(why.data());
    }
    topic_ = kfast_topic(producer_, topic.c_str());
  }
  void use(std::uint64_t records) {
    for (std::uint64_t sent = 0; sent < records;) {
      const std::int64_t position =
          kfast_send(producer_, topic_, nullptr, 0, kValue.data(), kValue.size());
      if (position < 0 && position != KFAST_ERR_QUEUE_FULL) {
        give_up(std::string("kfast_send: ") + kfast_last_error(producer_));
      }
      sent += position >= 0 ? 1 : 0;
      if (position < 0 || sent % kReadEvery == 0) {
        read_reports();
      }
    }
    while (reported_ < records) {
      pollfd fd{kfast_fd(producer_), POLLIN, 0};
      if (::poll(&fd, 1, kStuckMs) == 0) {
        give_up("kfast: no report for a minute");
      }
      read_reports();
    }
  }
  void close() { kfast_producer_close(producer_); }

 private:
  void read_reports() {
    std::array<kfast_report_t, 64> reports{};
    int count = 0;
    while ((count = kfast_reports(producer_, reports.data(), reports.size())) > 0) {
      reported_ += static_cast<std::uint64_t>(count);
    }
  }

  kfast_producer_t* producer_ = nullptr;
  std::int32_t topic_ = -1;
  std::uint64_t reported_ = 0;
};

class LibrdkafkaUser {
 public:
  void open(const std::string& brokers, const std::string& topic) {
    rd_kafka_conf_t* conf = producer_conf(brokers);
    rd_kafka_conf_set_opaque(conf, this);
    rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t*, void* self) {
      ++static_cast<LibrdkafkaUser*>(self)->reported_;
    });
    std::array<char, 512> why{};
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    if (rk_ == nullptr) {
      give_up(why.data());
    }
    topic_ = rd_kafka_topic_new(rk_, topic.c_str(), nullptr);
  }
  void use(std::uint64_t records) {
    for (std::uint64_t sent = 0; sent < records; ++sent) {
      if (rd_kafka_produce(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                           const_cast<char*>(kValue.data()), kValue.size(), nullptr, 0,
                           nullptr) != 0) {
        give_up("librdkafka does not take a record");
      }
      if (sent % kReadEvery == 0) {
        rd_kafka_poll(rk_, 0);
      }
    }
    while (reported_ < records) {
      if (rd_kafka_poll(rk_, kStuckMs) == 0) {
        give_up("librdkafka: no report for a minute");
      }
    }
  }
  void close() {
    rd_kafka_topic_destroy(topic_);
    rd_kafka_destroy(rk_);
  }

 private:
  rd_kafka_t* rk_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
  std::uint64_t reported_ = 0;
};

template <typename User, typename... Where>
void be_measured(std::uint64_t records, const Where&... where) {
  User user;
  tell_parent("nothing is open");
  static_cast<void>(hear_parent());
  user.open(where...);
  user.use(records);
  tell_parent("all is reported");
  static_cast<void>(hear_parent());
  user.close();
}

/// The other side stops the broker meanwhile.
void send_what_waits(Side side, const std::string& brokers, const std::string& topic,
                     std::uint64_t records) {
  SenderSettings settings;
  settings.side = side;
  settings.topics = {topic};
  settings.value_bytes = kMemoryValueBytes;
  settings.ring_bytes = kBacklogRingBytes;
  settings.queue_messages = kBacklogMessages;
  settings.brokers = brokers;
  const std::unique_ptr<TopicSender> sender = make_topic_sender(settings);
  if (!sender->send(0)) {
    give_up("there is no room for one record");
  }
  sender->wait_reported(1);
  tell_parent("connected");
  static_cast<void>(hear_parent());
  for (std::uint64_t i = 0; i < records; ++i) {
    if (!sender->send(0)) {
      give_up("there is no room for " + std::to_string(records) + " records");
    }
  }
  tell_parent("sent");
  static_cast<void>(hear_parent());
  sender->wait_reported(1 + records);
  tell_parent("reported");
}

}  // namespace

void work_for_memory() {
  const nlohmann::json task = hear_parent();
  const Side side = task.at("side");
  const std::string topic = task.at("topic");
  const std::string brokers = task.at("brokers");
  const std::uint64_t records = task.at("records");
  if (task.at("backlog").get<bool>()) {
    send_what_waits(side, brokers, topic, records);
  } else if (side == Side::kfast) {
    be_measured<KfastUser>(records, topic);
  } else {
    be_measured<LibrdkafkaUser>(records, brokers, topic);
  }
}

}  // namespace kfast::bench
