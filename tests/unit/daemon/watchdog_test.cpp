#include "watchdog.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>

namespace kfast::daemon {
namespace {

using std::chrono::microseconds;

class WatchdogTest : public ::testing::Test {
 protected:
  void SetUp() override { TearDown(); }
  void TearDown() override {
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
  }
};

TEST_F(WatchdogTest, NobodyWatchesWithoutTheVariable) {
  EXPECT_EQ(watchdog_time(), std::nullopt);
}

TEST_F(WatchdogTest, TheTimeIsTheVariables) {
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  EXPECT_EQ(watchdog_time(), microseconds(30'000'000));
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(watchdog_time(), microseconds(30'000'000));
}

TEST_F(WatchdogTest, AnotherProcessMayBeMeant) {
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getppid()).c_str(), 1);
  EXPECT_EQ(watchdog_time(), std::nullopt);
}

TEST_F(WatchdogTest, WhatIsNoTimeIsNone) {
  for (const char* text : {"", "0", "-1", "soon", "30s"}) {
    ::setenv("WATCHDOG_USEC", text, 1);
    EXPECT_EQ(watchdog_time(), std::nullopt) << text;
  }
}

TEST(StatusLine, SaysHowManyClustersAreUpAndWhatWaits) {
  shard::Standing standing;
  standing.clusters = 2;
  standing.clusters_up = 1;
  standing.waiting.records = 7;
  EXPECT_EQ(status_line(standing), "STATUS=serving: 1 of 2 clusters up, 7 records wait");
  standing.waiting.bytes = 4096;
  EXPECT_EQ(status_line(standing),
            "STATUS=serving: 1 of 2 clusters up, 7 records wait, 4096 bytes of rings are not taken "
            "yet");
}

}  // namespace
}  // namespace kfast::daemon
