// How long records of many topics stay in their rings, so that librdkafka makes few requests of
// them. Pure arithmetic, no clock.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kfast::daemon::kafka {

/// librdkafka puts one partition into a request, and looks at all partitions that a producer knows
/// before it makes the next one (rd_kafka_broker_produce_toppars; an idempotent producer may have
/// one request at a time that is not sent yet). So its work grows with requests times partitions,
/// unless each request carries more records: with many topics, only waiting brings that about. The
/// wait is as long as it takes for this work to fit into an eighth of a processor; there is none
/// where it fits anyway.
///
/// Windows follow each other: in each, records stay in their rings first, and then are taken until
/// there are none. The requests that ended in one say how long records stay in the next. One thread:
/// the shard's.
class RingLinger {
 public:
  struct Limits {
    std::int64_t linger_ms = 0;  // a window is no shorter; 0: records never stay
    std::int64_t most_ms = 0;    // that records stay; 0: never
    /// From a record's send to its outcome; 0: no limit. What it stays is at most a quarter of it.
    std::int64_t delivery_timeout_ms = 0;
  };
  explicit RingLinger(Limits limits) : limits_(limits) {
    if (limits.delivery_timeout_ms != 0) {
      limits_.most_ms = std::min(limits.most_ms, limits.delivery_timeout_ms / 4);
    }
  }

  /// Whether records stay in their rings at this time, in ms of a clock that never goes back.
  [[nodiscard]] bool holds(std::int64_t now_ms) const { return now_ms < until_ms_; }
  [[nodiscard]] std::int64_t until_ms() const { return until_ms_; }
  /// How long they stay in this window, in all.
  [[nodiscard]] std::int64_t length_ms() const { return until_ms_ - began_ms_; }

  /// The time that partitions are chosen by. It stands still while records go out that stayed, for as
  /// long as they did, so that a topic's go to one partition, in one request.
  [[nodiscard]] std::int64_t partition_ms(std::int64_t now_ms) const {
    return now_ms >= until_ms_ && now_ms - until_ms_ < until_ms_ - began_ms_ ? until_ms_ : now_ms;
  }

  /// A batch of one partition has its outcome.
  void request_ended() { ++requests_; }

  /// Whether a window is over, given that the rings have nothing more to take at once.
  [[nodiscard]] bool is_over(std::int64_t now_ms) const {
    return limits_.most_ms > limits_.linger_ms && limits_.linger_ms > 0 &&
           now_ms - taken_since() >= limits_.linger_ms;
  }

  /// Begins the next window. `partitions`: of each of librdkafka's producers.
  void next(std::int64_t now_ms, std::uint64_t partitions) {
    const std::uint64_t work_ns = requests_ * (kRequestNs + partitions * kPartitionNs);
    const auto wait_ms = static_cast<std::int64_t>(std::min<std::uint64_t>(
        work_ns * kShare / 1'000'000U, static_cast<std::uint64_t>(limits_.most_ms)));
    const bool pays = wait_ms > std::max(now_ms - taken_since(), limits_.linger_ms);
    until_ms_ = pays ? now_ms + wait_ms : now_ms;
    began_ms_ = now_ms;
    requests_ = 0;
  }

 private:
  /// A request and its answer, and a look at a partition, in librdkafka 2.8.0 on a processor of our
  /// day. A processor that is half as fast has twice the share of it.
  static constexpr std::uint64_t kRequestNs = 40'000;
  static constexpr std::uint64_t kPartitionNs = 50;
  static constexpr std::uint64_t kShare = 8;

  [[nodiscard]] std::int64_t taken_since() const { return std::max(began_ms_, until_ms_); }

  Limits limits_;
  std::int64_t began_ms_ = 0;
  std::int64_t until_ms_ = 0;
  std::uint64_t requests_ = 0;
};

}  // namespace kfast::daemon::kafka
