#include "daemon_under_test.hpp"

#include <dirent.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "config/load.hpp"
#include "input.hpp"

namespace kfast::fuzz {
namespace {

namespace config = daemon::config;

std::string new_directory() {
  char path[] = "/tmp/kfast-fuzz-XXXXXX";
  promise(::mkdtemp(path) != nullptr, "a folder can be made in /tmp");
  return path;
}

config::Config config_for(const std::string& directory) {
  config::Config made = config::dev_config("127.0.0.1:1", directory);
  auto& properties = made.clusters.at("main").properties;
  properties.push_back(config::Property{"reconnect.backoff.ms", "3600000"});
  properties.push_back(config::Property{"reconnect.backoff.max.ms", "3600000"});
  made.allow.front().produce = {"a-topic-that-no-input-names"};
  config::Limits limits;
  limits.sessions = DaemonUnderTest::kSessions;
  limits.channels = 8;
  limits.ring_bytes = std::uint64_t{32} << 20U;
  limits.topics = 64;
  made.limits["default"] = limits;
  return made;
}

}  // namespace

DaemonUnderTest::DaemonUnderTest()
    : directory_(new_directory()),
      config_(config_for(directory_)),
      access_(config_.allow),
      quota_(config_.limits) {
  ::signal(SIGPIPE, SIG_IGN);
  spdlog::set_level(spdlog::level::off);
  auto stats = daemon::telemetry::StatsSegment::create({.version = "fuzz"});
  promise(stats.segment != nullptr, "a stats segment can be made");
  stats_ = std::move(stats.segment);
  counters_ = stats_->daemon_block();
  auto loop = daemon::session::EventLoop::create();
  promise(loop.ok(), "an event loop can be made");
  loop_ = loop.take();
  // Nobody keeps descriptors here: then it does nothing.
  ::unsetenv("NOTIFY_SOCKET");
  store_ = std::make_unique<daemon::session::FdStore>(*loop_, counters_, 0);
  auto shard = daemon::shard::Shard::create(0, {config_, access_, quota_, *stats_, 1});
  promise(shard.ok(), "a shard can be made");
  shard_ = shard.take();
  auto server = daemon::session::Server::create(
      {*loop_, config_, access_, quota_, counters_, *shard_, *store_, "fuzz", 1}, {});
  promise(server.ok(), "a server can be made");
  server_ = server.take();
  shard_->start();
  server_->begin({}, [] {});
  thread_ = std::thread([this] { loop_->run(); });
}

DaemonUnderTest::~DaemonUnderTest() {
  loop_->post([this] { loop_->stop(); });
  thread_.join();
  shard_->stop();
  server_.reset();
  ::rmdir(directory_.c_str());
}

std::string DaemonUnderTest::session_socket() const {
  return directory_ + "/" + ipc::kSessionSocketName;
}
std::string DaemonUnderTest::bell_socket() const {
  return directory_ + "/" + ipc::kBellSocketName;
}

std::size_t DaemonUnderTest::descriptors() {
  std::size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  promise(folder != nullptr, "/proc can be read");
  while (const dirent* entry = ::readdir(folder)) {
    char target[64] = {};
    const ssize_t size = ::readlinkat(::dirfd(folder), entry->d_name, target, sizeof target - 1);
    // librdkafka's threads make their pipes when they come to it.
    count += size > 0 && std::strncmp(target, "pipe:", 5) != 0 ? 1 : 0;
  }
  ::closedir(folder);
  return count;
}

void DaemonUnderTest::expect_nothing_held(std::size_t descriptors_before) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  for (;;) {
    const daemon::policy::Usage usage = quota_.in_use_by_all();
    const bool leases = usage.sessions + usage.channels + usage.ring_bytes + usage.topics != 0;
    if (!leases && descriptors() <= descriptors_before) {
      return;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      std::fprintf(
          stderr, "sessions=%zu channels=%zu ring_bytes=%zu topics=%zu fds=%zu before=%zu\n",
          std::size_t{usage.sessions}, std::size_t{usage.channels}, std::size_t{usage.ring_bytes},
          std::size_t{usage.topics}, descriptors(), descriptors_before);
      promise(!leases, "a session that is over gives all its leases back");
      promise(false, "a session that is over leaves no descriptor behind");
    }
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace kfast::fuzz
