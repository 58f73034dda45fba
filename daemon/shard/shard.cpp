#include "shard/shard.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "config/kafka_conf.hpp"
#include "kfast/ipc/kill_point.hpp"
#include "shard/epoll_tag.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::shard {

namespace {

/// What librdkafka counts for a record's own fields, beside key, value and headers, against
/// message.max.bytes (at least 1000).
constexpr std::uint64_t kRecordOverhead = 36;

}  // namespace

Shard::Shard(std::uint32_t index, Environment environment)
    : index_(index),
      environment_(environment),
      policy_({static_cast<std::uint32_t>(environment.config.daemon.nap_us),
               static_cast<std::uint32_t>(environment.config.daemon.spin_us)}),
      topic_claims_(environment.quota),
      topic_stats_(environment.stats),
      stats_(environment.stats.shard_block(index)) {}

Result<std::unique_ptr<Shard>> Shard::create(std::uint32_t index, Environment environment) {
  std::unique_ptr<Shard> self(new Shard(index, environment));
  auto page = channel::create_page("kfast-shard");
  if (!page) {
    return Failure{page.error().text};
  }
  self->page_fd_ = std::move(page->first);
  self->page_.swap(page->second);
  auto* header = ::new (self->page_.get_address()) ipc::ShardPage{};
  header->magic = ipc::kShardMagic;
  header->layout_major = ipc::kLayoutMajor;
  header->layout_minor = ipc::kLayoutMinor;
  header->shard = index;
  header->daemon_epoch = environment.daemon_epoch;
  self->rest_ = ipc::ShardRest<ipc::HostAtomics>(header->state);

  self->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  self->command_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!self->epoll_.valid() || !self->command_fd_.valid() ||
      !self->watch(self->command_fd_.get(), tag_of(EpollSource::command, 0, 0))) {
    return Failure{std::string("cannot make an epoll instance: ") + std::strerror(errno)};
  }
  if (auto made = self->make_instances(); !made) {
    return Failure{made.error()};
  }
  return self;
}

Shard::~Shard() {
  stop();
}

Result<bool> Shard::make_instances() {
  std::uint32_t number = 0;
  for (const auto& [name, profile] : environment_.config.profiles) {
    Profile made;
    made.setup = {environment_.config.clusters.at(profile.cluster), profile};
    made.stats = environment_.stats.profile_block(profile.cluster, name);
    made.wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!made.wake.valid() ||
        !watch(made.wake.get(),
               tag_of(EpollSource::kafka, static_cast<std::uint16_t>(number), 0))) {
      return Failure{std::string("cannot make an eventfd: ") + std::strerror(errno)};
    }
    // In its place first: the instance refers to the counters.
    Profile& placed = profiles_.emplace(name, std::move(made)).first->second;
    if (auto done = make_instance(name, placed); !done) {
      return done;
    }
    ++number;
  }
  return true;
}

Result<bool> Shard::make_instance(const std::string& name, Profile& profile) {
  auto conf = config::make_producer_conf(profile.setup.cluster, profile.setup.profile);
  if (!conf) {
    return Failure{config::to_text(conf.error().front())};
  }
  auto instance = kafka::Instance::create(
      conf.take(), profile.setup.cluster.name, name, profile.wake.get(), profile.stats,
      environment_.stats, static_cast<std::int64_t>(environment_.config.daemon.max_linger_ms));
  if (!instance) {
    return Failure{instance.error()};
  }
  profile.instance = instance.take();
  profile.stats.set(telemetry::ProfileCounter::all_brokers_down, 0);  // of the one before it
  profile.made = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  profile.info.max_record_bytes =
      static_cast<std::uint64_t>(profile.instance->message_max_bytes()) - kRecordOverhead;
  return true;
}

bool Shard::watch(int fd, std::uint64_t tag) {
  epoll_event event{};
  // Edge-triggered and never read: a client that holds the same eventfd cannot make us block, nor
  // silence it.
  event.events = EPOLLIN | EPOLLET;
  event.data.u64 = tag;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Shard::change_watch(int fd, std::uint64_t tag, bool on) {
  epoll_event event{};
  event.events = on ? EPOLLIN | EPOLLET : 0U;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    spdlog::critical("cannot change how an eventfd is watched: {}", std::strerror(errno));
    std::abort();  // it is watched, so this cannot fail; a deaf shard would hang its workers
  }
}

void Shard::start() {
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), ("kfast-shard" + std::to_string(index_)).c_str());
    run();
  });
}

void Shard::post(std::function<void()> command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  const std::uint64_t one = 1;
  static_cast<void>(::write(command_fd_.get(), &one, sizeof one));
}

void Shard::add_channel(NewChannel request) {
  {
    const std::lock_guard lock(mutex_);
    inodes_.emplace(request.segments.c2d_inode, request.number);
  }
  auto shared = std::make_shared<NewChannel>(std::move(request));
  post([this, shared] { adopt(std::move(*shared)); });
}

void Shard::client_has_come(std::uint32_t number, std::shared_ptr<ClientLink> link) {
  post([this, number, link = std::move(link)]() mutable {
    welcome_client(number, std::move(link));
  });
}

void Shard::retire_channel(std::uint32_t number, Retirement why) {
  post([this, number, why] { retire(number, why); });
}

void Shard::drain(std::chrono::milliseconds deadline, DrainListener listener) {
  const auto now = std::chrono::steady_clock::now();
  post([this, now, deadline, listener = std::move(listener)]() mutable {
    for (std::size_t index = 0; index < slots_.size(); ++index) {
      if (slots_[index].channel) {
        slots_[index].channel->stop_at_tail();
        activate(static_cast<std::uint16_t>(index));
      }
    }
    drain_ = Drain{now + deadline, now, std::move(listener)};
    KFAST_KILL_POINT("daemon.drain.begun");
  });
}

void Shard::end_drain() {
  post([this] {
    if (drain_) {
      drain_->deadline = std::chrono::steady_clock::now();
    }
  });
}

void Shard::stop() {
  if (thread_.joinable()) {
    post([this] { stopping_ = true; });
    thread_.join();
  }
}

std::optional<ProfileInfo> Shard::profile(const std::string& name) const {
  const auto found = profiles_.find(name);
  if (found == profiles_.end()) {
    return std::nullopt;
  }
  const std::lock_guard lock(mutex_);
  return found->second.info;
}

bool Shard::holds_segment(std::uint64_t c2d_inode) const {
  const std::lock_guard lock(mutex_);
  return inodes_.contains(c2d_inode);
}

void Shard::serve_commands() {
  std::vector<std::function<void()>> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (auto& command : commands) {
    command();
  }
}

void Shard::adopt(NewChannel request) {
  std::uint16_t index = 0;
  if (!free_slots_.empty()) {
    index = free_slots_.back();
    free_slots_.pop_back();
  } else {
    if (slots_.size() >= UINT16_MAX) {
      {
        const std::lock_guard lock(mutex_);
        inodes_.erase(request.segments.c2d_inode);
      }
      request.link->violated("this shard serves 65535 channels already");
      return;
    }
    index = static_cast<std::uint16_t>(slots_.size());
    slots_.emplace_back();
  }
  Slot& slot = slots_[index];
  ++slot.generation;
  const std::uint16_t generation = slot.generation;
  Profile& profile = profiles_.find(request.profile)->second;
  slot.instance = profile.instance.get();
  slot.link = std::move(request.link);
  slot.principal = std::move(request.principal);
  slot.leases = std::move(request.leases);
  const config::Limits limits = environment_.quota.limits(slot.principal);
  slot.rate =
      &rates_.try_emplace(slot.principal.uid, limits.records_per_second, limits.bytes_per_second)
           .first->second;
  slot.inode = request.segments.c2d_inode;
  slot.doorbell = std::move(request.doorbell);
  slot.stats = environment_.stats.channel_block(std::to_string(request.number), request.pid,
                                                slot.principal.name, request.profile);
  slot.stats.set(telemetry::ChannelCounter::ring_bytes, request.segments.geometry.c2d_ring_bytes);
  slot.sink = std::make_unique<KafkaSink>(*slot.instance, slot.principal, environment_.access,
                                          topic_claims_, topic_stats_);
  channel::ProducerChannel::Settings settings;
  settings.number = request.number;
  settings.reports = request.reports;
  settings.delivery_timeout_ms = slot.instance->message_timeout_ms();
  settings.client_away = request.client_away;
  slot.channel = std::make_unique<channel::ProducerChannel>(std::move(request.segments), settings,
                                                            request.inherited);
  if (!slot.instance->refusal().empty()) {
    slot.channel->tell_refusal(slot.instance->refusal());
  }
  slot.empty_rounds = 0;
  slot.retired = slot.violated = slot.touched = false;
  slot.rings = {};
  by_number_[request.number] = index;
  stats_.set(telemetry::ShardCounter::channels, by_number_.size());
  if (drain_) {
    slot.channel->stop_at_tail();
  }
  slot.heard = watch(slot.doorbell.get(), tag_of(EpollSource::channel, index, generation));
  if (!slot.heard) {
    telemetry::process_log().log(
        spdlog::level::err, "doorbell",
        "cannot watch a doorbell: {}; its channel is looked at all the time channel={}",
        std::strerror(errno), request.number);
  }
  slot.active = false;
  activate(index);
  KFAST_KILL_POINT("daemon.adopt.done");
}

void Shard::welcome_client(std::uint32_t number, std::shared_ptr<ClientLink> link) {
  const auto found = by_number_.find(number);
  if (found == by_number_.end()) {
    return;  // its client has closed it before; word of that is on its way
  }
  Slot& slot = slots_[found->second];
  slot.link = std::move(link);
  slot.channel->client_has_come();
  activate(found->second);
  touch(found->second);
  if (slot.violated) {
    slot.link->violated("what it left behind cannot be read");
  }
}

void Shard::retire(std::uint32_t number, Retirement why) {
  const auto found = by_number_.find(number);
  if (found == by_number_.end()) {
    return;
  }
  Slot& slot = slots_[found->second];
  slot.retired = true;
  // A worker that may come back reads the reports then: by the credit rule they have room.
  if (why == Retirement::for_good || why == Retirement::violation) {
    slot.channel->stop_reports();
    slot.channel->retire_for_good();
  }
  switch (why) {
    case Retirement::violation:
      slot.channel->stop_taking();
      break;
    case Retirement::not_allowed:
      slot.channel->stop_here();
      break;
    case Retirement::session_ended:
    case Retirement::for_good:
      slot.channel->stop_at_tail();
      break;
  }
  activate(found->second);
  touch(found->second);
  KFAST_KILL_POINT("daemon.retire.begun");
}

void Shard::close_drained(std::uint16_t index) {
  Slot& slot = slots_[index];
  KFAST_KILL_POINT("daemon.retire.drained");
  const std::uint32_t number = slot.channel->number();
  static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, slot.doorbell.get(), nullptr));
  {
    const std::lock_guard lock(mutex_);
    inodes_.erase(slot.inode);
  }
  by_number_.erase(number);
  std::erase(active_, index);
  std::erase(muted_, index);
  slot.active = false;
  slot.channel.reset();
  slot.sink.reset();
  slot.doorbell.reset();
  slot.stats = {};
  slot.leases.clear();
  slot.link->channel_closed(number);
  slot.link.reset();
  free_slots_.push_back(index);
  stats_.set(telemetry::ShardCounter::channels, by_number_.size());
}

void Shard::end_violator(std::uint16_t index, const char* rule) {
  Slot& slot = slots_[index];
  if (slot.violated) {
    return;
  }
  slot.violated = true;
  slot.channel->stop_taking();
  slot.channel->stop_reports();
  slot.link->violated(rule);
}

}  // namespace kfast::daemon::shard
