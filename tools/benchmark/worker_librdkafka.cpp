#include <array>
#include <string>
#include <vector>

#include "kafka_settings.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr std::size_t kBatch = 256;
constexpr int kWaitMs = 100;

/// A producer in the worker; reports come by the callback that most programs use.
class LibrdkafkaSender : public Sender {
 public:
  explicit LibrdkafkaSender(const Task& task) : value_(task.value_bytes, 'v') {
    rd_kafka_conf_t* conf = producer_conf(task.brokers);
    rd_kafka_conf_set_opaque(conf, this);
    rd_kafka_conf_set_dr_msg_cb(conf,
                                [](rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
                                  static_cast<LibrdkafkaSender*>(self)->on_report(*message);
                                });
    std::array<char, 512> why{};
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    if (rk_ == nullptr) {
      give_up(why.data());
    }
    topic_ = rd_kafka_topic_new(rk_, task.topic.c_str(), nullptr);
  }
  ~LibrdkafkaSender() override {
    rd_kafka_topic_destroy(topic_);
    rd_kafka_destroy(rk_);
  }
  LibrdkafkaSender(const LibrdkafkaSender&) = delete;
  LibrdkafkaSender& operator=(const LibrdkafkaSender&) = delete;

  std::uint64_t send(std::uint64_t /*count*/) override {
    if (rd_kafka_produce(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value_.data(),
                         value_.size(), nullptr, 0, nullptr) == 0) [[likely]] {
      return 1;
    }
    check(rd_kafka_last_error());
    return 0;
  }

  void read_reports() override { rd_kafka_poll(rk_, 0); }
  void wait() override { rd_kafka_poll(rk_, kWaitMs); }
  [[nodiscard]] std::uint64_t delivered() const override { return delivered_; }

 protected:
  static void check(rd_kafka_resp_err_t error) {
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      give_up(std::string("librdkafka refuses a record: ") + rd_kafka_err2str(error));
    }
  }

  std::vector<char> value_;
  rd_kafka_topic_t* topic_ = nullptr;

 private:
  void on_report(const rd_kafka_message_t& message) {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      give_up(std::string("a record was not delivered: ") + rd_kafka_err2str(message.err));
    }
    ++delivered_;
  }

  rd_kafka_t* rk_ = nullptr;
  std::uint64_t delivered_ = 0;
};

class BatchSender : public LibrdkafkaSender {
 public:
  explicit BatchSender(const Task& task) : LibrdkafkaSender(task) {}

  [[nodiscard]] std::uint64_t stride() const override { return kBatch; }

  /// A full queue fails the rest of a batch, so what was accepted is a prefix.
  std::uint64_t send(std::uint64_t count) override {
    for (std::size_t i = 0; i < count; ++i) {
      messages_[i] = {};
      messages_[i].payload = value_.data();
      messages_[i].len = value_.size();
    }
    const auto accepted = static_cast<std::uint64_t>(
        rd_kafka_produce_batch(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, messages_.data(),
                               static_cast<int>(count)));
    if (accepted < count) {
      check(messages_[accepted].err);
    }
    return accepted;
  }

 private:
  std::array<rd_kafka_message_t, kBatch> messages_{};
};

}  // namespace

std::unique_ptr<Sender> make_produce_sender(const Task& task) {
  return std::make_unique<LibrdkafkaSender>(task);
}

std::unique_ptr<Sender> make_produce_batch_sender(const Task& task) {
  return std::make_unique<BatchSender>(task);
}

}  // namespace kfast::bench
