// Records that a sink holds back within a turn, to hand them over together.
#include <gtest/gtest.h>

#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

using ipc::Outcome;

class HandOverTest : public ChannelTest {
 protected:
  Refused refusal_of(std::uint32_t sequence) const {
    return {
        kOpaqueBase | sequence, {Outcome::failed, 10, -1, -1}, telemetry::FailureReason::too_large};
  }
};

TEST_F(HandOverTest, EveryTurnEndsInOne) {
  open();
  client_->send(record("one"));
  client_->send(record("two"));
  EXPECT_EQ(take().records, 2U);
  EXPECT_EQ(sink_->hand_overs, 1U);
}

TEST_F(HandOverTest, ATurnThatABrokenFrameEndsHandsOverWhatItTook) {
  open();
  client_->send(record("one"));
  RecordSpec broken = record("two");
  broken.topic = 3;
  client_->send(broken);
  EXPECT_NE(take().violation, nullptr);
  EXPECT_EQ(sink_->hand_overs, 1U);
}

TEST_F(HandOverTest, ARecordThatIsRefusedThenIsReportedInTheSameRound) {
  open();
  const std::uint64_t first = client_->send(record("one"));
  const std::uint64_t second = client_->send(record("two"));
  sink_->refused_at_hand_over = {refusal_of(1)};
  EXPECT_EQ(take().records, 2U);
  EXPECT_EQ(channel_->in_flight(), 1U);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{second, 0, Outcome::failed, 10, -1, -1}}));
  EXPECT_EQ(client_->daemon_words().head.load(), first) << "the first one has no outcome yet";
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->daemon_words().head.load(), channel_->taken());
}

TEST_F(HandOverTest, ARefusalOfARecordThatIsNotThereIsIgnored) {
  open();
  client_->send(record("one"));
  sink_->refused_at_hand_over = {refusal_of(7)};
  EXPECT_EQ(take().records, 1U);
  EXPECT_EQ(channel_->in_flight(), 1U);
}

TEST_F(HandOverTest, WhatWasNeitherTakenNorRefusedIsTakenAgain) {
  open();
  client_->send(record("one"));
  client_->send(record("two"));
  EXPECT_EQ(take().records, 2U);
  // A fatal error struck before the hand-over: librdkafka has neither.
  channel_->take_again();
  EXPECT_EQ(channel_->in_flight(), 0U);
  EXPECT_EQ(take().records, 2U);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"one", "two", "one", "two"}));
}

}  // namespace
}  // namespace kfast::daemon::channel::test
