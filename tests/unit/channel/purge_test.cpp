// What the client gives up before it is handed over.
#include <string>
#include <vector>

#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

using ipc::Outcome;
using telemetry::TopicCounter;

constexpr std::int16_t kPurged = -152;

class PurgeTest : public ChannelTest {
 protected:
  std::uint64_t send(const std::string& value, std::uint16_t topic = 0) {
    RecordSpec spec;
    spec.topic = topic;
    spec.value = value;
    return client_->send(spec);
  }
  void give_up() { client_->words().purged_until.store(client_->words().tail.load()); }
  TakeResult purge(std::uint32_t at_most = 1000) { return channel_->purge(*sink_, at_most); }
  std::vector<ReadReport> reports() {
    EXPECT_TRUE(channel_->finish_round());
    const ReadReports read = client_->read_reports();
    EXPECT_TRUE(read.well_formed);
    return read.records;
  }
  static ReadReport failed(std::uint64_t position, std::uint16_t topic = 0) {
    return {position, topic, Outcome::failed, kPurged, -1, -1};
  }
  static ReadReport unknown(std::uint64_t position) {
    return {position, 0, Outcome::unknown, kPurged, -1, -1};
  }
};

TEST_F(PurgeTest, WhatIsNotHandedOverFailsAndWhatIsGetsItsOutcome) {
  open();
  const std::uint64_t one = send("one");
  take();
  const std::uint64_t two = send("two");
  const std::uint64_t three = send("three");
  give_up();
  const std::uint64_t four = send("four");
  const TakeResult result = purge();
  EXPECT_EQ(result.records, 2U);
  EXPECT_TRUE(result.more) << "the fourth is to be taken";
  EXPECT_EQ(reports(), (std::vector<ReadReport>{failed(two), failed(three)}));
  EXPECT_EQ(client_->daemon_words().head.load(), one);
  EXPECT_EQ(purge().bytes, 0U);
  take();
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"one", "four"}));
  deliver(0, 7);
  deliver(1, 8);
  EXPECT_EQ(reports(), (std::vector<ReadReport>{{one, 0, Outcome::delivered, 0, 1, 7},
                                                {four, 0, Outcome::delivered, 0, 1, 8}}));
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
  EXPECT_EQ(channel_->in_flight(), 0U);
}

TEST_F(PurgeTest, ItIsCountedByTopicWithAReasonOfItsOwn) {
  open();
  send("one");
  send("two");
  give_up();
  purge();
  EXPECT_EQ(counted(TopicCounter::taken_messages), 2U);
  EXPECT_EQ(counted(TopicCounter::taken_bytes), 6U);
  EXPECT_EQ(counted(TopicCounter::failed), 2U);
  EXPECT_EQ(counted(TopicCounter::discarded_purged), 2U);
  EXPECT_EQ(counted(TopicCounter::refused), 0U);
  EXPECT_EQ(counted(TopicCounter::in_flight_messages), 0U);
  EXPECT_EQ(client_->daemon_words().failed.load(), 2U);
}

TEST_F(PurgeTest, NoWordMeansNothingAndAnOldOneHarmsNothing) {
  open();
  send("one");
  EXPECT_EQ(purge().bytes, 0U);
  take();
  give_up();
  deliver(0);
  EXPECT_EQ(reports().size(), 1U);
  const std::uint64_t old = client_->words().purged_until.load();
  for (int lap = 0; lap < 300; ++lap) {
    const std::string value(400, 'v');
    send(value);
    EXPECT_EQ(purge().bytes, 0U);
    ASSERT_EQ(take().records, 1U);
    deliver(sink_->sequences.size() - 1);
    ASSERT_EQ(reports().size(), 1U);
  }
  EXPECT_EQ(client_->words().purged_until.load(), old);
  EXPECT_EQ(counted(TopicCounter::failed), 0U);
}

TEST_F(PurgeTest, ATurnGivesUpNoMoreThanItMay) {
  open();
  for (int n = 0; n < 5; ++n) {
    send("value");
  }
  give_up();
  EXPECT_EQ(purge(2).records, 2U);
  EXPECT_TRUE(purge(2).more);
  const TakeResult last = purge(2);
  EXPECT_EQ(last.records, 1U);
  EXPECT_FALSE(last.more);
  EXPECT_EQ(reports().size(), 5U);
  EXPECT_TRUE(sink_->values.empty());
}

TEST_F(PurgeTest, PaddingCountsAsAFrame) {
  open();
  std::string padding(8, '\0');
  padding[0] = 8;
  padding[4] = static_cast<char>(ipc::FrameKind::padding);
  for (int n = 0; n < 10; ++n) {
    client_->send_bytes(padding);
  }
  give_up();
  const TakeResult result = purge(3);
  EXPECT_EQ(result.records, 0U);
  EXPECT_EQ(result.bytes, 24U);
  EXPECT_TRUE(result.more);
}

TEST_F(PurgeTest, TheBoundOfRecordsInFlightHoldsNothingUp) {
  open(65536, 65536);
  for (int n = 0; n < 1500; ++n) {
    send("v");
  }
  const TakeResult taken = take(2000);
  ASSERT_TRUE(taken.later);
  ASSERT_EQ(taken.records, 1024U);
  give_up();
  EXPECT_EQ(purge(2000).records, 476U);
  EXPECT_EQ(reports().size(), 476U);
  EXPECT_EQ(channel_->in_flight(), 1024U);
  // What is given up takes no room in the FIFO, but for one entry.
  send("late");
  EXPECT_TRUE(take().later);
  deliver(0);
  deliver(1);
  ASSERT_EQ(reports().size(), 2U);
  EXPECT_EQ(take().records, 1U);
}

TEST_F(PurgeTest, PaddingAroundTheRingsEndIsPassed) {
  open();
  std::uint64_t last = 0;
  for (int n = 0; n < 40; ++n) {
    last = send(std::string(300, 'v'));
    give_up();
    ASSERT_EQ(purge().records, 1U);
    ASSERT_EQ(reports(), (std::vector<ReadReport>{failed(last)}));
    ASSERT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
  }
  EXPECT_GT(last, 2 * 4096U);
  EXPECT_TRUE(sink_->values.empty());
}

TEST_F(PurgeTest, ATopicThatIsRefusedIsGivenUpLikeAnyOther) {
  open();
  client_->put_topic(1, "denied");
  const std::uint64_t position = send("one", 1);
  give_up();
  purge();
  EXPECT_EQ(reports(), (std::vector<ReadReport>{failed(position, 1)}));
}

TEST_F(PurgeTest, AWordThatLiesGivesUpTheLiarsRecordsAndNothingElse) {
  for (const std::uint64_t lie :
       {std::uint64_t{UINT64_MAX}, std::uint64_t{1} << 63U, std::uint64_t{1'000'000'007}}) {
    open();
    send("one");
    client_->words().purged_until.store(lie);
    const TakeResult result = purge();
    EXPECT_EQ(result.records, 1U);
    EXPECT_EQ(result.violation, nullptr);
    EXPECT_EQ(purge().bytes, 0U);
    EXPECT_TRUE(channel_->park()) << "a word ahead of everything keeps nobody awake";
    channel_->unpark();
    EXPECT_EQ(reports().size(), 1U);
    EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
  }
}

TEST_F(PurgeTest, AWordInTheMiddleOfARecordGivesUpThatRecord) {
  open();
  const std::uint64_t one = send("one");
  send("two");
  client_->words().purged_until.store(one + 1);
  EXPECT_EQ(purge().records, 1U);
  EXPECT_EQ(take().records, 1U);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"two"}));
}

TEST_F(PurgeTest, BrokenFramesAreViolationsHereToo) {
  open();
  client_->send_bytes(std::string(24, '\0'));
  give_up();
  EXPECT_NE(purge().violation, nullptr);
  open();
  send("one", 3);
  give_up();
  EXPECT_NE(purge().violation, nullptr) << "a topic that is not in the table";
  open();
  client_->words().tail.store(1U << 20U);
  client_->words().purged_until.store(1);
  EXPECT_NE(purge().violation, nullptr) << "an impossible tail";
  channel_->stop_taking();
  EXPECT_EQ(purge().violation, nullptr);
}

TEST_F(PurgeTest, ADrainsEndIsNotPassed) {
  open();
  send("one");
  channel_->stop_at_tail();
  send("two");
  give_up();
  EXPECT_EQ(purge().records, 1U);
  EXPECT_TRUE(channel_->finished_taking());
  EXPECT_EQ(purge().bytes, 0U);
  EXPECT_EQ(reports().size(), 1U);
  EXPECT_TRUE(channel_->drained());
}

TEST_F(PurgeTest, WhatAnEarlierLifeMayHaveSentIsUnknown) {
  open();
  const std::uint64_t one = send("one");
  const std::uint64_t two = send("two");
  take();
  deliver(0);
  const std::uint64_t three = send("three");
  give_up();
  const std::uint64_t four = send("four");
  replace_daemon();
  EXPECT_EQ(purge().records, 3U);
  EXPECT_EQ(reports(), (std::vector<ReadReport>{
                           {one, 0, Outcome::delivered, 0, -1, -1}, unknown(two), failed(three)}));
  EXPECT_EQ(counted(TopicCounter::discarded_purged), 1U) << "unknown is not discarded";
  take();
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"four"}));
  deliver(0);
  EXPECT_EQ(reports().at(0).position, four);
}

TEST_F(PurgeTest, WhatWasGivenUpByADaemonThatDiesIsNotSentByTheNext) {
  open();
  const std::uint64_t one = send("one");
  const std::uint64_t two = send("two");
  give_up();
  purge();
  replace_daemon();                        // the reports were not published
  client_->words().purged_until.store(0);  // and the word does not matter for it
  take();
  EXPECT_TRUE(sink_->values.empty());
  EXPECT_EQ(reports(), (std::vector<ReadReport>{{one, 0, Outcome::unknown, 0, -1, -1},
                                                {two, 0, Outcome::unknown, 0, -1, -1}}));
}

TEST_F(PurgeTest, AnInstanceThatIsReplacedNeitherRepeatsNorSendsIt) {
  open();
  const std::uint64_t one = send("one");
  take();
  const std::uint64_t two = send("two");
  give_up();
  purge();
  EXPECT_EQ(reports(), (std::vector<ReadReport>{failed(two)}));
  channel_->take_again();
  sink_ = std::make_unique<RememberingSink>(stats_);
  EXPECT_EQ(purge().records, 2U);
  EXPECT_EQ(reports(), (std::vector<ReadReport>{unknown(one)}));
  EXPECT_TRUE(sink_->values.empty());
  EXPECT_EQ(channel_->in_flight(), 0U);
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
  EXPECT_EQ(counted(TopicCounter::taken_messages), 2U);
  EXPECT_EQ(counted(TopicCounter::in_flight_messages), 0U);
}

TEST_F(PurgeTest, AChannelWhoseClientIsAwayKeepsItsHeadUntilItComes) {
  open();
  const std::uint64_t one = send("one");
  const std::uint64_t two = send("two");
  adopt_without_client();
  give_up();
  EXPECT_EQ(purge().records, 2U);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->head(), one);
  client_comes();
  EXPECT_EQ(reports(), (std::vector<ReadReport>{failed(one), failed(two)}));
  EXPECT_EQ(client_->daemon_words().head.load(), client_->words().tail.load());
}

TEST_F(PurgeTest, ATopicsShareComesFreeWithTheRecordThatHoldsIt) {
  open(4096, 4096);
  client_->put_topic(1, "logs");
  send("first", 1);
  send("hold");
  take();
  for (int n = 0; n < 8; ++n) {
    send(std::string(300, 'v'));
  }
  give_up();
  purge();
  EXPECT_EQ(reports().size(), 8U);
  // They lie done behind the first record of all, and are its topic's as everything there is.
  EXPECT_EQ(client_->topic_state(1), ipc::TopicState::over_budget);
  deliver(0);
  deliver(1);
  reports();
  EXPECT_EQ(client_->topic_state(1), ipc::TopicState::open);
  EXPECT_EQ(client_->topic_state(0), ipc::TopicState::open);
  EXPECT_EQ(channel_->used_bytes(), 0U);
}

TEST_F(PurgeTest, ReportsThatAreNotWantedAreNotWritten) {
  settings_.reports = ipc::ReportsMode::none;
  open();
  send("one");
  give_up();
  purge();
  EXPECT_TRUE(reports().empty());
  EXPECT_EQ(client_->daemon_words().failed.load(), 1U);
}

}  // namespace
}  // namespace kfast::daemon::channel::test
