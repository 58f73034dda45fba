// The Kafka instance behind a channel is replaced: what has no outcome is taken from the ring
// again.
#include <algorithm>

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

// ---- while the client is away: the head waits for it, whatever has its outcome ------------------

class TakeAgainAwayTest : public TakeAgainTest {
 protected:
  /// The daemon before died with `one` delivered and `two` handed over; the client sends on.
  void SetUp() override {
    open();
    one_ = send("one");
    two_ = send("two");
    take();
    deliver(0, 5);
    adopt_without_client();
    three_ = send("three");
    take();
    EXPECT_EQ(sink_->values, (std::vector<std::string>{"two", "three"}));
  }
  std::uint64_t one_ = 0;
  std::uint64_t two_ = 0;
  std::uint64_t three_ = 0;
};

TEST_F(TakeAgainAwayTest, WhatHasItsOutcomeIsNeitherSentNorReportedAgain) {
  deliver(0, 7);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->head(), 0U);
  replace_instance();
  EXPECT_EQ(channel_->take(*sink_, kOpaqueBase, 1000, kNow).violation, nullptr);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"three"}));
  deliver(0, 9);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->head(), 0U) << "the client is not here";
  EXPECT_EQ(channel_->in_flight(), 0U);
  client_comes();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{one_, 0, Outcome::delivered, 0, -1, -1},
                                     {two_, 0, Outcome::delivered, 0, 1, 7},
                                     {three_, 0, Outcome::delivered, 0, 1, 9}}));
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
}

TEST_F(TakeAgainAwayTest, TheClientComesInTheMiddleOfIt) {
  deliver(0, 7);
  ASSERT_TRUE(channel_->finish_round());
  replace_instance();
  client_comes();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->head(), 0U) << "what is taken again has to be passed first";
  const std::uint64_t four = send("four");
  take();
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"three", "four"}));
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->head(), three_);
  deliver(0, 9);
  deliver(1, 10);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{one_, 0, Outcome::delivered, 0, -1, -1},
                                     {two_, 0, Outcome::delivered, 0, 1, 7},
                                     {three_, 0, Outcome::delivered, 0, 1, 9},
                                     {four, 0, Outcome::delivered, 0, 1, 10}}));
  EXPECT_EQ(channel_->used_bytes(), 0U);
}

TEST_F(TakeAgainAwayTest, ALostOneIsNotTakenForADeliveredOne) {
  fail(0);
  ASSERT_TRUE(channel_->finish_round());
  replace_instance();
  take();
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  adopt_without_client();
  take();
  EXPECT_TRUE(sink_->values.empty()) << "everything has its outcome";
  ASSERT_TRUE(channel_->finish_round());
  client_comes();
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{one_, 0, Outcome::delivered, 0, -1, -1},
                                     {two_, 0, Outcome::unknown, 0, -1, -1},
                                     {three_, 0, Outcome::delivered, 0, -1, -1}}));
}

TEST_F(TakeAgainAwayTest, AFurtherDaemonSendsWhatHadNoOutcomeOnceMore) {
  deliver(1);
  ASSERT_TRUE(channel_->finish_round());
  replace_instance();
  take();
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"two"}));
  adopt_without_client();
  take();
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"two"}));
  EXPECT_EQ(counted(TopicCounter::resubmitted_daemon_restart), 2U);
  EXPECT_EQ(counted(TopicCounter::resubmitted_instance_replaced), 1U);
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  client_comes();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records.size(), 3U);
  EXPECT_EQ(channel_->used_bytes(), 0U);
}

TEST_F(TakeAgainAwayTest, AFullRingKeepsItsRoomForReports) {
  std::vector<std::uint64_t> positions{one_, two_, three_};
  // As many as the report ring of 4 KiB has credit for.
  while (positions.size() < ipc::report_credit(4096, 0)) {
    positions.push_back(send("v"));
  }
  take();
  for (std::size_t i = 0; i < sink_->sequences.size(); i += 2) {
    deliver(i, static_cast<std::int64_t>(100 - i));  // no two in one frame
  }
  ASSERT_TRUE(channel_->finish_round());
  replace_instance();
  take();
  for (std::size_t i = 0; i < sink_->sequences.size(); ++i) {
    deliver(i, static_cast<std::int64_t>(1000 - 2 * i));
  }
  ASSERT_TRUE(channel_->finish_round()) << "each has one report, so there is room";
  client_comes();
  ASSERT_TRUE(channel_->finish_round());
  std::vector<std::uint64_t> reported;
  for (const ReadReport& report : client_->read_reports().records) {
    reported.push_back(report.position);
  }
  std::sort(reported.begin(), reported.end());
  EXPECT_EQ(reported, positions);
}

}  // namespace
}  // namespace kfast::daemon::channel::test
