#include "worker.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "samples.hpp"
#include "worker_cpu.hpp"

namespace kfast::bench {
namespace {

/// While flooding, one send in this many is timed: the clock must not become part of the rate. Odd,
/// so that it does not follow the rhythm of cache lines and batches.
constexpr std::uint64_t kTimeEvery = 13;
/// And once in so many turns a stretch of sends is timed as one: the clock ticks in 10 ns on some
/// machines, which is a third of a send.
constexpr std::uint64_t kStretchEvery = 499;
constexpr std::uint64_t kStretch = 16;
/// Reports are read once in so many records.
constexpr std::uint64_t kReadEvery = 512;
constexpr std::uint64_t kReadEveryPaced = 32;
/// Above this rate, a paced worker does not sleep between records.
constexpr std::uint64_t kSleepsPerSecond = 20'000;
/// Paced, one record in so many is metered instead of timed: reading the CPU clock costs more than
/// a send, and reading the other would be metered. Odd, so that it meets the reading of reports as
/// often as others.
constexpr std::uint64_t kMeterEvery = 13;

double clock_cost_ns() {
  std::vector<std::uint32_t> samples(10'001);
  double sum = 0;
  for (auto& sample : samples) {
    const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
    sample = static_cast<std::uint32_t>(now_ns(CLOCK_MONOTONIC) - before);
  }
  std::sort(samples.begin(), samples.end());
  // The mean without the tails is finer than the clock's ticks.
  const auto from = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 20);
  const auto to = samples.end() - static_cast<std::ptrdiff_t>(samples.size() / 20);
  std::for_each(from, to, [&](std::uint32_t sample) { sum += sample; });
  return sum / static_cast<double>(to - from);
}

class Run {
 public:
  Run(Sender& sender, const Task& task) : sender_(sender), task_(task) {
    samples_.reserve(task.rate != 0 ? task.records : task.records / kTimeEvery + 1024);
    stretches_.reserve(task.records / kStretchEvery + 1024);
  }

  void flood(std::uint64_t records, bool timed) {
    const std::uint64_t stride = sender_.stride();
    std::uint64_t unread = 0;
    while (records > 0) {
      const std::uint64_t count = std::min(records, stride);
      const std::uint64_t sent = timed ? timed_turn(count, records) : sender_.send(count);
      records -= sent;
      unread += sent;
      if (sent < count) {
        ++full_;
        sender_.read_reports();
        unread = 0;
        const std::uint64_t again = sender_.send(count - sent);
        records -= again;
        if (again == 0) {
          sender_.wait();
        }
      } else if (unread >= kReadEvery) {
        unread = 0;
        sender_.read_reports();
      }
    }
  }

  void pace(PacedCpu& cpu) {
    const bool sleeps = task_.rate <= kSleepsPerSecond;
    const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
    for (std::uint64_t i = 0; i < task_.records; ++i) {
      wait_until(start + i * 1'000'000'000U / task_.rate, sleeps);
      const bool metered = i % kMeterEvery == kMeterEvery - 1;
      if (metered) {
        cpu.before_calls();
      }
      send_one(!metered);
      if (i % kReadEveryPaced == kReadEveryPaced - 1) {
        sender_.read_reports();
      }
      if (metered) {
        cpu.after_calls();
      }
    }
  }

  void settle(std::uint64_t delivered) {
    while (sender_.delivered() < delivered) {
      sender_.read_reports();
      if (sender_.delivered() < delivered) {
        sender_.wait();
      }
    }
  }

  void fill(Measurement& m) {
    const auto per = static_cast<double>(sender_.stride());
    const double clock = clock_cost_ns();
    m.send_p50_ns = percentile(samples_, 0.5) / per;
    m.send_p99_ns = percentile(samples_, 0.99) / per;
    m.clock_ns = clock;
    if (!stretches_.empty()) {
      m.net_ns = (percentile(stretches_, 0.5) - clock) / kStretch;
    } else if (sender_.stride() > 1) {
      m.net_ns = m.send_p50_ns - clock / per;
    }
    m.full = full_;
  }

 private:
  /// A send, a timed send, or a timed stretch of sends. `count` 1: of one record each.
  std::uint64_t timed_turn(std::uint64_t count, std::uint64_t left) {
    if (sender_.stride() > 1) {
      return count == sender_.stride() ? timed_send(count) : sender_.send(count);
    }
    if (--until_stretch_ == 0) {
      until_stretch_ = kStretchEvery;
      return left >= kStretch ? timed_stretch() : sender_.send(1);
    }
    if (--until_timed_ == 0) {
      until_timed_ = kTimeEvery;
      return timed_send(1);
    }
    return sender_.send(1);
  }

  /// Refused sends are not counted: they cost what a look costs.
  std::uint64_t timed_send(std::uint64_t count) {
    const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
    const std::uint64_t sent = sender_.send(count);
    const std::uint64_t took = now_ns(CLOCK_MONOTONIC) - before;
    if (sent == count) {
      samples_.push_back(in_32_bits(took));
    }
    return sent;
  }

  std::uint64_t timed_stretch() {
    const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
    std::uint64_t sent = 0;
    while (sent < kStretch && sender_.send(1) == 1) {
      ++sent;
    }
    const std::uint64_t took = now_ns(CLOCK_MONOTONIC) - before;
    if (sent == kStretch) {
      stretches_.push_back(in_32_bits(took));
    }
    return sent;
  }

  void send_one(bool timed) {
    while ((timed ? timed_send(1) : sender_.send(1)) == 0) {
      ++full_;
      sender_.read_reports();
      sender_.wait();
    }
  }

  static void wait_until(std::uint64_t due, bool sleeps) {
    if (sleeps) {
      sleep_until_ns(due);
    }
    while (now_ns(CLOCK_MONOTONIC) < due) {
    }
  }

  static std::uint32_t in_32_bits(std::uint64_t ns) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(ns, UINT32_MAX));
  }

  Sender& sender_;
  const Task& task_;
  std::vector<std::uint32_t> samples_;
  std::vector<std::uint32_t> stretches_;
  std::uint64_t until_timed_ = kTimeEvery;
  std::uint64_t until_stretch_ = kStretchEvery;
  std::uint64_t full_ = 0;
};

std::unique_ptr<Sender> make_sender(const Task& task) {
  if (task.variant == Variant::ring) {
    return make_ring_sender(task);
  }
  return is_kfast(task.variant) ? make_kfast_sender(task) : make_librdkafka_sender(task);
}

}  // namespace

Measurement run_task(const Task& task) {
  const std::unique_ptr<Sender> sender = make_sender(task);
  // Sleeps of the pacing loop end when they are asked to, not up to 50 us later. Set after the
  // sender has started its threads, which would inherit it: librdkafka's sleep as they do in
  // kfastd.
  static_cast<void>(::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL));
  Run run(*sender, task);
  if (task.warmup > 0) {
    run.flood(task.warmup, false);
    run.settle(task.warmup);
  }
  const auto per_record_us = [&](double ns) {
    return ns / 1e3 / static_cast<double>(task.records);
  };
  const ProcessCpu daemon(task.daemon_pid);
  const std::uint64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  PacedCpu paced_cpu;
  const std::uint64_t start = now_ns(CLOCK_MONOTONIC);
  if (task.rate == 0) {
    run.flood(task.records, true);
  } else {
    run.pace(paced_cpu);
  }
  run.settle(task.warmup + task.records);
  Measurement m;
  m.seconds = static_cast<double>(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
  if (task.rate == 0) {
    m.worker_cpu_us = per_record_us(static_cast<double>(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu));
  } else {
    m.worker_cpu_us = per_record_us(paced_cpu.ns(static_cast<double>(task.records)));
  }
  m.daemon_cpu_us = per_record_us(daemon.ns());
  m.sent = task.warmup + task.records;
  m.delivered = sender->delivered();
  run.fill(m);
  return m;
}

}  // namespace kfast::bench
