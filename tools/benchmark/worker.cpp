#include "worker.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "samples.hpp"

namespace kfast::bench {
namespace {

/// While flooding, one send in this many is timed: the clock must not become part of the rate. Odd,
/// so that it does not follow the rhythm of cache lines and batches.
constexpr std::uint64_t kTimeEvery = 13;
/// While flooding, reports are read once in so many records.
constexpr std::uint64_t kReadEvery = 512;

double clock_cost_ns() {
  std::vector<std::uint32_t> samples(10'001);
  for (auto& sample : samples) {
    const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
    sample = static_cast<std::uint32_t>(now_ns(CLOCK_MONOTONIC) - before);
  }
  return percentile(samples, 0.5);
}

/// CPU time of a process, all of its threads.
class ProcessCpu {
 public:
  explicit ProcessCpu(int pid) {
    if (pid != 0 && ::clock_getcpuclockid(pid, &clock_) != 0) {
      give_up("there is no process " + std::to_string(pid) + " whose CPU time could be read");
    }
    present_ = pid != 0;
    start();
  }
  void start() { start_ns_ = present_ ? now_ns(clock_) : 0; }
  [[nodiscard]] double us_per(std::uint64_t records) const {
    return present_ ? static_cast<double>(now_ns(clock_) - start_ns_) / 1e3 /
                          static_cast<double>(records)
                    : 0;
  }

 private:
  clockid_t clock_ = CLOCK_PROCESS_CPUTIME_ID;
  bool present_ = false;
  std::uint64_t start_ns_ = 0;
};

class Run {
 public:
  Run(Sender* sender, const Task& task) : sender_(sender), task_(task) {
    samples_.reserve(task.rate != 0 ? task.records : task.records / kTimeEvery + 1024);
  }

  void flood(std::uint64_t records, bool timed) {
    const std::uint64_t stride = sender_->stride();
    const std::uint64_t every = stride > 1 ? 1 : kTimeEvery;
    std::uint64_t until_timed = every;
    std::uint64_t unread = 0;
    while (records > 0) {
      const std::uint64_t count = std::min(records, stride);
      const bool time_it = timed && count == stride && --until_timed == 0;
      until_timed = until_timed == 0 ? every : until_timed;
      const std::uint64_t sent = time_it ? timed_send(count) : sender_->send(count);
      records -= sent;
      unread += sent;
      if (sent < count) {
        ++full_;
        sender_->read_reports();
        unread = 0;
        const std::uint64_t again = sender_->send(count - sent);
        records -= again;
        if (again == 0) {
          sender_->wait();
        }
      } else if (unread >= kReadEvery) {
        unread = 0;
        sender_->read_reports();
      }
    }
  }

  void pace(std::uint64_t records, std::uint32_t rate, bool timed) {
    const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
    for (std::uint64_t i = 0; i < records; ++i) {
      const std::uint64_t due = start + i * 1'000'000'000U / rate;
      sleep_until_ns(due);
      if (sender_ == nullptr) {
        continue;
      }
      while ((timed ? timed_send(1) : sender_->send(1)) == 0) {
        ++full_;
        sender_->read_reports();
        sender_->wait();
      }
      if (i % 32 == 31) {
        sender_->read_reports();
      }
    }
  }

  void settle(std::uint64_t delivered) {
    if (sender_ == nullptr) {
      return;
    }
    sender_->finish();
    while (sender_->delivered() < delivered) {
      sender_->read_reports();
      if (sender_->delivered() < delivered) {
        sender_->wait();
      }
    }
  }

  void fill(Measurement& m) {
    const double per = sender_ != nullptr ? static_cast<double>(sender_->stride()) : 1;
    m.send_p50_ns = percentile(samples_, 0.5) / per;
    m.send_p99_ns = percentile(samples_, 0.99) / per;
    m.clock_ns = clock_cost_ns() / per;
    m.full = full_;
  }

 private:
  /// Refused sends are not counted: they cost what a look costs.
  std::uint64_t timed_send(std::uint64_t count) {
    const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
    const std::uint64_t sent = sender_->send(count);
    const std::uint64_t took = now_ns(CLOCK_MONOTONIC) - before;
    if (sent == count) {
      samples_.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(took, UINT32_MAX)));
    }
    return sent;
  }

  Sender* sender_;
  const Task& task_;
  std::vector<std::uint32_t> samples_;
  std::uint64_t full_ = 0;
};

std::unique_ptr<Sender> make_sender(const Task& task) {
  switch (task.variant) {
    case Variant::kfast:
      return make_kfast_sender(task);
    case Variant::produce:
      return make_produce_sender(task);
    case Variant::produce_batch:
      return make_produce_batch_sender(task);
    case Variant::ring:
      return make_ring_sender(task);
    case Variant::pacing:
      return nullptr;
  }
  give_up("no such variant");
}

}  // namespace

void give_up(const std::string& why) {
  std::fprintf(stderr, "kfast-bench: %s\n", why.c_str());
  std::exit(EXIT_FAILURE);
}

Measurement run_task(const Task& task) {
  const std::unique_ptr<Sender> sender = make_sender(task);
  // Sleeps of the pacing loop end when they are asked to, not up to 50 us later. Set after the
  // sender has started its threads, which would inherit it: librdkafka's sleep as they do in
  // kfastd.
  static_cast<void>(::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL));
  Run run(sender.get(), task);
  if (sender && task.warmup > 0) {
    run.flood(task.warmup, false);
    run.settle(task.warmup);
  }
  ProcessCpu daemon(task.daemon_pid);
  const std::uint64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  if (task.rate == 0) {
    run.flood(task.records, true);
  } else {
    run.pace(task.records, task.rate, true);
  }
  run.settle(task.warmup + task.records);
  Measurement m;
  m.seconds = static_cast<double>(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
  m.worker_cpu_us = static_cast<double>(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e3 /
                    static_cast<double>(task.records);
  m.daemon_cpu_us = daemon.us_per(task.records);
  m.sent = sender ? task.warmup + task.records : 0;
  m.delivered = sender ? sender->delivered() : 0;
  run.fill(m);
  return m;
}

}  // namespace kfast::bench
