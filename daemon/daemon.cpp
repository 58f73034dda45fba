#include "daemon.hpp"

#include <librdkafka/rdkafka.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <utility>

#include "config/changes.hpp"
#include "config/kafka_conf.hpp"
#include "process.hpp"
#include "telemetry/log.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon {
namespace {

std::uint64_t random_epoch() {
  std::uint64_t epoch = 0;
  static_cast<void>(::getrandom(&epoch, sizeof epoch, 0));
  return epoch;
}

std::int64_t monotonic_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Daemon::Daemon(config::Config config)
    : config_(std::move(config)), access_(config_.allow), quota_(config_.limits) {}

Daemon::~Daemon() {
  server_.reset();
  shard_.reset();
}

Result<std::unique_ptr<Daemon>> Daemon::start(config::Config config,
                                              std::unique_ptr<kafka::DevBroker> dev_broker,
                                              Given given) {
  std::unique_ptr<Daemon> self(new Daemon(std::move(config)));
  self->dev_broker_ = std::move(dev_broker);
  self->signals_ = std::move(given.signals);
  self->directory_ = std::move(given.directory);
  self->kept_ = std::move(given.kept);
  self->read_config_ = std::move(given.read_config);

  auto stats = telemetry::StatsSegment::create(
      {.directory = self->config_.daemon.socket_dir, .version = KFAST_DAEMON_VERSION, .shards = 1});
  if (!stats.segment) {
    return Failure{stats.error};
  }
  self->stats_ = std::move(stats.segment);
  self->counters_ = self->stats_->daemon_block();
  self->log_counters_ = self->stats_->daemon_block();
  telemetry::open_process_log(&self->log_counters_);

  auto loop = session::EventLoop::create();
  if (!loop) {
    return Failure{loop.error()};
  }
  self->loop_ = loop.take();
  self->store_ =
      std::make_unique<session::FdStore>(*self->loop_, self->counters_, self->kept_.most);

  const std::uint64_t epoch = random_epoch();
  auto shard =
      shard::Shard::create(0, {self->config_, self->access_, self->quota_, *self->stats_, epoch});
  if (!shard) {
    return Failure{shard.error()};
  }
  self->shard_ = shard.take();

  auto server = session::Server::create(
      {*self->loop_, self->config_, self->access_, self->quota_, self->counters_, *self->shard_,
       *self->store_, KFAST_DAEMON_VERSION, epoch},
      std::move(given.listeners));
  if (!server) {
    return Failure{server.error()};
  }
  self->server_ = server.take();
  Daemon* daemon = self.get();
  self->watchdog_ = std::make_unique<Watchdog>(
      *self->loop_, *self->shard_, [daemon](const std::string& state) { daemon->tell(state); });
  if (!self->loop_->add(self->signals_.get(), EPOLLIN,
                        [daemon](std::uint32_t) { daemon->on_signal(); })) {
    return Failure{std::string("cannot watch for signals")};
  }
  return self;
}

int Daemon::run() {
  shard_->start();
  server_->begin(std::move(kept_.fds), [this] { announce_serving(); });
  loop_->run();
  limit_shutdown(static_cast<unsigned>(kShutdownTime.count()), drain_ && drain_->whole());
  shard_->stop();
  const std::string outcome = drain_ ? drain_->outcome() : "kept segments were not adopted";
  notify("STATUS=stopped: " + outcome);
  spdlog::info("kfastd stopped: {}", outcome);
  return 0;
}

void Daemon::announce_serving() {
  serving_ = true;
  if (stop_asked_) {
    begin_drain();
    return;
  }
  stats_->set_phase(telemetry::Phase::running);
  spdlog::info("kfastd {} serves {} librdkafka={} profiles={}", KFAST_DAEMON_VERSION,
               config_.daemon.socket_dir, rd_kafka_version_str(), config_.profiles.size());
  tell("READY=1\nSTATUS=serving");
  if (const auto within = watchdog_time()) {
    watchdog_->start(*within);
  }
  if (reload_asked_) {
    reload();
  }
}

void Daemon::tell(const std::string& state) {
  if (store_->active()) {
    store_->tell(state);  // behind what is kept, and it does not wait
  } else {
    notify(state);
  }
}

void Daemon::on_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) {
    return;
  }
  if (info.ssi_signo == SIGHUP) {
    reload();
    return;
  }
  if (drain_) {
    drain_->hurry();
  } else if (serving_) {
    begin_drain();
  } else if (!stop_asked_) {
    // Before, a drain would find nothing to wait for.
    spdlog::info("stopping as soon as kept segments are adopted");
    stop_asked_ = true;
  } else {
    spdlog::warn("second signal: stops without adopting; kept segments stay where they are kept");
    loop_->stop();
  }
}

void Daemon::reload() {
  if (drain_ || stop_asked_) {
    spdlog::warn("SIGHUP while kfastd stops: the configuration is not read again");
    return;
  }
  if (!serving_) {
    // The file may have changed since this kfastd read it.
    spdlog::info("SIGHUP: reads the configuration again as soon as kept segments are adopted");
    reload_asked_ = true;
    return;
  }
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us()));
  const std::string refused = take_new_config();
  if (refused.empty()) {
    // What it was told stands before this in the shard's queue: when it answers, it has done it.
    shard_->ask([this](const shard::Standing&) { loop_->post([this] { announce_reloaded(); }); });
    return;
  }
  counters_.set_note("last_reload_refused", refused);
  counters_.add(telemetry::DaemonCounter::reloads_refused);
  spdlog::error("the configuration was read again and is refused, nothing has changed: {}",
                refused);
  tell("READY=1\nSTATUS=serving; the configuration was read again and refused: see the log");
}

void Daemon::announce_reloaded() {
  counters_.set_note("last_reload_refused", "");
  counters_.add(telemetry::DaemonCounter::reloads_applied);
  spdlog::info("configuration read again and applied");
  if (!drain_) {
    tell("READY=1\nSTATUS=serving, with the configuration read again");
  }
}

std::string Daemon::take_new_config() {
  auto read = read_config_();
  if (!read) {
    return read.error();
  }
  config::Changes changes = config::changes_between(config_, *read);
  if (!changes.need_restart.empty()) {
    std::string text = "only a restart changes";
    for (const std::string& each : changes.need_restart) {
      text += " " + each;
    }
    return text + ": systemctl restart kfastd, or change it back";
  }
  for (const auto* changed : {&changes.profiles, &changes.passwords}) {
    for (const config::KafkaSetup& each : *changed) {
      const auto conf = config::make_producer_conf(each.cluster, each.profile);
      const std::string why =
          conf ? config::try_producer(conf->conf.get()) : config::to_text(conf.error().front());
      if (!why.empty()) {
        return "profile " + each.profile.name + ": " + why;
      }
    }
  }
  config_ = read.take();
  if (const auto level = telemetry::parse_log_level(config_.daemon.log_level)) {
    spdlog::set_level(*level);
  }
  access_.replace(config_.allow);
  quota_.set_limits(config_.limits);
  // First the sessions that end, so that their records are left alone and not refused.
  server_->policy_changed();
  shard_->policy_changed();
  shard_->renew(std::move(changes.profiles));
  shard_->renew_passwords(std::move(changes.passwords));
  return {};
}

void Daemon::begin_drain() {
  watchdog_->leave_status();
  drain_ = Drain::begin({*loop_, *server_, *store_, *shard_, *stats_, counters_,
                         [this](const std::string& state) { tell(state); }},
                        std::chrono::milliseconds(config_.daemon.drain_timeout_ms));
}

}  // namespace kfast::daemon
