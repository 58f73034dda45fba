#include "drain.hpp"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "process.hpp"

namespace kfast::daemon {
namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using telemetry::DaemonCounter;

/// For a word that comes late, on a busy host.
constexpr seconds kMargin{5};

seconds left_until(steady_clock::time_point deadline) {
  return std::max(seconds(0), ceil<seconds>(deadline - steady_clock::now()));
}

/// systemd's TimeoutStopSec may be shorter than the drain: this asks it to wait.
std::string wait_for_us(seconds left) {
  return "\nEXTEND_TIMEOUT_USEC=" +
         std::to_string(std::chrono::microseconds(left + kShutdownTime + kMargin).count());
}

}  // namespace

std::unique_ptr<Drain> Drain::begin(Environment environment, milliseconds at_most) {
  std::unique_ptr<Drain> self(new Drain(std::move(environment), at_most));
  Drain* drain = self.get();
  spdlog::info("stopping: taking what was sent and flushing it, for at most {} ms",
               at_most.count());
  drain->environment_.notify("STOPPING=1\nSTATUS=draining" + wait_for_us(ceil<seconds>(at_most)));
  drain->environment_.stats.begin_drain(at_most);
  drain->environment_.server.begin_drain();
  drain->environment_.shard.drain(
      at_most,
      {[drain](shard::Waiting waiting) {
         drain->environment_.loop.post([drain, waiting] { drain->tell(waiting); });
       },
       [drain](shard::Undelivered left) {
         drain->environment_.loop.post([drain, left = std::move(left)] { drain->finish(left); });
       }});
  return self;
}

void Drain::hurry() {
  if (hurried_) {
    return;
  }
  hurried_ = true;
  spdlog::warn("second signal: stops without waiting; undelivered records stay in their rings");
  limit_shutdown(static_cast<unsigned>(kShutdownTime.count()), false);
  environment_.shard.end_drain();
}

void Drain::tell(const shard::Waiting& waiting) const {
  const seconds left = left_until(deadline_);
  std::string status = fmt::format("STATUS=draining: {} records wait", waiting.records);
  if (waiting.bytes != 0) {
    status += fmt::format(", {} bytes of rings are not taken yet", waiting.bytes);
  }
  environment_.notify(status + fmt::format(", {} s left", left.count()) + wait_for_us(left));
}

void Drain::finish(const shard::Undelivered& left) {
  telemetry::DaemonBlock& counters = environment_.counters;
  const shard::Undelivered::Part& living = left.of_the_living;
  const shard::Undelivered::Part& dead = left.of_the_dead;
  const char* why = hurried_ ? "the drain was cut short" : "drain deadline passed";
  whole_ = living.channels == 0 && dead.channels == 0;
  counters.add(whole_ ? DaemonCounter::drains_whole : DaemonCounter::drains_partial);
  if (whole_) {
    outcome_ = "every record has its outcome";
    spdlog::info("drained: every record has its outcome");
  }
  if (living.channels != 0) {
    counters.add(DaemonCounter::left_messages_ring, living.records);
    counters.add(DaemonCounter::left_channels_ring, living.channels);
    outcome_ = fmt::format("{} records of {} channels stay in their rings", living.records,
                           living.channels);
    spdlog::warn("{}: {}; their workers hand them to the next kfastd", why, outcome_);
  }
  if (dead.channels != 0) {
    const session::FdStore& store = environment_.store;
    const bool kept = store.known_to_keep() && !store.ends_with_kfastd();
    const std::string which = fmt::format("{} records of {} channels whose workers are gone are {}",
                                          dead.records, dead.channels, kept ? "kept" : "lost");
    counters.add(kept ? DaemonCounter::left_messages_kept : DaemonCounter::left_messages_lost,
                 dead.records);
    counters.add(kept ? DaemonCounter::left_channels_kept : DaemonCounter::left_channels_lost,
                 dead.channels);
    counters.add(DaemonCounter::lost_messages, kept ? 0 : dead.records);
    const char* more = ": nobody keeps their segments";
    if (kept) {
      more =
          " for the next kfastd, unless the store ends with this stop (systemd's does with "
          "`systemctl stop`, without FileDescriptorStorePreserve=yes)";
    } else if (store.ends_with_kfastd()) {
      more = ": the keeper that held their segments ends, too";
    } else if (store.active()) {
      more = ", unless $NOTIFY_SOCKET keeps descriptors (FileDescriptorStoreMax)";
    }
    spdlog::log(kept ? spdlog::level::warn : spdlog::level::err, "{}: {}{} channels={}", why, which,
                more, left.dead_channels);
    outcome_ += (outcome_.empty() ? "" : "; ") + which;
  }
  environment_.notify("STATUS=flushed: " + outcome_ + wait_for_us(seconds(0)));
  environment_.loop.stop();
}

}  // namespace kfast::daemon
