#include <poll.h>

#include <array>
#include <string>
#include <vector>

#include "kfast/kfast.h"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr int kStuckMs = 60'000;

class KfastSender : public Sender {
 public:
  explicit KfastSender(const Task& task) : value_(task.value_bytes, 'v') {
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
  }
  ~KfastSender() override { kfast_producer_close(producer_); }
  KfastSender(const KfastSender&) = delete;
  KfastSender& operator=(const KfastSender&) = delete;

  std::uint64_t send(std::uint64_t /*count*/) override {
    const std::int64_t position =
        kfast_send(producer_, topic_, nullptr, 0, value_.data(), value_.size());
    if (position >= 0) [[likely]] {
      return 1;
    }
    if (position != KFAST_ERR_QUEUE_FULL) {
      give_up(std::string("kfast_send: ") + kfast_last_error(producer_));
    }
    return 0;
  }

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

 private:
  std::vector<char> value_;
  std::array<kfast_report_t, 1024> reports_{};
  kfast_producer_t* producer_ = nullptr;
  std::int32_t topic_ = -1;
  std::uint64_t delivered_ = 0;
};

}  // namespace

std::unique_ptr<Sender> make_kfast_sender(const Task& task) {
  return std::make_unique<KfastSender>(task);
}

}  // namespace kfast::bench
