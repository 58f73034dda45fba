#include "kfastctl/health_check.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>

#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"
#include "segment_fixture.hpp"

namespace kfast::ctl {
namespace {

using daemon::telemetry::Activity;
using daemon::telemetry::DaemonCounter;
using daemon::telemetry::Phase;
using daemon::telemetry::ProfileCounter;

class HealthTest : public SegmentFixture {
 protected:
  ipc::Fd listen() const {
    ipc::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = directory_ + "/" + ipc::kSessionSocketName;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 8), 0);
    return fd;
  }
  Health check() const { return check_health(directory_, 10'000); }
  static bool says(const Health& health, const std::string& part) {
    for (const std::string& finding : health.findings) {
      if (finding.find(part) != std::string::npos) {
        return true;
      }
    }
    return false;
  }
};

TEST_F(HealthTest, ARunningDaemonIsOk) {
  const ipc::Fd socket = listen();
  const auto stats = make_segment();
  stats->set_phase(Phase::running);
  stats->beat(0, Activity::working);
  EXPECT_EQ(check().level, HealthLevel::ok);
}

TEST_F(HealthTest, NoDaemonAtAllIsCriticalAndSaysHowToStartIt) {
  const Health health = check();
  EXPECT_EQ(health.level, HealthLevel::critical);
  EXPECT_TRUE(says(health, "systemctl start kfastd"));
}

TEST_F(HealthTest, ADeadDaemonsSocketAndSegmentAreCritical) {
  listen().reset();
  leave_segment_of_a_dead_process();
  const Health health = check();
  EXPECT_EQ(health.level, HealthLevel::critical);
  EXPECT_TRUE(says(health, "does not listen"));
  EXPECT_TRUE(says(health, "is gone"));
}

TEST_F(HealthTest, ABusyShardWithoutProgressIsCriticalAndAnIdleOneIsNot) {
  const auto stats = make_segment(2);
  stats->set_phase(Phase::running);
  stats->beat(0, Activity::idle, 1000);
  stats->beat(1, Activity::working, 50'000);
  const auto health_at = [&](std::uint64_t now) {
    Health health;
    check_snapshot(*parse_snapshot(stats->bytes(), true, now).snapshot, 10'000, health);
    return health;
  };
  EXPECT_EQ(health_at(60'000).level, HealthLevel::ok);
  EXPECT_EQ(health_at(60'001).level, HealthLevel::critical);
  EXPECT_TRUE(says(health_at(60'001), "shard 1 has made no progress"));
}

TEST_F(HealthTest, StartingAndDrainingAreWarnings) {
  const ipc::Fd socket = listen();
  const auto stats = make_segment();
  EXPECT_EQ(check().level, HealthLevel::warning);
  stats->begin_drain(std::chrono::hours(1));
  EXPECT_EQ(check().level, HealthLevel::warning);
  EXPECT_TRUE(says(check(), "draining (0 records wait, "));
}

TEST_F(HealthTest, AProfileWithoutAnyBrokerIsAWarning) {
  const ipc::Fd socket = listen();
  const auto stats = make_segment();
  stats->set_phase(Phase::running);
  auto profile = stats->profile_block("main", "default");
  profile.set(ProfileCounter::all_brokers_down, 1);
  EXPECT_EQ(check().level, HealthLevel::warning);
  EXPECT_TRUE(says(check(), "cluster=main profile=default"));
  profile.set(ProfileCounter::all_brokers_down, 0);
  EXPECT_EQ(check().level, HealthLevel::ok);
}

TEST_F(HealthTest, ADescriptorStoreThatGivesNoAnswerIsAWarning) {
  const ipc::Fd socket = listen();
  const auto stats = make_segment();
  stats->set_phase(Phase::running);
  auto daemon = stats->daemon_block();
  daemon.set(DaemonCounter::fd_store_silent, 1);
  EXPECT_EQ(check().level, HealthLevel::warning);
  EXPECT_TRUE(says(check(), "$NOTIFY_SOCKET"));
  daemon.set(DaemonCounter::fd_store_silent, 0);
  EXPECT_EQ(check().level, HealthLevel::ok);
}

TEST_F(HealthTest, AForeignFileInTheSegmentsPlaceIsUnknown) {
  const ipc::Fd socket = listen();
  std::filesystem::create_directory(directory_ + "/stats");
  EXPECT_EQ(check().level, HealthLevel::unknown);
}

TEST(HealthLevels, CriticalOutweighsUnknownAndUnknownOutweighsWarning) {
  Health health;
  health.add(HealthLevel::critical, "a");
  health.add(HealthLevel::unknown, "b");
  EXPECT_EQ(health.level, HealthLevel::critical);
  Health other;
  other.add(HealthLevel::unknown, "a");
  other.add(HealthLevel::warning, "b");
  EXPECT_EQ(other.level, HealthLevel::unknown);
}

}  // namespace
}  // namespace kfast::ctl
