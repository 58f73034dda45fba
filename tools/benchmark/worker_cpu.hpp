// CPU time of the worker and of kfastd.
#pragma once

#include <ctime>
#include <string>

#include "samples.hpp"
#include "worker.hpp"

namespace kfast::bench {

/// CPU time of a process, all of its threads, from the construction on.
class ProcessCpu {
 public:
  /// `pid` 0: nobody's, which is none.
  explicit ProcessCpu(int pid) {
    if (pid != 0 && ::clock_getcpuclockid(pid, &clock_) != 0) {
      give_up("there is no process " + std::to_string(pid) + " whose CPU time could be read");
    }
    present_ = pid != 0;
    start_ns_ = present_ ? now_ns(clock_) : 0;
  }
  [[nodiscard]] double ns() const {
    return present_ ? static_cast<double>(now_ns(clock_) - start_ns_) : 0;
  }

 private:
  clockid_t clock_ = CLOCK_PROCESS_CPUTIME_ID;
  bool present_ = false;
  std::uint64_t start_ns_ = 0;
};

/// What a paced worker's sends cost it. How it waits for the next record's time is the benchmark's
/// own business and costs many times a send, so of the sending thread only the calls count, those of
/// some records for all; of the process's other threads, which are librdkafka's, everything.
class PacedCpu {
 public:
  /// Around the calls for one record. The first read is slow where the thread has slept; the next
  /// two have nothing between them and say what a read costs here and now.
  void before_calls() {
    static_cast<void>(now_ns(CLOCK_THREAD_CPUTIME_ID));
    const std::uint64_t nothing = now_ns(CLOCK_THREAD_CPUTIME_ID);
    before_ns_ = now_ns(CLOCK_THREAD_CPUTIME_ID);
    read_ns_ = before_ns_ - nothing;
  }
  void after_calls() {
    calls_ns_ += static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - before_ns_) -
                 static_cast<double>(read_ns_);
    ++metered_;
  }

  /// For so many records, since the construction, which the sending thread did.
  [[nodiscard]] double ns(double records) const {
    const auto process = static_cast<double>(now_ns(CLOCK_PROCESS_CPUTIME_ID) - process_ns_);
    const auto thread = static_cast<double>(now_ns(CLOCK_THREAD_CPUTIME_ID) - thread_ns_);
    return process - thread + (metered_ > 0 ? calls_ns_ / metered_ * records : 0);
  }

 private:
  std::uint64_t process_ns_ = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  std::uint64_t thread_ns_ = now_ns(CLOCK_THREAD_CPUTIME_ID);
  std::uint64_t before_ns_ = 0;
  std::uint64_t read_ns_ = 0;
  double calls_ns_ = 0;
  double metered_ = 0;
};

}  // namespace kfast::bench
