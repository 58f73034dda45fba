// The worker process: sends a task's records and times the sends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "give_up.hpp"
#include "measurement.hpp"

namespace kfast::bench {

/// One way of sending. One thread. Failures end the process with a sentence on stderr: a benchmark
/// that lost something has measured nothing.
class Sender {
 public:
  Sender() = default;
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  virtual ~Sender() = default;

  /// Sends up to `count` records of the task's kind; returns how many were accepted, 0 when there
  /// is no room now.
  virtual std::uint64_t send(std::uint64_t count) = 0;
  /// Records that one send() should be asked for.
  [[nodiscard]] virtual std::uint64_t stride() const { return 1; }
  /// Reads the reports that are there.
  virtual void read_reports() = 0;
  /// Waits until there may be room, or reports.
  virtual void wait() = 0;
  /// Reported as delivered so far.
  [[nodiscard]] virtual std::uint64_t delivered() const = 0;
};

[[nodiscard]] std::unique_ptr<Sender> make_kfast_sender(const Task& task);
[[nodiscard]] std::unique_ptr<Sender> make_librdkafka_sender(const Task& task);
[[nodiscard]] std::unique_ptr<Sender> make_ring_sender(const Task& task);

/// Does the task in this process.
[[nodiscard]] Measurement run_task(const Task& task);

}  // namespace kfast::bench
