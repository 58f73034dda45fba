#include "telemetry/stats.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>
#include <utility>

#include "kfast/ipc/wire.hpp"
#include "telemetry/segment_memory.hpp"

namespace kfast::daemon::telemetry {
namespace {

namespace bip = boost::interprocess;

/// What mapped_region wants to see of a file descriptor.
class Mappable {
 public:
  explicit Mappable(int fd) noexcept : fd_(fd) {}
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept { return {fd_, false}; }

 private:
  int fd_;
};

std::string because(const std::string& what, int error) {
  return what + ": " + std::strerror(error);
}

[[noreturn]] void die(const char* why) {
  std::fprintf(stderr, "kfastd: %s\n", why);
  std::abort();
}

}  // namespace

std::uint64_t boottime_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

// ---- blocks -------------------------------------------------------------------------------------

BlockBase::BlockBase() noexcept = default;

BlockBase::BlockBase(std::shared_ptr<SegmentMemory> memory, std::uint32_t scope,
                     std::uint32_t index)
    : values_(memory->values(scope, index)),
      shared_(index == 0),
      scope_(scope),
      index_(index),
      memory_(std::move(memory)) {
  if (shared_) {
    gauges_ = std::make_unique<std::uint64_t[]>(scopes()[scope].counters.size());
  }
}

BlockBase::BlockBase(BlockBase&& other) noexcept {
  *this = std::move(other);
}

BlockBase& BlockBase::operator=(BlockBase&& other) noexcept {
  if (this != &other) {
    release();
    values_ = std::exchange(other.values_, nullptr);
    shared_ = std::exchange(other.shared_, true);
    scope_ = other.scope_;
    index_ = other.index_;
    gauges_ = std::move(other.gauges_);
    memory_ = std::move(other.memory_);
  }
  return *this;
}

BlockBase::~BlockBase() {
  release();
}

void BlockBase::release() noexcept {
  if (values_ == nullptr) {
    return;
  }
  if (shared_) {
    for (std::size_t gauge = 0; gauge < scopes()[scope_].counters.size(); ++gauge) {
      if (gauges_[gauge] != 0) {
        values_[gauge].fetch_sub(gauges_[gauge], std::memory_order_relaxed);
      }
    }
  } else {
    memory_->free(scope_, index_);
  }
  values_ = nullptr;
  shared_ = true;
  memory_.reset();
}

void BlockBase::add_to_other(std::uint32_t index, std::uint64_t n) noexcept {
  if (values_ == nullptr) {
    die("counting on a block of the stats segment that was never allocated");
  }
  values_[index].fetch_add(n, std::memory_order_relaxed);
  if (scopes()[scope_].counters[index].kind == ipc::stats::Kind::gauge) {
    gauges_[index] += n;
  }
}

void BlockBase::set_in_other(std::uint32_t index, std::uint64_t value) noexcept {
  if (values_ == nullptr) {
    die("setting a gauge on a block of the stats segment that was never allocated");
  }
  values_[index].fetch_add(value - gauges_[index], std::memory_order_relaxed);
  gauges_[index] = value;
}

void BlockBase::add_locked_at(std::uint32_t index, std::uint64_t n) noexcept {
  if (values_ == nullptr) {
    die("counting on a block of the stats segment that was never allocated");
  }
  values_[index].fetch_add(n, std::memory_order_relaxed);
}

void BlockBase::set_note(std::string_view name, std::string_view text) {
  if (values_ == nullptr) {
    die("setting a note on a block of the stats segment that was never allocated");
  }
  memory_->set_note(scope_, index_, name, text);
}

// ---- the segment --------------------------------------------------------------------------------

StatsSegment::Created StatsSegment::create(Options options) {
  if (options.shards < 1 || options.shards > ipc::stats::kMaxShards) {
    return {nullptr, "the stats segment holds 1 to " + std::to_string(ipc::stats::kMaxShards) +
                         " shards, not " + std::to_string(options.shards) +
                         ": set `shards` in [daemon] accordingly"};
  }
  const Geometry geometry = plan(options.blocks);
  const std::string path = options.directory + "/" + ipc::kStatsFileName;
  const std::string fresh = path + ".new";
  ipc::Fd fd;
  if (options.directory.empty()) {
    fd.reset(::memfd_create("kfast-stats", MFD_CLOEXEC));
  } else {
    // What a kfastd left behind that died between here and the rename.
    ::unlink(fresh.c_str());
    fd.reset(::open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  }
  if (!fd.valid()) {
    return {nullptr, because("cannot create the stats segment " + fresh, errno) +
                         " (kfastd needs a directory that it can write to: socket_dir in "
                         "[daemon])"};
  }
  const auto failed = [&](const std::string& what, int error) {
    if (!options.directory.empty()) {
      ::unlink(fresh.c_str());
    }
    return Created{nullptr, because(what + " the stats segment " + fresh, error)};
  };
  if (!options.directory.empty() && ::fchmod(fd.get(), 0644) != 0) {
    return failed("cannot make readable", errno);
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return failed("cannot lock", errno);
  }
  if (::ftruncate(fd.get(), static_cast<off_t>(geometry.segment_bytes)) != 0) {
    return failed("cannot size", errno);
  }
  // The tables and every scope's "(other)" must have their pages now; other blocks get theirs as
  // they are used.
  const auto reserve = [&](std::uint64_t offset, std::uint64_t size) {
    return ::fallocate(fd.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(size)) == 0 ||
           errno == EOPNOTSUPP;
  };
  bool reserved = reserve(0, geometry.scopes[0].blocks_offset);
  for (const Geometry::ScopePlace& place : geometry.scopes) {
    reserved = reserved && reserve(place.blocks_offset, place.block_bytes);
  }
  if (!reserved) {
    return failed("no room in the file system for", errno);
  }

  bip::mapped_region region;
  try {
    region = bip::mapped_region(Mappable(fd.get()), bip::read_write, 0, geometry.segment_bytes);
  } catch (const bip::interprocess_exception& problem) {
    return failed("cannot map", problem.get_native_error());
  }
  auto memory = std::make_shared<SegmentMemory>(std::move(fd), std::move(region), geometry,
                                                options.cool_off, std::move(options.now));
  memory->describe(options.version, options.shards);
  memory->header().phase.store(static_cast<std::uint64_t>(Phase::starting),
                               std::memory_order_relaxed);
  const auto start_time = static_cast<std::uint32_t>(DaemonCounter::start_time);
  memory->values(static_cast<std::uint32_t>(Scope::daemon), 0)[start_time].store(
      static_cast<std::uint64_t>(memory->header().start_realtime_ms / 1000),
      std::memory_order_relaxed);
  memory->header().magic = ipc::stats::kMagic;
  if (!options.directory.empty() && ::rename(fresh.c_str(), path.c_str()) != 0) {
    return failed("cannot put into its place", errno);
  }
  return {std::unique_ptr<StatsSegment>(new StatsSegment(std::move(memory))), {}};
}

StatsSegment::StatsSegment(std::shared_ptr<SegmentMemory> memory) : memory_(std::move(memory)) {}

StatsSegment::~StatsSegment() {
  set_phase(Phase::stopped);
}

DaemonBlock StatsSegment::daemon_block() {
  return {memory_, static_cast<std::uint32_t>(Scope::daemon), memory_->allocate(Scope::daemon, {})};
}

ShardBlock StatsSegment::shard_block(std::uint32_t shard) {
  return {memory_, static_cast<std::uint32_t>(Scope::shard),
          memory_->allocate(Scope::shard, {std::to_string(shard)})};
}

ProfileBlock StatsSegment::profile_block(std::string_view cluster, std::string_view profile) {
  return {memory_, static_cast<std::uint32_t>(Scope::profile),
          memory_->allocate(Scope::profile, {cluster, profile})};
}

TopicBlock StatsSegment::topic_block(std::string_view cluster, std::string_view topic,
                                     std::string_view principal) {
  return {memory_, static_cast<std::uint32_t>(Scope::topic),
          memory_->allocate(Scope::topic, {cluster, topic, principal})};
}

ChannelBlock StatsSegment::channel_block(std::string_view channel, std::int32_t pid,
                                         std::string_view principal, std::string_view profile) {
  return {memory_, static_cast<std::uint32_t>(Scope::channel),
          memory_->allocate(Scope::channel, {channel, std::to_string(pid), principal, profile})};
}

BrokerBlock StatsSegment::broker_block(std::string_view cluster, std::string_view profile,
                                       std::string_view broker) {
  return {memory_, static_cast<std::uint32_t>(Scope::broker),
          memory_->allocate(Scope::broker, {cluster, profile, broker})};
}

void StatsSegment::set_phase(Phase phase) noexcept {
  memory_->header().phase.store(static_cast<std::uint64_t>(phase), std::memory_order_relaxed);
}

void StatsSegment::begin_drain(std::chrono::milliseconds at_most) noexcept {
  memory_->header().drain_deadline_ms.store(
      boottime_ms() + static_cast<std::uint64_t>(at_most.count()), std::memory_order_relaxed);
  memory_->header().phase.store(static_cast<std::uint64_t>(Phase::draining),
                                std::memory_order_release);  // with its deadline
}

void StatsSegment::beat(std::uint32_t shard, Activity activity,
                        std::uint64_t boottime_now_ms) noexcept {
  if (shard >= ipc::stats::kMaxShards) {
    die("a heartbeat of a shard that the stats segment has no room for");
  }
  memory_->header().heartbeats[shard].store(activity, boottime_now_ms);
}

std::span<const std::byte> StatsSegment::bytes() const noexcept {
  return memory_->bytes();
}

}  // namespace kfast::daemon::telemetry
