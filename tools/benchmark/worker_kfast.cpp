#include <poll.h>

#include <array>
#include <string>

#include "kfast/kfast.h"
#include "record_source.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr std::size_t kBatch = 256;
constexpr int kStuckMs = 60'000;

std::array<kfast_header_t, kHeaders.size()> headers() {
  std::array<kfast_header_t, kHeaders.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = {kHeaders[i].name.data(), kHeaders[i].name.size(), kHeaders[i].value.data(),
              kHeaders[i].value.size()};
  }
  return all;
}

/// A producer whose every record must be delivered.
class KfastSender : public Sender {
 public:
  explicit KfastSender(const Task& task) : source_(task), headers_(headers()) {
    std::array<char, 512> why{};
    kfast_options_t* options = kfast_options_new();
    if (kfast_options_set(options, "ring.bytes", task.ring_bytes.c_str(), why.data(), why.size()) !=
            KFAST_OK ||
        kfast_producer_open(options, &producer_, why.data(), why.size()) != KFAST_OK) {
      give_up(why.data());
    }
    kfast_options_free(options);
    topic_ = kfast_topic(producer_, task.topic.c_str());
    if (topic_ < 0) {
      give_up(kfast_last_error(producer_));
    }
    record_.topic = topic_;
    record_.key_size = source_.key_size();
    record_.value_size = source_.value_size();
    if (task.headers) {
      record_.headers = headers_.data();
      record_.header_count = headers_.size();
    }
  }
  ~KfastSender() override { kfast_producer_close(producer_); }
  KfastSender(const KfastSender&) = delete;
  KfastSender& operator=(const KfastSender&) = delete;

  void read_reports() override {
    int count = 0;
    do {
      count = kfast_reports(producer_, reports_.data(), reports_.size());
      if (count < 0) {
        give_up(std::string("kfast_reports: ") + kfast_last_error(producer_));
      }
      for (int i = 0; i < count; ++i) {
        const kfast_report_t& report = reports_[static_cast<std::size_t>(i)];
        if (report.outcome != KFAST_DELIVERED) {
          give_up(std::string("a record was not delivered: ") + kfast_kafka_error(report.error));
        }
      }
      delivered_ += static_cast<std::uint64_t>(count);
    } while (static_cast<std::size_t>(count) == reports_.size());
  }

  void wait() override {
    pollfd fd{kfast_fd(producer_), POLLIN, 0};
    if (::poll(&fd, 1, kStuckMs) == 0) {
      give_up("kfast: no report for a minute");
    }
  }

  [[nodiscard]] std::uint64_t delivered() const override { return delivered_; }

 protected:
  /// How many records an answer stands for: one, or none for a full ring.
  [[nodiscard]] std::uint64_t accepted(std::int64_t answer) {
    if (answer >= 0) [[likely]] {
      return 1;
    }
    if (answer != KFAST_ERR_QUEUE_FULL) {
      give_up(std::string("libkfast refuses a record: ") + kfast_last_error(producer_));
    }
    return 0;
  }

  RecordSource source_;
  std::array<kfast_header_t, kHeaders.size()> headers_;
  kfast_producer_t* producer_ = nullptr;
  std::int32_t topic_ = -1;
  kfast_record_t record_ = KFAST_RECORD_INIT;

 private:
  std::array<kfast_report_t, 1024> reports_{};
  std::uint64_t delivered_ = 0;
};

class SendSender : public KfastSender {
 public:
  using KfastSender::KfastSender;
  std::uint64_t send(std::uint64_t /*count*/) override {
    source_.next();
    return accepted(kfast_send(producer_, topic_, source_.key(), source_.key_size(),
                               source_.value(), source_.value_size()));
  }
};

class SendRecordSender : public KfastSender {
 public:
  using KfastSender::KfastSender;
  std::uint64_t send(std::uint64_t /*count*/) override {
    source_.next();
    return accepted(kfast_send_record(
        producer_, topic_, KFAST_ANY_PARTITION, KFAST_NOW, source_.key(), source_.key_size(),
        source_.value(), source_.value_size(), record_.headers, record_.header_count, 0));
  }
};

class ReserveSender : public KfastSender {
 public:
  using KfastSender::KfastSender;
  std::uint64_t send(std::uint64_t /*count*/) override {
    source_.next();
    record_.key = source_.key();
    void* place = nullptr;
    if (accepted(kfast_reserve(producer_, &record_, &place)) == 0) [[unlikely]] {
      return 0;
    }
    source_.make(place);
    return accepted(kfast_commit(producer_, source_.value_size()));
  }
};

class SendBatchSender : public KfastSender {
 public:
  explicit SendBatchSender(const Task& task) : KfastSender(task) { records_.fill(record_); }

  [[nodiscard]] std::uint64_t stride() const override { return kBatch; }

  std::uint64_t send(std::uint64_t count) override {
    for (std::size_t i = 0; i < count; ++i) {
      source_.next();
      records_[i].key = source_.key();
      records_[i].value = source_.value();
    }
    const int sent = kfast_send_batch(producer_, records_.data(), count, 0);
    return sent > 0 ? static_cast<std::uint64_t>(sent) : accepted(sent);
  }

 private:
  std::array<kfast_record_t, kBatch> records_;
};

}  // namespace

std::unique_ptr<Sender> make_kfast_sender(const Task& task) {
  switch (task.variant) {
    case Variant::send_record:
      return std::make_unique<SendRecordSender>(task);
    case Variant::send_batch:
      return std::make_unique<SendBatchSender>(task);
    case Variant::reserve:
      return std::make_unique<ReserveSender>(task);
    default:
      return std::make_unique<SendSender>(task);
  }
}

}  // namespace kfast::bench
