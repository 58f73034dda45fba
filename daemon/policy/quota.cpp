#include "policy/quota.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

namespace kfast::daemon::policy {
namespace {

struct Row {
  const char* key;
  std::uint64_t Usage::*used;
  std::uint64_t config::Limits::*limit;
};

const Row& row_of(Resource resource) {
  static constexpr Row rows[] = {
      {"sessions", &Usage::sessions, &config::Limits::sessions},
      {"channels", &Usage::channels, &config::Limits::channels},
      {"ring_bytes", &Usage::ring_bytes, &config::Limits::ring_bytes},
      {"topics", &Usage::topics, &config::Limits::topics},
  };
  return rows[static_cast<std::size_t>(resource)];
}

bool is_empty(const Usage& usage) {
  return usage.sessions == 0 && usage.channels == 0 && usage.ring_bytes == 0 && usage.topics == 0;
}

std::string reached(const std::string& table, const Row& row, std::uint64_t limit,
                    const std::string& use, std::uint64_t amount, const std::string& cure) {
  std::string text =
      "limits." + table + "." + row.key + " = " + std::to_string(limit) + " reached (" + use;
  if (amount != 1) {
    text += ", " + std::to_string(amount) + " more asked for";
  }
  return text + "); " + cure;
}

}  // namespace

class QuotaState {
 public:
  explicit QuotaState(Quota::Limits limits) : limits_(std::move(limits)) {}

  std::optional<std::string> take(const Principal& who, Resource resource, std::uint64_t amount) {
    const std::lock_guard lock(mutex_);
    const Row& row = row_of(resource);
    const auto own = limits_.find(who.name);
    const bool has_own = own != limits_.end() && is_user_table(who.name);
    const std::uint64_t limit = (has_own ? own->second : fallback()).*row.limit;
    const std::uint64_t all_limit = total().*row.limit;
    const auto found = by_uid_.find(who.uid);
    const std::uint64_t used = found == by_uid_.end() ? 0 : found->second.*row.used;
    const std::uint64_t all_used = all_.*row.used;
    if (used >= limit || amount > limit - used) {
      const std::string in_use = std::to_string(used) + " in use";
      if (has_own) {
        return reached(who.name, row, limit, in_use, amount, "raise it in kfastd.toml");
      }
      return reached("default", row, limit, in_use + " by " + who.name, amount,
                     "raise it or set limits." + who.name + "." + row.key + " in kfastd.toml");
    }
    if (all_used >= all_limit || amount > all_limit - all_used) {
      return reached("total", row, all_limit, std::to_string(all_used) + " in use by all", amount,
                     "raise it in kfastd.toml");
    }
    add(who.uid, resource, amount);
    return std::nullopt;
  }

  void take_anyway(uid_t uid, Resource resource, std::uint64_t amount) {
    const std::lock_guard lock(mutex_);
    add(uid, resource, amount);
  }

  void give_back(uid_t uid, Resource resource, std::uint64_t amount) {
    const std::lock_guard lock(mutex_);
    const Row& row = row_of(resource);
    const auto found = by_uid_.find(uid);
    if (found == by_uid_.end() || found->second.*row.used < amount || all_.*row.used < amount) {
      std::abort();  // given back more than was taken
    }
    found->second.*row.used -= amount;
    all_.*row.used -= amount;
    if (is_empty(found->second)) {
      by_uid_.erase(found);
    }
  }

  void set_limits(Quota::Limits limits) {
    const std::lock_guard lock(mutex_);
    limits_ = std::move(limits);
  }

  Usage in_use(uid_t uid) {
    const std::lock_guard lock(mutex_);
    const auto found = by_uid_.find(uid);
    return found == by_uid_.end() ? Usage{} : found->second;
  }

  Usage all() {
    const std::lock_guard lock(mutex_);
    return all_;
  }

  config::Limits limits(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto own = limits_.find(name);
    return own != limits_.end() && is_user_table(name) ? own->second : fallback();
  }

 private:
  void add(uid_t uid, Resource resource, std::uint64_t amount) {
    const Row& row = row_of(resource);
    by_uid_[uid].*row.used += amount;
    all_.*row.used += amount;
  }
  // A user may happen to be called "total": its table is not that one.
  static bool is_user_table(const std::string& name) {
    return name != "default" && name != "total";
  }
  [[nodiscard]] const config::Limits& fallback() const { return limits_.find("default")->second; }
  [[nodiscard]] const config::Limits& total() const { return limits_.find("total")->second; }

  std::mutex mutex_;
  Quota::Limits limits_;
  std::unordered_map<uid_t, Usage> by_uid_;
  Usage all_;
};

Lease::Lease(std::shared_ptr<QuotaState> state, uid_t uid, Resource resource, std::uint64_t amount)
    : state_(std::move(state)), uid_(uid), resource_(resource), amount_(amount) {}

Lease::Lease(Lease&& other) noexcept
    : state_(std::move(other.state_)),
      uid_(other.uid_),
      resource_(other.resource_),
      amount_(std::exchange(other.amount_, 0)) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    give_back();
    state_ = std::move(other.state_);
    uid_ = other.uid_;
    resource_ = other.resource_;
    amount_ = std::exchange(other.amount_, 0);
  }
  return *this;
}

void Lease::give_back() noexcept {
  if (const auto state = std::exchange(state_, nullptr)) {
    state->give_back(uid_, resource_, std::exchange(amount_, 0));
  }
}

namespace {

// "default" and "total" are looked up without a check from here on.
Quota::Limits complete(Quota::Limits limits) {
  limits.try_emplace("default", config::Limits{});
  limits.try_emplace("total", config::default_total_limits());
  return limits;
}

}  // namespace

Quota::Quota(Limits limits) : state_(std::make_shared<QuotaState>(complete(std::move(limits)))) {}

Result<Lease> Quota::take(const Principal& who, Resource resource, std::uint64_t amount) {
  if (auto refused = state_->take(who, resource, amount)) {
    return Failure{*std::move(refused)};
  }
  return Lease(state_, who.uid, resource, amount);
}

Lease Quota::take_anyway(const Principal& who, Resource resource, std::uint64_t amount) {
  state_->take_anyway(who.uid, resource, amount);
  return Lease(state_, who.uid, resource, amount);
}

void Quota::set_limits(Limits limits) {
  state_->set_limits(complete(std::move(limits)));
}

Usage Quota::in_use(const Principal& who) const {
  return state_->in_use(who.uid);
}

Usage Quota::in_use_by_all() const {
  return state_->all();
}

config::Limits Quota::limits(const Principal& who) const {
  return state_->limits(who.name);
}

}  // namespace kfast::daemon::policy
