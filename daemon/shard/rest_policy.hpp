// Whether a shard that has looked at all its channels goes on, naps or sleeps. Pure arithmetic, no
// clock, no system call.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kfast::daemon::shard {

enum class Rest : std::uint8_t { none, nap, sleep };

/// Decides after each round. A nap costs the daemon a timer and saves workers a wake-up each; so it
/// pays while records come at least about as often as naps end, and never where a profile wants no
/// linger. The longer naps are, the fewer of them there are, and a wake-up costs as much as dozens
/// of records; half of what a record lingers in librdkafka anyway is what it may wait before.
class RestPolicy {
 public:
  struct Limits {
    std::uint32_t nap_us = 2500;  // no nap is longer; 0: never nap
    std::uint32_t spin_rounds =
        50;  // empty rounds, of about a microsecond each, before sleep where napping is out
  };
  explicit RestPolicy(Limits limits) : limits_(limits) {}

  /// How long naps are where the active channels' profiles linger so long at least, in ms; 0: there
  /// are none.
  [[nodiscard]] std::uint32_t nap_us(std::int64_t linger_ms) const {
    return static_cast<std::uint32_t>(
        std::min<std::int64_t>(limits_.nap_us, std::max<std::int64_t>(0, linger_ms) * 500));
  }

  /// `records` were taken in the round; `more` says that some could be taken at once; `nap_us` is
  /// how long a nap would be, 0 where there are none.
  [[nodiscard]] Rest decide(std::uint64_t records, bool more, std::uint32_t nap_us) {
    empty_rounds_ = records == 0 ? empty_rounds_ + 1 : 0;
    if (more) {
      return Rest::none;
    }
    if (nap_us == 0) {
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

  Limits limits_;
  std::uint64_t average_ = 0;
  std::uint32_t empty_rounds_ = 0;
  std::uint32_t unasked_naps_ = 0;
};

}  // namespace kfast::daemon::shard
