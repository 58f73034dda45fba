#include "policy/rate_limit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kfast::daemon::policy {
namespace {

constexpr double ns_per_second = 1e9;
constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

}  // namespace

void RateLimit::Bucket::refill(double seconds) {
  tokens = std::min(rate, tokens + rate * seconds);
}

std::uint64_t RateLimit::Bucket::available() const {
  if (rate == 0) {
    return unlimited;
  }
  return tokens < 1 ? 0 : static_cast<std::uint64_t>(tokens);
}

// More than the bucket holds passes when it is full.
bool RateLimit::Bucket::has(std::uint64_t amount) const {
  return rate == 0 || tokens >= std::min(static_cast<double>(amount), rate);
}

double RateLimit::Bucket::seconds_until(std::uint64_t amount) const {
  if (has(amount)) {
    return 0;
  }
  return (std::min(static_cast<double>(amount), rate) - tokens) / rate;
}

void RateLimit::Bucket::spend(std::uint64_t amount) {
  if (rate != 0) {
    tokens -= static_cast<double>(amount);
  }
}

RateLimit::RateLimit(std::uint64_t records_per_second, std::uint64_t bytes_per_second)
    : records_{static_cast<double>(records_per_second), static_cast<double>(records_per_second)},
      bytes_{static_cast<double>(bytes_per_second), static_cast<double>(bytes_per_second)} {}

std::uint64_t RateLimit::time_of(std::uint64_t records, std::uint64_t bytes) const {
  const double seconds = std::max(records_.seconds_until(records), bytes_.seconds_until(bytes));
  // At least one: waiting until "now" would be a spin.
  const double wait = std::max(1.0, std::ceil(seconds * ns_per_second));
  return last_ns_ + static_cast<std::uint64_t>(wait);
}

RateLimit::Budget RateLimit::budget(std::uint64_t now_ns) {
  if (started_ && now_ns > last_ns_) {
    const double seconds = static_cast<double>(now_ns - last_ns_) / ns_per_second;
    records_.refill(seconds);
    bytes_.refill(seconds);
  }
  last_ns_ = started_ ? std::max(last_ns_, now_ns) : now_ns;
  started_ = true;
  Budget now{records_.available(), bytes_.available(), 0};
  if (now.records == 0 || now.bytes == 0) {
    now.again_ns = time_of(1, 1);
  }
  return now;
}

void RateLimit::spend(std::uint64_t records, std::uint64_t bytes) {
  records_.spend(records);
  bytes_.spend(bytes);
}

RateLimit::Budget RateLimit::allow(std::uint64_t records, std::uint64_t bytes,
                                   std::uint64_t now_ns) {
  Budget now = budget(now_ns);
  if (records_.has(records) && bytes_.has(bytes)) {
    spend(records, bytes);
    return Budget{records, bytes, 0};
  }
  now.again_ns = time_of(records, bytes);
  return now;
}

}  // namespace kfast::daemon::policy
