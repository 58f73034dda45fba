// What a stop leaves behind is counted exactly, taken or not.
#include <cstring>

#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

class WithoutOutcomeTest : public ChannelTest {
 protected:
  std::uint64_t send(const std::string& value = "value") {
    RecordSpec spec;
    spec.value = value;
    return client_->send(spec);
  }
};

TEST_F(WithoutOutcomeTest, AnOutcomeBehindAnEarlierRecordThatWaitsIsNotCountedAsWaiting) {
  open();
  for (int i = 0; i < 3; ++i) {
    send();
  }
  take();
  deliver(1);
  deliver(2);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->in_flight(), 1U);
  EXPECT_FALSE(channel_->drained());
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->in_flight(), 0U);
}

TEST_F(WithoutOutcomeTest, RecordsThatWereNotTakenCountUpToTheEndOfTaking) {
  open();
  for (int i = 0; i < 3; ++i) {
    send();
  }
  take(1);
  channel_->stop_at_tail();
  const std::uint64_t end = client_->words().tail.load();
  send();  // comes after the end
  EXPECT_EQ(channel_->in_flight(), 1U);
  EXPECT_EQ(channel_->bytes_to_take(), end - channel_->taken());
  EXPECT_EQ(channel_->count_without_outcome(), 3U);
  take();
  EXPECT_EQ(channel_->bytes_to_take(), 0U);
  EXPECT_EQ(channel_->count_without_outcome(), 3U);
}

TEST_F(WithoutOutcomeTest, PaddingAtTheRingsEndIsNoRecord) {
  open();
  // Five frames of 744 bytes leave too little of the ring's 4096 for the sixth.
  const std::string value(720, 'v');
  for (std::size_t i = 0; i < 4; ++i) {
    send(value);
    take();
    deliver(i);
    ASSERT_TRUE(channel_->finish_round());
  }
  send(value);
  send(value);
  channel_->stop_at_tail();
  ASSERT_GT(channel_->bytes_to_take(), 2 * 744U);
  EXPECT_EQ(channel_->count_without_outcome(), 2U);
}

TEST_F(WithoutOutcomeTest, WhatAnEarlierLifeSettledIsNotCounted) {
  open();
  for (int i = 0; i < 3; ++i) {
    send();
  }
  take();
  deliver(1);
  replace_daemon();
  channel_->stop_at_tail();
  EXPECT_EQ(channel_->in_flight(), 0U);
  EXPECT_EQ(channel_->count_without_outcome(), 2U);
}

TEST_F(WithoutOutcomeTest, CountingEndsWhereTheRingMakesNoSense) {
  open();
  send();
  const std::uint64_t second = send();
  send();
  std::memset(client_->ring_at(second), 0, 8);
  channel_->stop_at_tail();
  EXPECT_EQ(channel_->count_without_outcome(), 1U);
}

}  // namespace
}  // namespace kfast::daemon::channel::test
