// The Kafka instance behind a channel is replaced: what has no outcome is taken from the ring
// again.
#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

using ipc::Outcome;
using telemetry::TopicCounter;

class TakeAgainTest : public ChannelTest {
 protected:
  std::uint64_t send(const std::string& value) {
    RecordSpec spec;
    spec.value = value;
    return client_->send(spec);
  }
  void replace_instance() {
    channel_->take_again();
    sink_ = std::make_unique<RememberingSink>(stats_);
  }
};

TEST_F(TakeAgainTest, WhatHasNoOutcomeIsSentAgainInRingOrderAndNothingElse) {
  open();
  const std::uint64_t one = send("one");
  const std::uint64_t two = send("two");
  const std::uint64_t three = send("three");
  take();
  deliver(1, 5);
  replace_instance();
  const std::uint64_t four = send("four");
  EXPECT_EQ(take().records, 4U);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"one", "three", "four"}));
  for (std::size_t i = 0; i < 3; ++i) {
    deliver(i, 10);
  }
  ASSERT_TRUE(channel_->finish_round());
  // One report each: what was reported before is not repeated.
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{two, 0, Outcome::delivered, 0, 1, 5},
                                     {one, 0, Outcome::delivered, 0, 1, 10},
                                     {three, 0, Outcome::delivered, 0, 1, 10},
                                     {four, 0, Outcome::delivered, 0, 1, 10}}));
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
  EXPECT_EQ(channel_->in_flight(), 0U);
}

TEST_F(TakeAgainTest, ItIsCountedOnceAsTakenAndEachTimeAsSubmittedAgain) {
  open();
  send("one");
  send("two");
  take();
  replace_instance();
  take();
  replace_instance();
  send("three");
  take();
  EXPECT_EQ(counted(TopicCounter::taken_messages), 3U);
  EXPECT_EQ(counted(TopicCounter::in_flight_messages), 3U);
  EXPECT_EQ(counted(TopicCounter::resubmitted_instance_replaced), 4U);
  EXPECT_EQ(counted(TopicCounter::resubmitted_daemon_restart), 0U);
}

TEST_F(TakeAgainTest, AnOutcomeOfTheFormerInstanceThatComesLateIsIgnored) {
  open();
  send("one");
  take();
  const std::uint32_t former = sink_->sequences.at(0);
  replace_instance();
  take();
  channel_->resolve(former, {Outcome::failed, 10, 1, -1}, {});
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_TRUE(client_->read_reports().records.empty());
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records.size(), 1U);
}

TEST_F(TakeAgainTest, WhatMayHaveBeenSentNeverFailsForCertain) {
  open();
  const std::uint64_t sent = send("handed over");
  take();
  replace_instance();
  const std::uint64_t fresh = send("fresh");
  take();
  fail(0);
  fail(1);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{sent, 0, Outcome::unknown, 10, 1, -1},
                                     {fresh, 0, Outcome::failed, 10, 1, -1}}));
}

TEST_F(TakeAgainTest, WhatThePredecessorKnewAndThisLifeHasNotComeToIsStillReported) {
  open();
  send("one");
  const std::uint64_t two = send("two");
  take();
  deliver(1, 5);
  replace_daemon();
  EXPECT_EQ(take(1).records, 1U);
  replace_instance();
  take();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{two, 0, Outcome::delivered, 0, -1, -1}}));
  EXPECT_EQ(counted(TopicCounter::resubmitted_instance_replaced), 1U);
}

TEST_F(TakeAgainTest, TheTopicIsAskedForAgainAndItsBudgetStartsAnew) {
  open();
  client_->put_topic(1, "other");
  RecordSpec big;
  big.value = std::string(900, 'v');
  client_->send(big);
  client_->send(big);
  big.topic = 1;
  client_->send(big);
  take();
  replace_instance();
  take();
  EXPECT_EQ(sink_->opened, (std::vector<std::string>{"orders", "other"}));
  for (std::size_t i = 0; i < 3; ++i) {
    deliver(i);
  }
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->used_bytes(), 0U);
  EXPECT_EQ(counted(TopicCounter::in_flight_messages), 0U);
}

TEST_F(TakeAgainTest, AChannelThatIsTrustedNoMoreIsDrainedWithUnknownOutcomes) {
  open();
  send("one");
  send("two");
  take();
  deliver(1);
  channel_->stop_taking();
  channel_->take_again();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_TRUE(channel_->drained());
  EXPECT_EQ(counted(TopicCounter::unknown), 1U);
  EXPECT_EQ(counted(TopicCounter::in_flight_messages), 0U);
}

TEST_F(TakeAgainTest, AChannelThatDrainsTakesAgainUpToItsEnd) {
  open();
  send("one");
  take();
  channel_->stop_at_tail();
  EXPECT_TRUE(channel_->finished_taking());
  channel_->take_again();
  EXPECT_FALSE(channel_->finished_taking());
  take();
  deliver(1);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_TRUE(channel_->drained());
}

}  // namespace
}  // namespace kfast::daemon::channel::test
