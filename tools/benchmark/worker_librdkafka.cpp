#include <array>
#include <string>

#include "kafka_settings.hpp"
#include "record_source.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr std::size_t kBatch = 256;
constexpr int kWaitMs = 100;

/// A producer in the worker; reports come by the callback that most programs use.
class LibrdkafkaSender : public Sender {
 public:
  explicit LibrdkafkaSender(const Task& task) : source_(task) {
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

  void read_reports() override { rd_kafka_poll(rk_, 0); }
  void wait() override { rd_kafka_poll(rk_, kWaitMs); }
  [[nodiscard]] std::uint64_t delivered() const override { return delivered_; }

 protected:
  static void check(rd_kafka_resp_err_t error) {
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      give_up(std::string("librdkafka refuses a record: ") + rd_kafka_err2str(error));
    }
  }

  RecordSource source_;
  rd_kafka_t* rk_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;

 private:
  void on_report(const rd_kafka_message_t& message) {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      give_up(std::string("a record was not delivered: ") + rd_kafka_err2str(message.err));
    }
    ++delivered_;
  }

  std::uint64_t delivered_ = 0;
};

class ProduceSender : public LibrdkafkaSender {
 public:
  using LibrdkafkaSender::LibrdkafkaSender;

  std::uint64_t send(std::uint64_t /*count*/) override {
    source_.next();
    // It takes the value as not const, and with F_COPY only reads it.
    if (rd_kafka_produce(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                         const_cast<char*>(source_.value()), source_.value_size(), source_.key(),
                         source_.key_size(), nullptr) == 0) [[likely]] {
      return 1;
    }
    check(rd_kafka_last_error());
    return 0;
  }
};

/// Headers as most programs give them: one argument each.
class ProducevaSender : public LibrdkafkaSender {
 public:
  explicit ProducevaSender(const Task& task) : LibrdkafkaSender(task) {
    arguments_[0].vtype = RD_KAFKA_VTYPE_RKT;
    arguments_[0].u.rkt = topic_;
    arguments_[1].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    arguments_[1].u.i = RD_KAFKA_MSG_F_COPY;
    arguments_[2].vtype = RD_KAFKA_VTYPE_VALUE;
    arguments_[3].vtype = RD_KAFKA_VTYPE_KEY;
    for (const Header& header : kHeaders) {
      rd_kafka_vu_t& argument = arguments_[count_++];
      argument.vtype = RD_KAFKA_VTYPE_HEADER;
      argument.u.header.name = header.name.data();
      argument.u.header.val = header.value.data();
      argument.u.header.size = static_cast<ssize_t>(header.value.size());
    }
  }

  std::uint64_t send(std::uint64_t /*count*/) override {
    source_.next();
    arguments_[2].u.mem = {const_cast<char*>(source_.value()), source_.value_size()};
    arguments_[3].u.mem = {const_cast<char*>(source_.key()), source_.key_size()};
    rd_kafka_error_t* error = rd_kafka_produceva(rk_, arguments_.data(), count_);
    if (error == nullptr) [[likely]] {
      return 1;
    }
    check(rd_kafka_error_code(error));
    rd_kafka_error_destroy(error);
    return 0;
  }

 private:
  std::array<rd_kafka_vu_t, 4 + kHeaders.size()> arguments_{};
  std::size_t count_ = 4;
};

class ProduceBatchSender : public LibrdkafkaSender {
 public:
  explicit ProduceBatchSender(const Task& task) : LibrdkafkaSender(task) {
    for (rd_kafka_message_t& message : messages_) {
      message.len = source_.value_size();
      message.key_len = source_.key_size();
    }
  }

  [[nodiscard]] std::uint64_t stride() const override { return kBatch; }

  /// A full queue fails the rest of a batch, so what was accepted is a prefix.
  std::uint64_t send(std::uint64_t count) override {
    for (std::size_t i = 0; i < count; ++i) {
      source_.next();
      messages_[i].key = const_cast<char*>(source_.key());
      messages_[i].payload = const_cast<char*>(source_.value());
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

std::unique_ptr<Sender> make_librdkafka_sender(const Task& task) {
  switch (task.variant) {
    case Variant::produceva:
      return std::make_unique<ProducevaSender>(task);
    case Variant::produce_batch:
      return std::make_unique<ProduceBatchSender>(task);
    default:
      return std::make_unique<ProduceSender>(task);
  }
}

}  // namespace kfast::bench
