#include "delivering_producer.hpp"

#include <poll.h>

#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr int kStuckMs = 60'000;

}  // namespace

DeliveringProducer::DeliveringProducer(const std::string& ring_bytes) {
  std::array<char, 512> why{};
  kfast_options_t* options = kfast_options_new();
  if (kfast_options_set(options, "ring.bytes", ring_bytes.c_str(), why.data(), why.size()) !=
          KFAST_OK ||
      kfast_producer_open(options, &producer_, why.data(), why.size()) != KFAST_OK) {
    give_up(why.data());
  }
  kfast_options_free(options);
}

std::int32_t DeliveringProducer::topic(const std::string& name) const {
  const std::int32_t number = kfast_topic(producer_, name.c_str());
  if (number < 0) {
    give_up(kfast_last_error(producer_));
  }
  return number;
}

void DeliveringProducer::refused() const {
  give_up(std::string("libkfast refuses a record: ") + kfast_last_error(producer_));
}

std::span<const kfast_report_t> DeliveringProducer::next_reports() {
  const int count = kfast_reports(producer_, reports_.data(), reports_.size());
  if (count < 0) {
    give_up(std::string("kfast_reports: ") + kfast_last_error(producer_));
  }
  const std::span<const kfast_report_t> run(reports_.data(), static_cast<std::size_t>(count));
  for (const kfast_report_t& report : run) {
    if (report.outcome != KFAST_DELIVERED) {
      give_up(std::string("a record was not delivered: ") + kfast_kafka_error(report.error));
    }
  }
  return run;
}

void DeliveringProducer::wait() const {
  pollfd fd{kfast_fd(producer_), POLLIN, 0};
  if (::poll(&fd, 1, kStuckMs) == 0) {
    give_up("kfast: no report for a minute");
  }
}

}  // namespace kfast::bench
