#include <array>
#include <string>

#include "delivering_producer.hpp"
#include "kfast/kfast.h"
#include "record_source.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr std::size_t kBatch = 256;

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
  explicit KfastSender(const Task& task)
      : source_(task),
        headers_(headers()),
        delivering_(task.ring_bytes),
        producer_(delivering_.get()),
        topic_(delivering_.topic(task.topic)) {
    record_.topic = topic_;
    record_.key_size = source_.key_size();
    record_.value_size = source_.value_size();
    if (task.headers) {
      record_.headers = headers_.data();
      record_.header_count = headers_.size();
    }
  }
  void read_reports() override {
    delivering_.read_reports([this](const auto& run) { delivered_ += run.size(); });
  }
  void wait() override { delivering_.wait(); }

  [[nodiscard]] std::uint64_t delivered() const override { return delivered_; }

 protected:
  /// How many records an answer stands for: one, or none for a full ring.
  [[nodiscard]] std::uint64_t accepted(std::int64_t answer) {
    return delivering_.accepted(answer) ? 1 : 0;
  }

  RecordSource source_;
  std::array<kfast_header_t, kHeaders.size()> headers_;
  DeliveringProducer delivering_;
  kfast_producer_t* producer_;
  std::int32_t topic_;
  kfast_record_t record_ = KFAST_RECORD_INIT;

 private:
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
