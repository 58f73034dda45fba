// Sending to one topic or many, and timing each record from its send to its report where that is wanted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "samples.hpp"
#include "side.hpp"

namespace kfast::bench {

/// What a sender is made of.
struct SenderSettings {
  Side side = Side::kfast;
  std::vector<std::string> topics;
  std::uint32_t value_bytes = 100;
  std::string ring_bytes;  // kfast's option, with a suffix
  std::string brokers;     // librdkafka's
  std::string linger_ms;   // librdkafka's; empty: the common setting
  std::string queue_messages =
      {};  // librdkafka's queue.buffering.max.messages; empty: the common one
};

/// One way of sending, with null keys. One thread. Failures end the process.
class TopicSender {
 public:
  TopicSender() = default;
  TopicSender(const TopicSender&) = delete;
  TopicSender& operator=(const TopicSender&) = delete;
  virtual ~TopicSender() = default;

  /// `topic`: its place in the list. False: no room now.
  virtual bool send(std::size_t topic) = 0;
  /// Reads the reports that are there.
  virtual void read_reports() = 0;
  /// Waits until there may be room, or reports.
  virtual void wait() = 0;
  /// Becomes readable when there is something to do; -1 where there is no such descriptor.
  [[nodiscard]] virtual int fd() const = 0;

  /// Waits until so many are reported in all.
  void wait_reported(std::uint64_t count) {
    for (read_reports(); reported_ < count; read_reports()) {
      wait();
    }
  }
  /// From now on records are timed; about so many are expected. Nothing may be in flight.
  void time_records(std::uint64_t count) {
    times_.reserve(count);
    timed_ = true;
    on_timed();
  }
  /// Microseconds from send to report, of those that were timed.
  [[nodiscard]] std::vector<std::uint32_t> take_times() { return std::exchange(times_, {}); }

 protected:
  /// The time of a send or a report; 0 where it is not wanted.
  [[nodiscard]] std::uint64_t now() const { return timed_ ? now_ns(CLOCK_MONOTONIC) : 0; }
  [[nodiscard]] bool timed() const { return timed_; }
  void reported(std::uint64_t sent_ns, std::uint64_t now) {
    ++reported_;
    if (timed_) {
      times_.push_back(static_cast<std::uint32_t>((now - sent_ns) / 1000));
    }
  }

 private:
  virtual void on_timed() {}

  bool timed_ = false;
  std::uint64_t reported_ = 0;
  std::vector<std::uint32_t> times_;
};

/// `settings.side` is not `none`.
[[nodiscard]] std::unique_ptr<TopicSender> make_topic_sender(const SenderSettings& settings);

}  // namespace kfast::bench
