#include "topic_sender.hpp"

#include <array>

#include "delivering_producer.hpp"
#include "kafka_settings.hpp"
#include "kfast/kfast.h"
#include "samples.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr int kStuckMs = 60'000;

class KfastTopicSender : public TopicSender {
 public:
  explicit KfastTopicSender(const SenderSettings& settings)
      : value_(settings.value_bytes, 'v'), producer_(settings.ring_bytes) {
    for (const std::string& topic : settings.topics) {
      topics_.push_back(producer_.topic(topic));
    }
  }

  bool send(std::size_t topic) override {
    const std::uint64_t sent = now();
    const std::int64_t position =
        kfast_send(producer_.get(), topics_[topic], nullptr, 0, value_.data(), value_.size());
    const bool accepted = producer_.accepted(position);
    if (accepted && timed()) {
      sent_at(position) = sent;
    }
    return accepted;
  }

  void read_reports() override {
    producer_.read_reports([this](const auto& run) {
      const std::uint64_t read = now();
      for (const kfast_report_t& report : run) {
        reported(timed() ? sent_at(report.position) : 0, read);
      }
    });
  }

  void wait() override { producer_.wait(); }

  [[nodiscard]] int fd() const override { return kfast_fd(producer_.get()); }

 private:
  void on_timed() override { sent_ns_.resize(kfast_ring_bytes(producer_.get()) / kFrameAlignment); }

  static constexpr std::uint64_t kFrameAlignment = 8;

  /// While a record is in flight its place in the ring is its own.
  std::uint64_t& sent_at(std::int64_t position) {
    return sent_ns_[static_cast<std::uint64_t>(position) / kFrameAlignment % sent_ns_.size()];
  }

  std::vector<char> value_;
  std::vector<std::int32_t> topics_;
  std::vector<std::uint64_t> sent_ns_;
  DeliveringProducer producer_;
};

class ProduceTopicSender : public TopicSender {
 public:
  explicit ProduceTopicSender(const SenderSettings& settings) : value_(settings.value_bytes, 'v') {
    rd_kafka_conf_t* conf = producer_conf(settings.brokers, settings.linger_ms);
    std::array<char, 512> why{};
    if (!settings.queue_messages.empty() &&
        rd_kafka_conf_set(conf, "queue.buffering.max.messages", settings.queue_messages.c_str(),
                          why.data(), why.size()) != RD_KAFKA_CONF_OK) {
      give_up(why.data());
    }
    rd_kafka_conf_set_opaque(conf, this);
    rd_kafka_conf_set_dr_msg_cb(conf,
                                [](rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
                                  static_cast<ProduceTopicSender*>(self)->on_report(*message);
                                });
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    if (rk_ == nullptr) {
      give_up(why.data());
    }
    for (const std::string& topic : settings.topics) {
      topics_.push_back(rd_kafka_topic_new(rk_, topic.c_str(), nullptr));
    }
  }
  ~ProduceTopicSender() override {
    for (rd_kafka_topic_t* topic : topics_) {
      rd_kafka_topic_destroy(topic);
    }
    rd_kafka_destroy(rk_);
  }
  ProduceTopicSender(const ProduceTopicSender&) = delete;
  ProduceTopicSender& operator=(const ProduceTopicSender&) = delete;

  bool send(std::size_t topic) override {
    static_assert(sizeof(void*) == sizeof(std::uint64_t));
    void* const sent = reinterpret_cast<void*>(now());
    if (rd_kafka_produce(topics_[topic], RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value_.data(),
                         value_.size(), nullptr, 0, sent) == 0) {
      return true;
    }
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      give_up(std::string("librdkafka refuses a record: ") +
              rd_kafka_err2str(rd_kafka_last_error()));
    }
    return false;
  }

  void read_reports() override { rd_kafka_poll(rk_, 0); }
  void wait() override {
    if (rd_kafka_poll(rk_, kStuckMs) == 0) {
      give_up("librdkafka: no report for a minute");
    }
  }
  [[nodiscard]] int fd() const override { return -1; }

 private:
  void on_report(const rd_kafka_message_t& message) {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      give_up(std::string("a record was not delivered: ") + rd_kafka_err2str(message.err));
    }
    reported(reinterpret_cast<std::uint64_t>(message._private), now());
  }

  std::vector<char> value_;
  std::vector<rd_kafka_topic_t*> topics_;
  rd_kafka_t* rk_ = nullptr;
};

}  // namespace

std::unique_ptr<TopicSender> make_topic_sender(const SenderSettings& settings) {
  if (settings.side == Side::kfast) {
    return std::make_unique<KfastTopicSender>(settings);
  }
  return std::make_unique<ProduceTopicSender>(settings);
}

}  // namespace kfast::bench
