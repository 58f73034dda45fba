// When the records of a ring were sent, though the wall clock that stamped them was set since. Pure
// arithmetic, no system call.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kfast::daemon::channel {

/// Times are milliseconds since 1970, positions those of the ring. The stamps are the client's, so
/// they may be anything; a lie is about the liar's own records.
class SendTimes {
 public:
  /// Whether a timestamp may go to Kafka, which refuses whole batches for one record that is later
  /// than this (message.timestamp.after.max.ms, default one hour), and a batch holds records of
  /// several workers: so the one is refused here. librdkafka takes 0 for "now", and a record must
  /// not get another time than its worker gave it.
  [[nodiscard]] static bool is_for_kafka(std::int64_t timestamp_ms, std::int64_t now_ms) {
    return timestamp_ms > 0 && timestamp_ms <= now_ms + kMaxLeadMs;
  }

  /// The wall clock was set by `by_ms`; it would say `old_now_ms` without that. `tail`: the end of
  /// what was published before.
  void clock_went(std::int64_t old_now_ms, std::int64_t by_ms, std::uint64_t tail) {
    if (by_ms > 0) {
      sent_by_old_clock_ms_ = old_now_ms;
      forward_ms_ += by_ms;
    } else {
      set_back_to_ms_ = old_now_ms + by_ms;
      set_back_until_ = tail;
    }
  }

  /// What is before `tail` was stamped before this life, since when the clock went forward by so
  /// much. Whether it went back is not known.
  void inherited(std::int64_t now_ms, std::int64_t forward_ms, std::uint64_t tail) {
    clock_went(now_ms, 0, tail);
    if (forward_ms > 0) {
      clock_went(now_ms - forward_ms, forward_ms, tail);
    }
  }

  /// The stamp of the record at `position`. One from before the clock was set back may be of a time
  /// that had not come yet: such a record counts as sent when that was noticed.
  [[nodiscard]] std::int64_t stamp(std::int64_t sent_ms, std::uint64_t position) const {
    const bool before = static_cast<std::int64_t>(position - set_back_until_) < 0;
    return before ? std::min(sent_ms, set_back_to_ms_) : sent_ms;
  }

  /// Whether a record with this stamp has waited longer than `timeout_ms`. What the clock went
  /// forward is no waiting.
  [[nodiscard]] bool expired(std::int64_t stamp_ms, std::int64_t now_ms,
                             std::int64_t timeout_ms) const {
    const std::int64_t no_waiting = stamp_ms <= sent_by_old_clock_ms_ ? forward_ms_ : 0;
    return stamp_ms < now_ms - no_waiting - timeout_ms;
  }

 private:
  static constexpr std::int64_t kMaxLeadMs = 3'600'000;

  std::int64_t sent_by_old_clock_ms_ = INT64_MIN;  // up to here, before it went forward
  std::int64_t forward_ms_ = 0;                    // in all
  std::uint64_t set_back_until_ = 0;  // what was sent before it was set back lies before this
  std::int64_t set_back_to_ms_ = 0;
};

}  // namespace kfast::daemon::channel
