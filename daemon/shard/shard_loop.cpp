// The rounds of a shard: take, serve Kafka, report.
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iterator>
#include <utility>

#include "kfast/ipc/kill_point.hpp"
#include "shard/clock.hpp"
#include "shard/epoll_tag.hpp"
#include "shard/shard.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::shard {
namespace {

using telemetry::Activity;
using telemetry::ChannelCounter;
using telemetry::ShardCounter;

/// Bounded work per channel per turn: nobody waits long behind a flood.
constexpr std::uint32_t kRecordsPerTurn = 512;
/// Events of librdkafka per round; each is a batch of reports.
constexpr int kEventsPerRound = 64;
/// A channel is left alone after this many rounds without a record.
constexpr std::uint32_t kEmptyRoundsToPark = 16;

/// How long a channel waits whose record librdkafka would not take.
constexpr std::uint64_t kLaterNs = 10'000'000;

/// How often a drain tells how far it is.
constexpr std::chrono::seconds kProgressEvery{1};

/// How long a doorbell is not listened to that rings for nothing.
constexpr std::uint64_t kMutedNs = 10'000'000;

}  // namespace

void Shard::run() {
  while (!stopping_) {
    environment_.stats.beat(index_, Activity::working);
    serve_commands();
    bool more = false;
    const std::uint64_t records = take_round(more);
    judge_gathering(records);
    serve_kafka();
    finish_touched();
    check_drain();
    if (!more) {
      for (auto& [name, profile] : profiles_) {
        profile.instance->round_took_all();
      }
    }
    if (!stopping_) {
      const Nap nap = more ? Nap{} : next_nap();
      rest(policy_.decide(records, more, nap), nap);
    }
  }
  drain_.reset();
  // What is still in flight stays in its ring; librdkafka must give its copies back before it can
  // be destroyed.
  for (auto& [name, profile] : profiles_) {
    profile.instance->purge();
    profile.instance->serve(*this, 1 << 20);
  }
  // First the producers, whose threads may read in the rings until they have ended.
  profiles_.clear();
  slots_.clear();
}

std::uint64_t Shard::take_round(bool& more) {
  stats_.add(ShardCounter::rounds);
  throttled_until_ns_ = 0;
  read_clocks();
  hear_muted_again();
  std::uint64_t records = 0;
  for (std::size_t i = 0; i < active_.size();) {
    const std::uint16_t index = active_[i];
    Slot& slot = slots_[index];
    const std::uint64_t taken = take_from(index, more);
    records += taken;
    slot.empty_rounds = taken == 0 ? slot.empty_rounds + 1 : 0;
    if (slot.rings.looked(taken != 0)) {
      mute(index);
    }
    const bool idle =
        slot.channel->finished_taking() ||
        (slot.heard && slot.empty_rounds >= kEmptyRoundsToPark && slot.channel->park());
    if (idle) {
      slot.active = false;
      active_[i] =
          active_.back();  // order does not matter: every active channel has its turn each round
      active_.pop_back();
    } else {
      ++i;
    }
  }
  return records;
}

std::uint64_t Shard::take_from(std::uint16_t index, bool& more) {
  Slot& slot = slots_[index];
  // First, since what is given up waits for nothing that holds the channel back.
  const channel::TakeResult purged = slot.channel->purge(*slot.sink, kRecordsPerTurn);
  if (purged.bytes != 0 || purged.violation != nullptr) {
    slot.throttled = false;
    return took(index, purged, more);
  }
  if (slot.instance->ended()) {
    hold_back(slot, now_ns(CLOCK_MONOTONIC_COARSE) + kLaterNs);
    return 0;
  }
  if (stays(slot)) {
    slot.throttled = false;
    return 0;
  }
  std::uint32_t at_most = kRecordsPerTurn;
  const policy::RateLimit::Budget budget = slot.rate->budget(now_ns(CLOCK_MONOTONIC_COARSE));
  slot.throttled = false;
  if (budget.again_ns != 0) {
    hold_back(slot, budget.again_ns);
    return 0;
  }
  at_most = static_cast<std::uint32_t>(std::min<std::uint64_t>(at_most, budget.records));
  // The time of the round's reading: a step that comes later must not be seen without its notice.
  const channel::TakeResult taken = slot.channel->take(
      *slot.sink, opaque_base(index, slot.generation), at_most, wall_clock_.now_ms());
  slot.rate->spend(taken.records, taken.bytes);
  if (taken.later) {
    hold_back(slot, now_ns(CLOCK_MONOTONIC_COARSE) + kLaterNs);
  }
  return took(index, taken, more);
}

std::uint64_t Shard::took(std::uint16_t index, const channel::TakeResult& taken, bool& more) {
  Slot& slot = slots_[index];
  if (taken.bytes != 0) {
    stats_.add(ShardCounter::taken_messages, taken.records);
    stats_.add(ShardCounter::taken_bytes, taken.bytes);
    slot.stats.add(ChannelCounter::taken_messages, taken.records);
    if (taken.records != 0) {
      slot.record_bytes = taken.bytes / taken.records;
    }
    touch(index);
  }
  if (taken.violation != nullptr) {
    end_violator(index, taken.violation);
    touch(index);  // its worker may be gone already: then nobody else would find it drained
  }
  more = more || taken.more;
  return taken.records;
}

void Shard::read_clocks() {
  const std::int64_t monotonic_ms = now_ms(CLOCK_MONOTONIC_COARSE);
  for (auto& [name, profile] : profiles_) {
    profile.instance->round_begins(monotonic_ms);
  }
  const auto step = wall_clock_.read(now_ms(CLOCK_REALTIME_COARSE), monotonic_ms);
  if (!step) {
    return;
  }
  spdlog::warn(
      "the wall clock went {} by {} ms (it was set, or the host slept): delivery timeouts of "
      "records that wait in rings {}",
      step->by_ms < 0 ? "back" : "forward", step->by_ms < 0 ? -step->by_ms : step->by_ms,
      step->by_ms < 0 ? "begin again" : "are not shortened by it");
  for (const Slot& slot : slots_) {
    if (slot.channel) {
      slot.channel->wall_clock_went(step->old_now_ms, step->by_ms);
    }
  }
}

void Shard::hold_back(Slot& slot, std::uint64_t until_ns) {
  slot.throttled = true;
  throttled_until_ns_ =
      throttled_until_ns_ == 0 ? until_ns : std::min(throttled_until_ns_, until_ns);
}

void Shard::touch(std::uint16_t index) {
  Slot& slot = slots_[index];
  if (!slot.touched) {
    slot.touched = true;
    touched_.push_back(index);
  }
}

void Shard::serve_kafka() {
  for (auto& [name, profile] : profiles_) {
    if (profile.ready) {
      profile.ready = profile.instance->serve(*this, kEventsPerRound);
    }
    if (profile.instance->ended()) {
      replace_ended(name, profile);
    }
    profile.instance->publish_gauges();
  }
}

void Shard::on_delivery(const kafka::DeliveryReport& report) {
  const std::uint16_t index = slot_of(report.opaque);
  if (report.purged || index >= slots_.size()) {
    return;
  }
  Slot& slot = slots_[index];
  if (!slot.channel || slot.generation != slot_generation_of(report.opaque)) {
    return;
  }
  slot.channel->resolve(sequence_of(report.opaque),
                        {report.outcome, report.error, report.partition, report.offset},
                        report.reason);
  touch(index);
}

void Shard::on_refusal(const kafka::Instance& instance) {
  for (Slot& slot : slots_) {
    if (slot.channel && slot.instance == &instance) {
      slot.channel->tell_refusal(instance.refusal());
    }
  }
}

void Shard::finish_touched() {
  for (std::size_t i = 0; i < touched_.size(); ++i) {
    const std::uint16_t index = touched_[i];
    Slot& slot = slots_[index];
    slot.touched = false;
    if (!slot.channel->finish_round()) {
      end_violator(
          index, "no room for a report: more records in flight than the report ring has room for");
      static_cast<void>(slot.channel->finish_round());
    }
    channel::ProducerChannel& c = *slot.channel;
    slot.stats.set(ChannelCounter::tail, c.tail());
    slot.stats.set(ChannelCounter::taken, c.taken());
    slot.stats.set(ChannelCounter::head, c.head());
    slot.stats.set(ChannelCounter::used_bytes, c.used_bytes());
    slot.stats.set(ChannelCounter::in_flight_messages, c.in_flight());
    slot.stats.set(ChannelCounter::reports, c.reports_written());
    if (!slot.retired && c.must_wake_client()) {
      KFAST_KILL_POINT("daemon.round.before_wake");
      slot.link->wake();
    }
    if (slot.retired && c.drained()) {
      close_drained(index);
    }
  }
  touched_.clear();
}

void Shard::activate(std::uint16_t index) {
  Slot& slot = slots_[index];
  if (slot.active || !slot.channel) {
    return;
  }
  if (slot.channel->parked()) {
    slot.channel->unpark();
  }
  slot.active = true;
  slot.empty_rounds = 0;
  active_.push_back(index);
}

void Shard::on_ring(std::uint16_t index) {
  stats_.add(ShardCounter::wakeups);
  Slot& slot = slots_[index];
  slot.rings.rung();
  activate(index);
  if (slot.channel && !slot.retired && slot.channel->client_has_closed()) {
    retire(slot.channel->number(), Retirement::for_good);
  }
}

void Shard::listen(const Slot& slot, std::uint16_t index, bool on) {
  change_watch(slot.doorbell.get(), tag_of(EpollSource::channel, index, slot.generation), on);
}

// A client that rings in a loop would keep this thread awake, on our processor time, and keep it
// from napping, so that all others must ring, too. So its doorbell is not listened to for a while.
//
// No wake-up is lost by that, whoever rang: nobody but the client reads the eventfd, so after a
// ring it stays readable, and listening again to a readable descriptor makes it heard at once. That
// comes after the ring, and so after the record that was published before the ring; the look at
// the tail that follows finds it.
void Shard::mute(std::uint16_t index) {
  Slot& slot = slots_[index];
  if (!slot.heard || std::find(muted_.begin(), muted_.end(), index) != muted_.end()) {
    return;
  }
  listen(slot, index, false);
  muted_.push_back(index);
  if (muted_until_ns_ == 0) {
    muted_until_ns_ = now_ns(CLOCK_MONOTONIC_COARSE) + kMutedNs;
  }
  stats_.add(ShardCounter::doorbells_muted);
  if (slot.throttled || stays(slot) || slot.channel->finished_taking()) {
    return;  // it may have records; we do not take them now
  }
  telemetry::process_log().log(
      spdlog::level::warn, "vain:" + slot.principal.name,
      "a worker rings its doorbell again and again without a record: it is heard every {} ms at "
      "most channel={} principal={}",
      kMutedNs / 1'000'000, slot.channel->number(), slot.principal.name);
}

void Shard::hear_muted_again() {
  if (muted_until_ns_ == 0 || now_ns(CLOCK_MONOTONIC_COARSE) < muted_until_ns_) {
    return;
  }
  for (const std::uint16_t index : muted_) {
    slots_[index].rings.listened_again();
    listen(slots_[index], index, true);
  }
  muted_.clear();
  muted_until_ns_ = 0;
}

void Shard::check_drain() {
  if (!drain_) {
    return;
  }
  Waiting waiting;
  bool drained = true;
  for (const Slot& slot : slots_) {
    if (slot.channel) {
      waiting.records += slot.channel->in_flight();
      waiting.bytes += slot.channel->bytes_to_take();
      drained = drained && slot.channel->drained();
    }
  }
  stats_.set(ShardCounter::drain_waiting_messages, waiting.records);
  stats_.set(ShardCounter::drain_waiting_bytes, waiting.bytes);
  const auto now = std::chrono::steady_clock::now();
  if (drained || now >= drain_->deadline) {
    KFAST_KILL_POINT("daemon.drain.flushed");
    auto done = std::move(drain_->listener.done);
    drain_.reset();
    done(undelivered());
    return;
  }
  if (now >= drain_->next_progress) {
    drain_->next_progress = now + kProgressEvery;
    drain_->listener.progress(waiting);
  }
  for (auto& [name, profile] : profiles_) {
    profile.instance->hurry();
  }
}

Undelivered Shard::undelivered() const {
  Undelivered left;
  for (const Slot& slot : slots_) {
    const std::uint64_t records = slot.channel ? slot.channel->count_without_outcome() : 0;
    if (records == 0) {
      continue;
    }
    Undelivered::Part& part = slot.retired ? left.of_the_dead : left.of_the_living;
    part.records += records;
    ++part.channels;
    if (slot.retired) {
      left.dead_channels += " " + std::to_string(slot.channel->number());
    }
  }
  return left;
}

}  // namespace kfast::daemon::shard
