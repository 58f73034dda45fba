// The wall clock is set while records wait in the ring.
#include "channel/send_times.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

class SendTimesTest : public ChannelTest {};

TEST_F(SendTimesTest, AWallClockThatIsSetForwardExpiresNothingThatWaits) {
  settings_.delivery_timeout_ms = 1000;
  open();
  constexpr std::int64_t hour = 3'600'000;
  RecordSpec spec = record("by the old clock, in time");
  spec.sent_ms = kNow - 900;
  client_->send(spec);
  spec = record("by the old clock, late");
  spec.sent_ms = kNow - 1001;
  client_->send(spec);
  channel_->wall_clock_went(kNow, hour);
  spec = record("by the new clock, in time");
  spec.sent_ms = kNow + hour + 50;
  client_->send(spec);
  take(1000, kNow + hour);
  EXPECT_EQ(sink_->values,
            (std::vector<std::string>{"by the old clock, in time", "by the new clock, in time"}));
  spec = record("by the new clock, late");
  spec.sent_ms = kNow + hour + 60;
  client_->send(spec);
  take(1000, kNow + hour + 1061);
  EXPECT_EQ(sink_->values.size(), 2U);
}

TEST_F(SendTimesTest, SeveralStepsForwardAddUp) {
  settings_.delivery_timeout_ms = 1000;
  open();
  RecordSpec spec = record("waits");
  spec.sent_ms = kNow - 500;
  client_->send(spec);
  channel_->wall_clock_went(kNow, 5000);
  channel_->wall_clock_went(kNow + 5100, 7000);
  take(1000, kNow + 12'100);
  EXPECT_EQ(sink_->values.size(), 1U);
}

TEST_F(SendTimesTest, AWallClockThatIsSetBackFailsNothing) {
  settings_.delivery_timeout_ms = 1000;
  open();
  RecordSpec spec = record("waits");
  spec.sent_ms = kNow;
  client_->send(spec);
  channel_->wall_clock_went(kNow, -500'000);
  take(1000, kNow - 500'000);
  EXPECT_EQ(sink_->values.size(), 1U);
}

TEST_F(SendTimesTest, WhatWasSentBeforeTheWallClockWentBackCountsAsSentThen) {
  settings_.delivery_timeout_ms = 1000;
  open();
  RecordSpec spec = record("by the old clock");
  spec.sent_ms = kNow + kDay;
  client_->send(spec);
  channel_->wall_clock_went(kNow + kDay, -kDay);
  spec = record("by the new clock");
  spec.sent_ms = kNow + 900;
  client_->send(spec);
  take(1, kNow + 1000);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"by the old clock"})) << "a day ahead of it";
  EXPECT_EQ(sink_->sent_ms, (std::vector<std::int64_t>{kNow}));
  take(1, kNow + 1900);
  EXPECT_EQ(sink_->values.size(), 2U);
}

TEST_F(SendTimesTest, WhatWaitsExpiresThoughTheWallClockWentBack) {
  settings_.delivery_timeout_ms = 1000;
  open();
  RecordSpec spec = record("waits");
  spec.sent_ms = kNow + kDay;
  client_->send(spec);
  channel_->wall_clock_went(kNow + kDay, -kDay);
  take(1000, kNow + 1001);
  EXPECT_TRUE(sink_->values.empty());
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records.at(0).error, -192);
}

TEST_F(SendTimesTest, AWallClockThatGoesBackAndForthLeavesTimeoutsAsTheyWere) {
  settings_.delivery_timeout_ms = 1000;
  open();
  RecordSpec spec = record("waits");
  spec.sent_ms = kNow + kDay;
  client_->send(spec);
  channel_->wall_clock_went(kNow + kDay, -kDay);
  channel_->wall_clock_went(kNow + 100, kDay);
  take(1000, kNow + kDay + 900);
  EXPECT_EQ(sink_->values.size(), 1U);
}

TEST_F(SendTimesTest, WhatIsInheritedMayBeOfATimeThatHasNotComeYet) {
  settings_.delivery_timeout_ms = 1000;
  open();
  for (const char* value : {"one", "two"}) {
    RecordSpec spec = record(value);
    spec.sent_ms = kNow + kDay;
    client_->send(spec);
  }
  replace_daemon();
  take(1);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"one"}));
  EXPECT_EQ(sink_->sent_ms, (std::vector<std::int64_t>{kNow}));
  take(1, kNow + 1001);
  EXPECT_EQ(sink_->values.size(), 1U) << "it has waited for longer than it may";
}

TEST_F(SendTimesTest, WhatIsInheritedDoesNotExpireWhereTheClockWentForwardInBetween) {
  settings_.delivery_timeout_ms = 1000;
  open();
  for (const std::int64_t waited : {900, 1001}) {
    RecordSpec spec = record(std::to_string(waited));
    spec.sent_ms = kNow - waited;
    client_->send(spec);
  }
  channel_->segments().d2c_header().wall_ahead_ms -= kDay;  // what the dead daemon saw
  replace_daemon();
  take(1000, kNow + kDay);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"900"}));
}

TEST_F(SendTimesTest, WhatAFormerDaemonSaysOfTheClockMayBeAnything) {
  settings_.delivery_timeout_ms = 1000;
  for (const std::int64_t word :
       {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, INT64_MAX}) {
    open();
    client_->send(record("now"));
    channel_->segments().d2c_header().wall_ahead_ms = word;
    replace_daemon();
    take();
    EXPECT_EQ(sink_->values.size(), 1U) << word;
  }
}

}  // namespace
}  // namespace kfast::daemon::channel::test
