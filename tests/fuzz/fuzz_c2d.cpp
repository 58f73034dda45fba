// The whole c2d image against the real channel, with a second thread that changes it under the
// daemon's hands.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>

#include "c2d_run.hpp"

namespace {

namespace telemetry = kfast::daemon::telemetry;

/// A thread that writes words into memory it is lent, and has stopped doing so when it is taken
/// back.
class Scribbler {
 public:
  Scribbler() : thread_([this] { run(); }) {}
  Scribbler(const Scribbler&) = delete;
  Scribbler& operator=(const Scribbler&) = delete;
  ~Scribbler() = delete;  // its thread lives as long as the process

  void lend(std::span<std::byte> memory, std::uint64_t seed) {
    const std::lock_guard lock(mutex_);
    memory_ = memory;
    seed_ = seed | 1U;
    stop_ = false;
    changed_.notify_all();
  }
  void take_back() {
    stop_ = true;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return memory_.empty(); });
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !memory_.empty(); });
      do {
        for (int i = 0; i < 64; ++i) {
          write_one();
        }
      } while (!stop_);
      memory_ = {};
      changed_.notify_all();
    }
  }
  void write_one() {
    seed_ ^= seed_ << 13U;
    seed_ ^= seed_ >> 7U;
    seed_ ^= seed_ << 17U;
    auto* words = reinterpret_cast<std::atomic<std::uint32_t>*>(memory_.data());
    // Small numbers and bits of what stands there get further than noise.
    auto& word = words[(seed_ >> 32U) % (memory_.size() / sizeof(std::uint32_t))];
    const auto value = static_cast<std::uint32_t>(seed_);
    word.store((seed_ & 1U) != 0 ? word.load(std::memory_order_relaxed) ^ (1U << (value >> 27U))
                                 : value % 4096U,
               std::memory_order_relaxed);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::span<std::byte> memory_;
  std::uint64_t seed_ = 1;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

telemetry::TopicBlock& topic_stats() {
  static auto made = telemetry::StatsSegment::create({.version = "fuzz"});
  static telemetry::TopicBlock block = made.segment->topic_block("main", "topic", "fuzz");
  return block;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto* scribbler = new Scribbler;
  kfast::fuzz::Input input(data, size);
  kfast::fuzz::C2dRun run(topic_stats(), input);
  if (run.wants_scribbler()) {
    scribbler->lend(run.client_memory(), size * 0x9E3779B97F4A7C15U);
    run.run();
    scribbler->take_back();
  } else {
    run.run();
  }
  return 0;
}
