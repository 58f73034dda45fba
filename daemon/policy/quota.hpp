// What a principal holds at a time, and all of them together, against their limits.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "config/result.hpp"
#include "policy/principal.hpp"

namespace kfast::daemon::policy {

enum class Resource { sessions, channels, ring_bytes, topics };

/// Amounts in use, one of each resource.
struct Usage {
  std::uint64_t sessions = 0;
  std::uint64_t channels = 0;
  std::uint64_t ring_bytes = 0;
  std::uint64_t topics = 0;
};

class QuotaState;

/// Something taken from a quota; given back when this is destroyed, on any thread. Move-only. May
/// outlive its Quota.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() { give_back(); }

  void give_back() noexcept;
  [[nodiscard]] std::uint64_t amount() const noexcept { return amount_; }

 private:
  friend class Quota;
  Lease(std::shared_ptr<QuotaState> state, uid_t uid, Resource resource, std::uint64_t amount);

  std::shared_ptr<QuotaState> state_;
  uid_t uid_ = 0;
  Resource resource_ = Resource::sessions;
  std::uint64_t amount_ = 0;
};

/// Counts per uid and in all, from one pool for all shards. Thread-safe by a mutex: for opening
/// sessions, channels and topics, not for records.
class Quota {
 public:
  /// `limits` as in Config: by user name, with "default" and "total".
  using Limits = std::map<std::string, config::Limits, std::less<>>;
  explicit Quota(Limits limits);

  /// Takes that much, or says which limit stands against it and which key to raise.
  Result<Lease> take(const Principal& who, Resource resource, std::uint64_t amount = 1);

  /// Takes that much, also beyond the limits: for what was accepted before this process started.
  [[nodiscard]] Lease take_anyway(const Principal& who, Resource resource,
                                  std::uint64_t amount = 1);

  /// New limits after a reload. What is held already stays, also above them.
  void set_limits(Limits limits);

  [[nodiscard]] Usage in_use(const Principal& who) const;
  [[nodiscard]] Usage in_use_by_all() const;
  /// The limits that hold for that principal.
  [[nodiscard]] config::Limits limits(const Principal& who) const;

 private:
  std::shared_ptr<QuotaState> state_;
};

}  // namespace kfast::daemon::policy
