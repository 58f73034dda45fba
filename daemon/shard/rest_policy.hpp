// Whether a shard that has looked at all its channels goes on, naps or sleeps. Pure arithmetic, no
// clock, no system call.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kfast::daemon::shard {

enum class Rest : std::uint8_t { none, nap, sleep };

/// What a nap would be.
struct Nap {
  std::uint32_t us = 0;       // 0: there are none
  bool until_answer = false;  // Kafka's next answer ends it, whether a client waits for that or not
};

/// Decides after each round. A nap costs the daemon a timer and saves workers a wake-up each; so it
/// pays while records come at least about as often as naps end. The longer naps are, the fewer of
/// them there are, and a wake-up costs as much as dozens of records; half of what a record lingers
/// in librdkafka anyway is what it may wait before.
///
/// Where a profile wants no linger, records that come while others are on their way go together at
/// Kafka's next answer, as group commits do: requests get fewer, so each is answered sooner. A few
/// may be on their way without that, or one worker's next record would wait for its last one's
/// answer. With more, an idempotent librdkafka makes no request for their partition anyway
/// (rd_kafka_toppar_producer_serve: five records), and polls without a pause until it may. Where
/// what is on its way stays there, as with a partition that has no leader, and few come, that would
/// only delay them: then it is tried again now and then.
class RestPolicy {
 public:
  struct Limits {
    std::uint32_t nap_us = 2500;  // no nap is longer; 0: never nap
    std::uint32_t spin_rounds =
        50;  // empty rounds, of about a microsecond each, before sleep where napping is out
  };
  explicit RestPolicy(Limits limits) : limits_(limits) {}

  /// The nap where all active channels' profiles linger, `linger_ms` at least.
  [[nodiscard]] Nap nap(std::int64_t linger_ms) const {
    return {static_cast<std::uint32_t>(std::min<std::int64_t>(limits_.nap_us, linger_ms * 500)),
            false};
  }

  /// The nap where some do not linger, each with `in_flight` records or more on their way, and the
  /// others linger `linger_ms` at least.
  [[nodiscard]] Nap gather(std::int64_t linger_ms, std::uint64_t in_flight) const {
    return in_flight < kWorthGathering || limits_.nap_us == 0 ? Nap{}
                                                              : Nap{nap(linger_ms).us, true};
  }

  /// Whether a nap that no answer ended was worth its time, by the records that came in it.
  [[nodiscard]] bool gathering_paid(std::uint64_t records) const {
    return records >= kWorthGathering;
  }

  /// `records` were taken in the round; `more` says that some could be taken at once.
  [[nodiscard]] Rest decide(std::uint64_t records, bool more, Nap nap) {
    empty_rounds_ = records == 0 ? empty_rounds_ + 1 : 0;
    if (more) {
      return Rest::none;
    }
    if (nap.until_answer) {
      return Rest::nap;
    }
    if (nap.us == 0) {
      return empty_rounds_ < limits_.spin_rounds ? Rest::none : Rest::sleep;
    }
    // An average over about the last eight rounds, in 1/16 records. Bursts count for no more than
    // 64 records, so that the shard stops napping within milliseconds after them.
    const std::uint64_t counted = records < 64 ? records : 64;
    average_ = average_ - average_ / 8 + counted * 2;
    return average_ >= kWorthNapping ? Rest::nap : Rest::sleep;
  }

  /// Whether a nap that begins now is to end when Kafka has answered; `asked` says that a client
  /// waits for that. Else the reports wait for the nap's end, which saves a wake-up per request.
  /// Where clients wait every now and then, it is to end for some time: changing over has its price.
  [[nodiscard]] bool answers_end_nap(bool asked) {
    unasked_naps_ = asked ? 0 : std::min(unasked_naps_ + 1, kUnaskedNaps);
    return unasked_naps_ < kUnaskedNaps;
  }

 private:
  static constexpr std::uint64_t kWorthNapping = 8;  // half a record per round
  static constexpr std::uint32_t kUnaskedNaps = 64;
  static constexpr std::uint64_t kWorthGathering = 4;

  Limits limits_;
  std::uint64_t average_ = 0;
  std::uint32_t empty_rounds_ = 0;
  std::uint32_t unasked_naps_ = 0;
};

}  // namespace kfast::daemon::shard
