// How a shard rests between its rounds, and what ends that.
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iterator>
#include <utility>

#include "shard/clock.hpp"
#include "shard/epoll_tag.hpp"
#include "shard/shard.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::shard {
namespace {

using telemetry::Activity;
using telemetry::ShardCounter;

/// While records stay in their rings: how often the shard looks how much of them is used.
constexpr std::int64_t kStayNapNs = 20'000'000;

/// For how long no records gather where that did not pay.
constexpr std::uint64_t kGatherAgainNs = 100'000'000;

}  // namespace

// What holds records back must not fill a ring or use up a client's credit, nor hold up a drain or
// the end of a channel.
bool Shard::stays(const Slot& slot) const {
  return slot.instance->holds() && !drain_ && !slot.retired &&
         !slot.channel->half_full(slot.record_bytes);
}

bool Shard::anything_published() const {
  return std::any_of(active_.begin(), active_.end(), [this](std::uint16_t index) {
    const Slot& slot = slots_[index];
    return !slot.throttled && slot.channel->published() && !stays(slot);
  });
}

// Of the nap before this round.
void Shard::judge_gathering(std::uint64_t records) {
  const bool unanswered = std::exchange(unanswered_, false);
  if (unanswered && !policy_.gathering_paid(records)) {
    gather_again_ns_ = now_ns(CLOCK_MONOTONIC_COARSE) + kGatherAgainNs;
  }
}

Nap Shard::next_nap() {
  std::int64_t linger_ms = INT64_MAX / 1000;  // RestPolicy counts in microseconds
  bool all_linger = true;
  std::uint64_t in_flight = UINT64_MAX;
  for (const std::uint16_t index : active_) {
    const kafka::Instance& instance = *slots_[index].instance;
    if (instance.linger_ms() > 0) {
      linger_ms = std::min(linger_ms, instance.linger_ms());
    } else {
      all_linger = false;
      in_flight = std::min(in_flight, instance.in_flight());
    }
  }
  if (all_linger) {
    return policy_.nap(linger_ms);
  }
  const bool may_gather =
      gather_again_ns_ == 0 || now_ns(CLOCK_MONOTONIC_COARSE) >= gather_again_ns_;
  gather_again_ns_ = may_gather ? 0 : gather_again_ns_;
  return may_gather ? policy_.gather(linger_ms, in_flight) : Nap{};
}

void Shard::rest(Rest choice, Nap naps) {
  const bool kafka_waits = std::any_of(profiles_.begin(), profiles_.end(),
                                       [](const auto& entry) { return entry.second.ready; });
  if (choice == Rest::none || kafka_waits) {
    wait(0);
    return;
  }
  const auto staying = static_cast<std::size_t>(
      std::count_if(active_.begin(), active_.end(),
                    [this](std::uint16_t index) { return stays(slots_[index]); }));
  // Workers whose records stay need not wake us: at half of a ring they ring in a nap, too. In a
  // sleep they would ring for each of them.
  const bool all_stay = staying != 0 && staying == active_.size();
  const bool some_stay = staying != 0 && naps.us != 0;
  const bool short_nap = !all_stay && !active_.empty() && (choice == Rest::nap || some_stay);
  const bool nap = all_stay || short_nap;
  std::int64_t timeout = short_nap ? std::int64_t{naps.us} * 1000 : next_deadline_ns();
  if (all_stay) {
    // Nobody rings for credit that runs out.
    timeout = std::min(timeout, kStayNapNs);
  }
  listen_to_kafka(!short_nap || naps.until_answer || policy_.answers_end_nap(anybody_waits()));
  const auto state = nap ? ipc::ShardState::napping : ipc::ShardState::asleep;
  if (!rest_.rest(state, [this] { return anything_published(); })) {
    wait(0);
    return;
  }
  stats_.add(nap ? ShardCounter::naps : ShardCounter::sleeps);
  environment_.stats.beat(index_, Activity::idle);
  const bool anything = wait(timeout);
  rest_.wake();
  unanswered_ = naps.until_answer && !anything;
  if (!hears_kafka_) {
    for (auto& [name, profile] : profiles_) {
      profile.ready = true;
    }
  }
}

// A parked channel is not asked: what it waits for has taken many naps already.
bool Shard::anybody_waits() const {
  return std::any_of(active_.begin(), active_.end(),
                     [this](std::uint16_t index) { return slots_[index].channel->client_waits(); });
}

void Shard::listen_to_kafka(bool on) {
  if (on == hears_kafka_) {
    return;
  }
  hears_kafka_ = on;
  std::uint16_t number = 0;
  for (const auto& [name, profile] : profiles_) {
    // Nobody reads the eventfd, so what was written in between is heard at once.
    change_watch(profile.wake.get(), tag_of(EpollSource::kafka, number, 0), on);
    ++number;
  }
}

std::int64_t Shard::next_deadline_ns() {
  std::int64_t timeout = -1;
  const auto now = std::chrono::steady_clock::now();
  const auto sooner = [&](std::chrono::steady_clock::time_point when) {
    const auto left = std::max<std::int64_t>(
        0, std::chrono::duration_cast<std::chrono::nanoseconds>(when - now).count());
    timeout = timeout < 0 ? left : std::min(timeout, left);
  };
  if (const auto due = telemetry::process_log().flush_ended()) {
    sooner(*due);
  }
  for (const std::uint64_t until : {throttled_until_ns_, muted_until_ns_}) {
    if (until != 0) {
      const std::uint64_t coarse = now_ns(CLOCK_MONOTONIC_COARSE);
      sooner(now + std::chrono::nanoseconds(until > coarse ? until - coarse : 0));
    }
  }
  for (const auto& [name, profile] : profiles_) {
    if (profile.replace_at) {
      sooner(*profile.replace_at);
    }
    if (profile.instance->holds()) {
      sooner(now + std::chrono::milliseconds(profile.instance->holds_for_ms()));
    }
  }
  if (drain_) {
    sooner(std::min(drain_->deadline, now + std::chrono::milliseconds(20)));
  }
  return timeout;
}

/// False: the time is over, and nothing came.
bool Shard::wait(std::int64_t timeout_ns) {
  std::array<epoll_event, 64> events{};
  timespec timeout{};
  timeout.tv_sec = timeout_ns < 0 ? 0 : static_cast<time_t>(timeout_ns / 1'000'000'000);
  timeout.tv_nsec = timeout_ns < 0 ? 0 : static_cast<long>(timeout_ns % 1'000'000'000);
  const int count = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   timeout_ns < 0 ? nullptr : &timeout, nullptr);
  if (count < 0 && errno != EINTR) {
    // Linux 5.11 has the call, and these arguments are right: going on would be a loop that serves
    // nobody.
    spdlog::critical("epoll_pwait2: {}; kfastd needs Linux 5.11 or newer", std::strerror(errno));
    std::abort();
  }
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
    switch (source_of(tag)) {
      case EpollSource::command:
        break;  // the next round looks at the commands anyway
      case EpollSource::kafka:
        std::next(profiles_.begin(), index_of(tag))->second.ready = true;
        break;
      case EpollSource::channel: {
        const std::uint16_t index = index_of(tag);
        if (slots_[index].generation == generation_of(tag)) {
          on_ring(index);
        }
        break;
      }
    }
  }
  return count != 0;
}

}  // namespace kfast::daemon::shard
