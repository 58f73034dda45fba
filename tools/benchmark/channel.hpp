// A producer of the benchmark's own process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "delivering_producer.hpp"

namespace kfast::bench {

/// A producer whose every record must be delivered: anything else ends the process. One thread at a
/// time.
class Channel {
 public:
  Channel(const std::string& topic, const char* ring_bytes, std::uint32_t value_bytes);

  /// False: the ring is full.
  bool send();
  void read_reports();
  /// Waits until so many records are reported in all.
  void wait_reported(std::uint64_t count);
  /// Waits until everything is reported.
  void settle() { wait_reported(sent_); }

  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t reported() const { return reported_; }

 private:
  std::vector<char> value_;
  DeliveringProducer producer_;
  std::int32_t topic_;
  std::uint64_t sent_ = 0;
  std::uint64_t reported_ = 0;
};

}  // namespace kfast::bench
