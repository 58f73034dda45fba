// A kfast producer of the benchmark, whose every record must be delivered.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "kfast/kfast.h"

namespace kfast::bench {

/// Anything but a delivery, and a minute without any report, end the process with a sentence. One
/// thread at a time.
class DeliveringProducer {
 public:
  explicit DeliveringProducer(const std::string& ring_bytes);
  ~DeliveringProducer() { kfast_producer_close(producer_); }
  DeliveringProducer(const DeliveringProducer&) = delete;
  DeliveringProducer& operator=(const DeliveringProducer&) = delete;

  [[nodiscard]] kfast_producer_t* get() const { return producer_; }
  [[nodiscard]] std::int32_t topic(const std::string& name) const;

  /// Whether an answer of a send says that it was accepted; false: the ring is full.
  [[nodiscard]] bool accepted(std::int64_t answer) const {
    if (answer >= 0) [[likely]] {
      return true;
    }
    if (answer != KFAST_ERR_QUEUE_FULL) {
      refused();
    }
    return false;
  }

  /// Reads all reports that are there; `on_run` gets them in spans, in order.
  template <typename OnRun>
  void read_reports(OnRun&& on_run) {
    std::span<const kfast_report_t> run;
    do {
      run = next_reports();
      on_run(run);
    } while (run.size() == reports_.size());
  }

  /// Waits until kfastd has made progress.
  void wait() const;

 private:
  [[noreturn]] void refused() const;
  [[nodiscard]] std::span<const kfast_report_t> next_reports();

  kfast_producer_t* producer_ = nullptr;
  std::array<kfast_report_t, 1024> reports_{};
};

}  // namespace kfast::bench
