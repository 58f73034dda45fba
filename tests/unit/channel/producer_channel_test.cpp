#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

using ipc::Outcome;

class ProducerChannelTest : public ChannelTest {};

TEST_F(ProducerChannelTest, RecordsReachTheSinkInTheOrderTheyWereSent) {
  open();
  for (const char* value : {"one", "two", "three"}) {
    client_->send(record(value));
  }
  const TakeResult result = take();
  EXPECT_EQ(result.records, 3U);
  EXPECT_FALSE(result.more);
  EXPECT_EQ(result.violation, nullptr);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"one", "two", "three"}));
}

TEST_F(ProducerChannelTest, ATurnTakesNoMoreThanItMay) {
  open();
  for (int i = 0; i < 5; ++i) {
    client_->send(record("value"));
  }
  const TakeResult first = take(2);
  EXPECT_EQ(first.records, 2U);
  EXPECT_TRUE(first.more);
  EXPECT_EQ(take(0).records, 0U);
  const TakeResult second = take(3);
  EXPECT_EQ(second.records, 3U);
  EXPECT_FALSE(second.more);
}

TEST_F(ProducerChannelTest, TheWordTakenIsThereBeforeARecordCanReachKafka) {
  open();
  const std::uint64_t position = client_->send(record("value"));
  std::uint64_t word = 0;
  sink_->on_submit = [&] { word = client_->daemon_words().taken.load(); };
  take();
  EXPECT_GT(word, position);
}

TEST_F(ProducerChannelTest, AnOutcomeIsMarkedThenReportedThenFreed) {
  open();
  const std::uint64_t position = client_->send(record("value"));
  take();
  const std::uint64_t taken = channel_->taken();
  EXPECT_EQ(client_->daemon_words().taken.load(), taken);
  deliver(0, 41);
  const auto* bits = reinterpret_cast<const std::uint8_t*>(client_->d2c_bytes() +
                                                           channel_->segments().geometry.done_bits);
  EXPECT_EQ(bits[0] & 1U, 1U);
  EXPECT_TRUE(client_->read_reports().records.empty());
  EXPECT_EQ(client_->daemon_words().head.load(), position);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{position, 0, Outcome::delivered, 0, 1, 41}}));
  EXPECT_EQ(client_->daemon_words().head.load(), taken);
  EXPECT_EQ(client_->daemon_words().delivered.load(), 1U);
}

TEST_F(ProducerChannelTest, TheHeadWaitsForTheOldestOutcome) {
  open();
  client_->send(record("one"));
  client_->send(record("two"));
  take();
  deliver(1);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records.size(), 1U) << "reported though the head cannot move";
  EXPECT_EQ(client_->daemon_words().head.load(), 0U);
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->daemon_words().head.load(), channel_->taken());
}

TEST_F(ProducerChannelTest, AnOutcomeCountsOnce) {
  open();
  client_->send(record("one"));
  take();
  deliver(0);
  fail(0);
  channel_->resolve(77, {}, {});
  ASSERT_TRUE(channel_->finish_round());
  fail(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records.size(), 1U);
  EXPECT_EQ(client_->daemon_words().delivered.load(), 1U);
  EXPECT_EQ(client_->daemon_words().failed.load(), 0U);
}

TEST_F(ProducerChannelTest, OnlyTheReportsThatAreWantedAreWritten) {
  for (const auto mode : {ipc::ReportsMode::errors, ipc::ReportsMode::none}) {
    settings_.reports = mode;
    open();
    client_->send(record("one"));
    client_->send(record("two"));
    take();
    deliver(0);
    fail(1);
    ASSERT_TRUE(channel_->finish_round());
    const auto reports = client_->read_reports().records;
    EXPECT_EQ(reports.size(), mode == ipc::ReportsMode::errors ? 1U : 0U);
    EXPECT_EQ(client_->daemon_words().head.load(), channel_->taken());
    EXPECT_EQ(client_->daemon_words().failed.load(), 1U) << "losses are always counted";
  }
}

TEST_F(ProducerChannelTest, LaterNeitherLosesNorReorders) {
  open();
  client_->send(record("one"));
  client_->send(record("two"));
  client_->send(record("three"));
  sink_->room = 1;
  const TakeResult result = take();
  EXPECT_EQ(result.records, 1U);
  EXPECT_TRUE(result.later);
  EXPECT_EQ(channel_->in_flight(), 1U);
  EXPECT_EQ(take().records, 0U);
  sink_->room = 2;
  EXPECT_EQ(take().records, 2U);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(sink_->sequences, (std::vector<std::uint32_t>{0, 1, 2}));
}

TEST_F(ProducerChannelTest, ARefusedRecordIsReportedAtOnce) {
  open();
  const std::uint64_t position = client_->send(record("one"));
  sink_->answer = {Submission::Kind::refused, {Outcome::failed, 10, -1, -1}, {}};
  EXPECT_EQ(take().records, 1U);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{position, 0, Outcome::failed, 10, -1, -1}}));
  EXPECT_TRUE(sink_->sequences.empty());
}

TEST_F(ProducerChannelTest, MalformedHeadersAreAViolation) {
  open();
  client_->send(record("one"));
  sink_->answer.kind = Submission::Kind::malformed;
  EXPECT_STREQ(take().violation, "record headers whose lengths do not add up");
  EXPECT_EQ(channel_->in_flight(), 0U);
}

TEST_F(ProducerChannelTest, WhatWasTakenBeforeAViolationKeepsItsOutcome) {
  open();
  client_->send(record("good"));
  client_->send_bytes(std::string(24, '\0'));
  client_->send(record("behind"));
  const TakeResult result = take();
  EXPECT_EQ(result.records, 1U);
  EXPECT_STREQ(result.violation, "frame size out of range");
  EXPECT_FALSE(result.more);
  channel_->stop_taking();
  EXPECT_EQ(take().violation, nullptr);
  EXPECT_FALSE(channel_->drained());
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_TRUE(channel_->drained());
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"good"}));
}

TEST_F(ProducerChannelTest, AnImpossibleTailIsAViolation) {
  for (const std::uint64_t tail : {std::uint64_t{4}, std::uint64_t{4104}, UINT64_MAX - 7}) {
    open();
    client_->words().tail = tail;
    EXPECT_STREQ(take().violation, "an impossible tail") << tail;
  }
  open();
  client_->send(record("one"));
  take();
  client_->words().tail = 0;
  EXPECT_STREQ(take().violation, "an impossible tail") << "back to the start";
}

TEST_F(ProducerChannelTest, RingsOfPaddingAloneMoveOnAndAreBounded) {
  open();
  const auto padding = [](char size) {
    std::string frame(static_cast<std::size_t>(size), '\0');
    frame[0] = size;
    frame[4] = static_cast<char>(ipc::FrameKind::padding);
    return frame;
  };
  for (int lap = 0; lap < 3; ++lap) {
    for (int i = 0; i < 510; ++i) {
      client_->send_bytes(padding(8));
    }
    client_->send_bytes(padding(16));  // a place too short for a record's head is padded in one
    const TakeResult first = take(100);
    EXPECT_EQ(first.bytes, 800U) << "padding counts as work";
    EXPECT_TRUE(first.more);
    take(1000);
    ASSERT_TRUE(channel_->finish_round());
    EXPECT_EQ(channel_->head(), channel_->tail());
  }
  EXPECT_TRUE(client_->read_reports().records.empty());
}

TEST_F(ProducerChannelTest, ManyLapsKeepPositionsOutcomesAndOrder) {
  open();
  std::vector<std::string> sent;
  std::vector<std::uint64_t> positions;
  std::vector<std::uint64_t> reported;
  for (int i = 0; i < 1000; ++i) {
    sent.push_back("value " + std::to_string(i) +
                   std::string(static_cast<std::size_t>(i % 50), 'x'));
    positions.push_back(client_->send(record(sent.back())));
    take();
    deliver(static_cast<std::size_t>(i), i);
    ASSERT_TRUE(channel_->finish_round());
    for (const ReadReport& report : client_->read_reports().records) {
      reported.push_back(report.position);
      EXPECT_EQ(report.offset, i);
    }
  }
  EXPECT_EQ(sink_->values, sent);
  EXPECT_EQ(reported, positions);
  EXPECT_GT(positions.back(), 10U * 4096U);
}

TEST_F(ProducerChannelTest, TinyRecordsWithoutOutcomesTakeNoMoreMemoryThanTheRingAllows) {
  settings_.reports = ipc::ReportsMode::none;
  open(65536);
  RecordSpec spec;
  spec.sent_ms = kNow;
  for (int i = 0; i < 2000; ++i) {
    client_->send(spec);
  }
  const TakeResult first = take(2000);
  EXPECT_EQ(first.records, 1024U);
  EXPECT_TRUE(first.later);
  EXPECT_EQ(first.violation, nullptr);
  EXPECT_EQ(take(2000).records, 0U);
  for (std::size_t i = 0; i < 100; ++i) {
    deliver(i);
  }
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(take(2000).records, 100U);
  for (std::size_t i = 100; i < 1124; ++i) {
    deliver(i);
  }
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(take(2000).records, 876U);
}

// ---- time ----

TEST_F(ProducerChannelTest, ARecordThatExpiredInTheRingNeverReachesKafkaAndSaysSo) {
  settings_.delivery_timeout_ms = 1000;
  open();
  RecordSpec spec = record("late");
  spec.sent_ms = kNow - 1001;
  const std::uint64_t late = client_->send(spec);
  spec.sent_ms = kNow - 1000;
  client_->send(spec);
  take();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{late, 0, Outcome::failed, -192, -1, -1}}));
  EXPECT_EQ(sink_->values.size(), 1U);
}

TEST_F(ProducerChannelTest, ARecordThatExpiredWhileBrokersRefusedTheLoginSaysSo) {
  settings_.delivery_timeout_ms = 1000;
  open();
  sink_->late = {-169, telemetry::FailureReason::auth};
  RecordSpec spec = record("late");
  spec.sent_ms = kNow - 1001;
  const std::uint64_t late = client_->send(spec);
  take();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->read_reports().records,
            (std::vector<ReadReport>{{late, 0, Outcome::failed, -169, -1, -1}}));
}

TEST_F(ProducerChannelTest, WithoutADeliveryTimeoutNothingExpires) {
  open();
  RecordSpec spec = record("old");
  spec.sent_ms = 1;
  client_->send(spec);
  take();
  EXPECT_EQ(sink_->values.size(), 1U);
}

TEST_F(ProducerChannelTest, TimestampsThatKafkaWouldRefuseTheBatchForAreRefusedAlone) {
  open();
  constexpr std::int64_t hour = 3'600'000;
  RecordSpec spec = record("value");
  for (const std::int64_t sent :
       {kNow + hour, kNow + hour + 1, std::int64_t{-1}, INT64_MIN, INT64_MAX}) {
    spec.sent_ms = sent;
    client_->send(spec);
  }
  spec.sent_ms = kNow;
  for (const std::int64_t timestamp : {kNow + hour, kNow + hour + 1, INT64_MAX, std::int64_t{-1},
                                       std::int64_t{0}, std::int64_t{1}}) {
    spec.extension = ipc::RecordExtension{timestamp, -1, 0, 0, 0, 0};
    client_->send(spec);
  }
  EXPECT_EQ(take().records, 11U);
  EXPECT_EQ(sink_->values.size(), 4U) << "the hour's edge twice, its own time, and the year 1970";
  ASSERT_TRUE(channel_->finish_round());
  for (const ReadReport& report : client_->read_reports().records) {
    EXPECT_EQ(report.outcome, Outcome::failed);
    EXPECT_EQ(report.error, 32);
  }
}

// ---- the end ----

TEST_F(ProducerChannelTest, AStoppedChannelTakesWhatWasCommittedAndNothingBehindIt) {
  open();
  client_->send(record("one"));
  client_->send(record("two"));
  channel_->stop_at_tail();
  client_->send(record("three"));
  EXPECT_FALSE(channel_->finished_taking());
  const TakeResult result = take();
  EXPECT_EQ(result.records, 2U);
  EXPECT_FALSE(result.more) << "there is nothing left that could be taken";
  EXPECT_TRUE(channel_->finished_taking());
  EXPECT_FALSE(channel_->published());
  EXPECT_FALSE(channel_->drained());
  deliver(0);
  deliver(1);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_TRUE(channel_->drained());
}

TEST_F(ProducerChannelTest, AWorkerThatLeavesDuringADrainLosesNothingThatItSentMeanwhile) {
  open();
  client_->send(record("before"));
  channel_->stop_at_tail();  // the drain
  take();
  client_->send(record("meanwhile"));
  EXPECT_TRUE(channel_->finished_taking());
  channel_->stop_at_tail();  // the worker is gone
  EXPECT_FALSE(channel_->drained());
  EXPECT_EQ(take().records, 1U);
  EXPECT_EQ(sink_->values, (std::vector<std::string>{"before", "meanwhile"}));
}

TEST_F(ProducerChannelTest, AFrameAcrossThePlaceWhereItStoppedIsAViolation) {
  open();
  const std::string frame = frame_of(record(std::string(100, 'v')));
  client_->append_bytes(frame);
  client_->words().tail = 24;  // a lie: in the middle of the frame
  channel_->stop_at_tail();
  client_->words().tail = frame.size();
  EXPECT_STREQ(take().violation, "frame size out of range");
  EXPECT_LE(channel_->taken(), 24U);
}

TEST_F(ProducerChannelTest, AStoppedChannelWithAnImpossibleTailTakesNothing) {
  open();
  client_->send(record("one"));
  client_->words().tail = 1;
  channel_->stop_at_tail();
  EXPECT_TRUE(channel_->drained());
  EXPECT_EQ(take().records, 0U);
}

// ---- waking up ----

TEST_F(ProducerChannelTest, TheClientIsWokenOncePerTimeItAsks) {
  open();
  client_->send(record("one"));
  client_->send(record("two"));
  client_->send(record("three"));
  take();
  const auto deliver_and_finish = [&](std::size_t index) {
    deliver(index);
    ASSERT_TRUE(channel_->finish_round());
  };
  deliver_and_finish(0);
  EXPECT_FALSE(channel_->must_wake_client()) << "it never asked";
  client_->words().waiting = 1;
  EXPECT_TRUE(channel_->must_wake_client()) << "the report is news that it was not told of";
  EXPECT_FALSE(channel_->must_wake_client());
  deliver_and_finish(1);
  EXPECT_FALSE(channel_->must_wake_client()) << "it has not asked again";
  client_->words().waiting = 2;
  EXPECT_TRUE(channel_->must_wake_client());
  client_->words().waiting = 3;
  EXPECT_FALSE(channel_->must_wake_client()) << "nothing is new";
  deliver_and_finish(2);
  EXPECT_TRUE(channel_->must_wake_client());
}

TEST_F(ProducerChannelTest, RoomIsNewsAlsoWithoutReports) {
  settings_.reports = ipc::ReportsMode::none;
  open();
  client_->words().waiting = 1;
  client_->send(record("one"));
  take();
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_FALSE(channel_->must_wake_client());
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_TRUE(channel_->must_wake_client());
}

TEST_F(ProducerChannelTest, AChannelWithUnreadBytesDoesNotPark) {
  open();
  client_->send(record("one"));
  EXPECT_FALSE(channel_->park()) << "published, not looked at";
  EXPECT_FALSE(channel_->parked());
  EXPECT_TRUE(channel_->published());
  client_->send(record("two"));
  take(1);
  EXPECT_FALSE(channel_->park()) << "looked at, not taken";
  take();
  EXPECT_TRUE(channel_->park());
  EXPECT_TRUE(channel_->parked());
  EXPECT_EQ(client_->daemon_words().parked.load() % 2, 1U);
  channel_->unpark();
  EXPECT_EQ(client_->daemon_words().parked.load() % 2, 0U);
}

// ---- reports without room ----

TEST_F(ProducerChannelTest, AClientThatIgnoresItsCreditIsToldApart) {
  open(1 << 16, 4096);
  for (int i = 0; i < 400; ++i) {
    client_->send(record("v"));
  }
  take();
  for (std::size_t i = 0; i < 400; ++i) {
    deliver(i, 7);  // one offset for all: each report needs a frame of its own
  }
  EXPECT_FALSE(channel_->finish_round());
  channel_->stop_taking();
  channel_->stop_reports();
  EXPECT_TRUE(channel_->finish_round());
  EXPECT_TRUE(channel_->drained()) << "its records have their outcomes all the same";
}

}  // namespace
}  // namespace kfast::daemon::channel::test
