// Records and bytes per second, by token buckets.
#pragma once

#include <cstdint>

namespace kfast::daemon::policy {

/// The two buckets of one principal on one shard. Each holds a second's worth at most and starts
/// full. What passes may exceed what is there by the last record, so that a record larger than the
/// bucket passes too; the debt is paid before the next. Belongs to one thread; no system calls.
class RateLimit {
 public:
  /// How much may pass now. `again_ns` is when to look again if that is nothing, on the caller's
  /// clock; 0 if something may pass.
  struct Budget {
    std::uint64_t records;
    std::uint64_t bytes;
    std::uint64_t again_ns;
  };

  /// Per second; 0 is unlimited (and a Budget then says UINT64_MAX).
  RateLimit(std::uint64_t records_per_second, std::uint64_t bytes_per_second);

  /// `now_ns` from any monotonic clock; a time before the last one counts as the last one.
  Budget budget(std::uint64_t now_ns);
  /// Pays for what has passed since budget().
  void spend(std::uint64_t records, std::uint64_t bytes);
  /// All or nothing: pays and returns a Budget with again_ns = 0 if so much may pass now (the last
  /// record on credit), else says what may pass and when to look again.
  Budget allow(std::uint64_t records, std::uint64_t bytes, std::uint64_t now_ns);

 private:
  struct Bucket {
    double rate;    // per second; 0 is unlimited
    double tokens;  // negative: debt

    void refill(double seconds);
    [[nodiscard]] std::uint64_t available() const;
    [[nodiscard]] bool has(std::uint64_t amount) const;
    [[nodiscard]] double seconds_until(std::uint64_t amount) const;
    void spend(std::uint64_t amount);
  };
  [[nodiscard]] std::uint64_t time_of(std::uint64_t records, std::uint64_t bytes) const;

  Bucket records_;
  Bucket bytes_;
  std::uint64_t last_ns_ = 0;
  bool started_ = false;
};

}  // namespace kfast::daemon::policy
