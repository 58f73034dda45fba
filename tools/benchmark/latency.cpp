#include "latency.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "daemon_process.hpp"
#include "kafka_admin.hpp"
#include "kafka_settings.hpp"
#include "kfast/kfast.h"
#include "samples.hpp"
#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr std::uint32_t kRate = 1'000;  // records a second, paced
constexpr std::size_t kWarmup = 500;
constexpr int kStuckMs = 60'000;

/// One way from send to report. Each record carries its number there and back. One thread.
class Way {
 public:
  explicit Way(std::uint32_t value_bytes) : value_(value_bytes, 'v') {}
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  virtual ~Way() = default;

  /// One record at a time: the next when the last is reported.
  ReportTimes alone(std::size_t records) {
    return times(records, [this](std::size_t) {
      send_next();
      wait_for_all(kStuckMs);
    });
  }

  /// A record each millisecond, whatever became of those before.
  ReportTimes paced(std::size_t records) {
    const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
    const ReportTimes result = times(records, [&](std::size_t i) {
      const auto due = [&](std::size_t n) { return start + n * 1'000'000'000U / kRate; };
      sleep_until_ns(due(i));
      send_next();
      while (!all_reported() && now_ns(CLOCK_MONOTONIC) < due(i + 1)) {
        wait(1);
      }
    });
    return result;
  }

  [[nodiscard]] std::uint64_t sent() const { return sent_at_ns_.size(); }

 protected:
  /// The number comes back by on_report.
  virtual void send(std::size_t number) = 0;
  /// Waits for a report, so long at most, and reads what is there.
  virtual void wait(int milliseconds) = 0;

  void on_report(std::size_t number) {
    const std::uint64_t took = (now_ns(CLOCK_MONOTONIC) - sent_at_ns_[number]) / 1000;
    samples_.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(took, UINT32_MAX)));
    ++reported_;
  }

  std::vector<char> value_;

 private:
  template <typename OneRecord>
  ReportTimes times(std::size_t records, OneRecord one_record) {
    samples_.clear();
    for (std::size_t i = 0; i < records; ++i) {
      one_record(i);
    }
    wait_for_all(kStuckMs);
    return {percentile(samples_, 0.5), percentile(samples_, 0.99)};
  }

  void send_next() {
    sent_at_ns_.push_back(now_ns(CLOCK_MONOTONIC));
    send(sent_at_ns_.size() - 1);
  }

  void wait_for_all(int milliseconds) {
    const std::uint64_t until =
        now_ns(CLOCK_MONOTONIC) + static_cast<std::uint64_t>(milliseconds) * 1'000'000U;
    while (!all_reported()) {
      wait(milliseconds);
      if (!all_reported() && now_ns(CLOCK_MONOTONIC) > until) {
        give_up("no report for a minute");
      }
    }
  }

  [[nodiscard]] bool all_reported() const { return reported_ == sent_at_ns_.size(); }

  std::vector<std::uint64_t> sent_at_ns_;
  std::vector<std::uint32_t> samples_;
  std::size_t reported_ = 0;
};

/// Numbers travel as opaques, which are never followed; none is NULL.
void* opaque_of(std::size_t number) {
  return reinterpret_cast<void*>(number + 1);
}
std::size_t number_of(const void* opaque) {
  return reinterpret_cast<std::size_t>(opaque) - 1;
}

class KfastWay : public Way {
 public:
  KfastWay(const std::string& topic, std::uint32_t value_bytes) : Way(value_bytes) {
    std::array<char, 512> why{};
    if (kfast_producer_open(nullptr, &producer_, why.data(), why.size()) != KFAST_OK) {
      give_up(why.data());
    }
    record_.topic = kfast_topic(producer_, topic.c_str());
    record_.value = value_.data();
    record_.value_size = value_.size();
  }
  ~KfastWay() override { kfast_producer_close(producer_); }
  KfastWay(const KfastWay&) = delete;
  KfastWay& operator=(const KfastWay&) = delete;

 private:
  void send(std::size_t number) override {
    record_.opaque = opaque_of(number);
    if (kfast_send_one(producer_, &record_, 0) < 0) {
      give_up(std::string("kfast_send_one: ") + kfast_last_error(producer_));
    }
  }

  void wait(int milliseconds) override {
    pollfd fd{kfast_fd(producer_), POLLIN, 0};
    static_cast<void>(::poll(&fd, 1, milliseconds));
    const int count =
        kfast_reports_opaque(producer_, reports_.data(), opaques_.data(), reports_.size());
    if (count < 0) {
      give_up(std::string("kfast_reports_opaque: ") + kfast_last_error(producer_));
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      if (reports_[i].outcome != KFAST_DELIVERED) {
        give_up(std::string("a record was not delivered: ") + kfast_kafka_error(reports_[i].error));
      }
      on_report(number_of(opaques_[i]));
    }
  }

  kfast_producer_t* producer_ = nullptr;
  kfast_record_t record_ = KFAST_RECORD_INIT;
  std::array<kfast_report_t, 64> reports_{};
  std::array<void*, 64> opaques_{};
};

class LibrdkafkaWay : public Way {
 public:
  LibrdkafkaWay(const std::string& brokers, const std::string& topic, std::uint32_t value_bytes)
      : Way(value_bytes) {
    rd_kafka_conf_t* conf = producer_conf(brokers);
    std::array<char, 512> why{};
    if (rd_kafka_conf_set(conf, "linger.ms", kLatencyLingerMs, why.data(), why.size()) !=
        RD_KAFKA_CONF_OK) {
      give_up(why.data());
    }
    rd_kafka_conf_set_opaque(conf, this);
    rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* m, void* self) {
      if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        give_up(std::string("a record was not delivered: ") + rd_kafka_err2str(m->err));
      }
      static_cast<LibrdkafkaWay*>(self)->on_report(number_of(m->_private));
    });
    // Its threads take over how exactly this one sleeps: as kfastd's.
    static_cast<void>(::prctl(PR_SET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL));
    rk_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why.data(), why.size());
    static_cast<void>(::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL));
    if (rk_ == nullptr) {
      give_up(why.data());
    }
    topic_ = rd_kafka_topic_new(rk_, topic.c_str(), nullptr);
  }
  ~LibrdkafkaWay() override {
    rd_kafka_topic_destroy(topic_);
    rd_kafka_destroy(rk_);
  }
  LibrdkafkaWay(const LibrdkafkaWay&) = delete;
  LibrdkafkaWay& operator=(const LibrdkafkaWay&) = delete;

 private:
  void send(std::size_t number) override {
    if (rd_kafka_produce(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value_.data(),
                         value_.size(), nullptr, 0, opaque_of(number)) != 0) {
      give_up(std::string("librdkafka refuses a record: ") +
              rd_kafka_err2str(rd_kafka_last_error()));
    }
  }

  void wait(int milliseconds) override { rd_kafka_poll(rk_, milliseconds); }

  rd_kafka_t* rk_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
};

/// Returns how many records it sent.
std::uint64_t measure_way(Way& way, std::size_t records, ReportTimes& alone, ReportTimes& paced) {
  static_cast<void>(way.alone(kWarmup));
  alone = way.alone(records);
  paced = way.paced(records);
  return way.sent();
}

Latency one_run(const Options& options, std::uint32_t value_bytes, std::size_t records,
                const std::string& name, KafkaAdmin& admin) {
  const std::string topic = name + "-" + std::to_string(value_bytes);
  admin.create_topic(topic);
  Latency latency;
  latency.value_bytes = value_bytes;
  std::uint64_t sent = 0;
  {
    KfastWay way(topic, value_bytes);
    sent += measure_way(way, records, latency.kfast_alone, latency.kfast_paced);
  }
  {
    LibrdkafkaWay way(options.brokers, topic, value_bytes);
    sent += measure_way(way, records, latency.librdkafka_alone, latency.librdkafka_paced);
  }
  if (const std::uint64_t counted = admin.record_count(topic); counted != sent) {
    give_up("latency: " + std::to_string(sent) + " sent, " + std::to_string(counted) + " in Kafka");
  }
  admin.delete_topic(topic);
  return latency;
}

}  // namespace

std::vector<Latency> measure_latencies(const Options& options, KafkaAdmin& admin) {
  const DaemonProcess daemon(
      {options.kfastd, options.brokers, options.trusted, kLatencyLingerMs, {}});
  const std::size_t records = options.quick ? 1'000 : 2'000;
  std::vector<Latency> latencies;
  for (int run = 0; run < runs(options); ++run) {
    for (const std::uint32_t value_bytes : kLatencySizes) {
      const std::string name =
          "kfast-bench-latency-" + std::to_string(::getpid()) + "-" + std::to_string(run);
      latencies.push_back(one_run(options, value_bytes, records, name, admin));
    }
  }
  return latencies;
}

}  // namespace kfast::bench
