#include "channel_fixture.hpp"

#include <cstring>

namespace kfast::daemon::channel::test {
namespace {

using ipc::TopicState;

class ChannelTopicsTest : public ChannelTest {
 protected:
  void send(std::uint16_t topic, std::size_t size = 5) {
    RecordSpec spec;
    spec.topic = topic;
    spec.value = std::string(size, 'v');
    client_->send(spec);
  }
  /// Delivers everything that is in flight.
  void deliver_all() {
    for (std::size_t i = 0; i < sink_->sequences.size(); ++i) {
      deliver(i);
    }
    sink_->sequences.clear();
    ASSERT_TRUE(channel_->finish_round());
    client_->read_reports();
  }
};

TEST_F(ChannelTopicsTest, ATopicIsOpenedOnceAndItsStateIsShown) {
  open();
  client_->put_topic(1, "denied");
  EXPECT_EQ(client_->topic_state(0), TopicState::unseen);
  send(0);
  send(0);
  send(1);
  send(1);
  take();
  EXPECT_EQ(sink_->opened, (std::vector<std::string>{"orders", "denied"}));
  EXPECT_EQ(client_->topic_state(0), TopicState::open);
  EXPECT_EQ(client_->topic_state(1), TopicState::not_allowed);
  EXPECT_EQ(client_->topic_state(2), TopicState::unseen);
  ASSERT_TRUE(channel_->finish_round());
  const auto reports = client_->read_reports().records;
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].error, 29);
  EXPECT_EQ(sink_->values.size(), 2U);
}

TEST_F(ChannelTopicsTest, WhenRulesChangeAfterTheInstanceDidARefusedTopicMayBeSentAgain) {
  open();
  client_->put_topic(1, "denied");
  send(1);
  take();
  EXPECT_EQ(client_->topic_state(1), TopicState::not_allowed);
  channel_->take_again();
  channel_->ask_topics_again();
  EXPECT_EQ(client_->topic_state(1), TopicState::unseen);
}

TEST_F(ChannelTopicsTest, WhenRulesChangeATopicIsAskedForAgainBeforeItsNextRecord) {
  open();
  client_->put_topic(1, "denied");
  send(0);
  send(1);
  take();
  channel_->ask_topics_again();
  // The one that was refused may be sent again, the other one is not disturbed.
  EXPECT_EQ(client_->topic_state(0), TopicState::open);
  EXPECT_EQ(client_->topic_state(1), TopicState::unseen);
  send(0);
  send(1);
  take();
  EXPECT_EQ(sink_->opened, (std::vector<std::string>{"orders", "denied", "orders", "denied"}));
  EXPECT_EQ(client_->topic_state(1), TopicState::not_allowed);
  deliver_all();
  EXPECT_EQ(channel_->in_flight(), 0U);
}

TEST_F(ChannelTopicsTest, ATopicNumberOutsideTheTableIsAViolation) {
  open();
  for (const int topic : {1, 3, 4, 65535}) {
    open();
    send(static_cast<std::uint16_t>(topic));
    EXPECT_STREQ(take().violation, "a topic number that is not in the topic table") << topic;
    EXPECT_TRUE(sink_->opened.empty());
  }
}

TEST_F(ChannelTopicsTest, ACountBeyondTheTableMakesNoTopicValid) {
  for (const std::uint32_t count : {5U, 65536U, UINT32_MAX}) {
    open();
    client_->words().topic_count = count;
    send(0);
    EXPECT_STREQ(take().violation, "a topic number that is not in the topic table") << count;
  }
}

TEST_F(ChannelTopicsTest, ACountThatShrinksTakesNoTopicAwayThatWasSeen) {
  open();
  send(0);
  take();
  client_->words().topic_count = 0;
  send(0);
  EXPECT_EQ(take().records, 1U);
}

TEST_F(ChannelTopicsTest, ANameLongerThanKafkasIsAViolation) {
  open();
  const std::uint16_t size = 250;
  std::memcpy(client_->c2d_bytes() + channel_->segments().geometry.topic_table, &size, sizeof size);
  send(0);
  EXPECT_STREQ(take().violation, "a topic name longer than 249 bytes");
  EXPECT_TRUE(sink_->opened.empty());
}

TEST_F(ChannelTopicsTest, AnyBytesOfANameComeAsTheyAre) {
  open();
  const std::string longest(ipc::kMaxTopicName, 'n');
  const std::string bytes("a\0\n\xff", 4);
  client_->put_topic(0, "");
  client_->put_topic(1, longest);
  client_->put_topic(2, bytes);
  send(0);
  send(1);
  send(2);
  take();
  EXPECT_EQ(sink_->opened, (std::vector<std::string>{"", longest, bytes}));
}

TEST_F(ChannelTopicsTest, ANameThatChangesLaterIsNotReadAgain) {
  open();
  send(0);
  take();
  client_->put_topic(0, "denied");
  send(0);
  take();
  EXPECT_EQ(sink_->opened, (std::vector<std::string>{"orders"}));
  EXPECT_EQ(sink_->values.size(), 2U);
}

TEST_F(ChannelTopicsTest, ATopicAboveHalfOfASharedRingIsShutUntilItHoldsLess) {
  open();
  client_->put_topic(1, "clicks");
  send(1);
  take();
  deliver_all();
  while (client_->topic_state(0) != TopicState::over_budget) {
    ASSERT_LT(channel_->used_bytes(), 4096U - 600U) << "the budget never showed";
    send(0, 200);
    take();
  }
  EXPECT_GT(channel_->used_bytes(), 2048U);
  EXPECT_EQ(client_->topic_state(1), TopicState::open);
  send(0, 8);
  EXPECT_EQ(take().records, 1U) << "what was sent is taken all the same";
  deliver_all();
  EXPECT_EQ(client_->topic_state(0), TopicState::open);
}

TEST_F(ChannelTopicsTest, WhatWaitsBehindAnotherTopicsRecordIsThatTopicsShare) {
  open();
  client_->put_topic(1, "clicks");
  send(0, 8);
  take();
  while (client_->topic_state(0) != TopicState::over_budget) {
    ASSERT_LT(channel_->used_bytes(), 4096U - 600U) << "the budget never showed";
    send(1, 200);
    take();
    deliver(sink_->sequences.size() - 1);
    ASSERT_TRUE(channel_->finish_round());
    client_->read_reports();
  }
  EXPECT_GT(channel_->used_bytes(), 2048U);
  EXPECT_EQ(client_->topic_state(1), TopicState::open) << "its records have their outcomes";
  send(1, 200);
  take();
  EXPECT_EQ(client_->topic_state(1), TopicState::open);
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(client_->topic_state(0), TopicState::open);
  deliver(sink_->sequences.size() - 1);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_EQ(channel_->used_bytes(), 0U);
}

TEST_F(ChannelTopicsTest, TheOnlyTopicMayHoldTheWholeRing) {
  open();
  for (int i = 0; i < 15; ++i) {
    send(0, 200);
  }
  take();
  EXPECT_EQ(client_->topic_state(0), TopicState::open);
}

TEST_F(ChannelTopicsTest, ATopicThatIsNotOpenIsNeverReopenedByItsBudget) {
  open();
  client_->put_topic(1, "denied");
  send(0, 8);
  for (int i = 0; i < 12; ++i) {
    send(1, 200);
  }
  take();
  EXPECT_EQ(client_->topic_state(1), TopicState::not_allowed);
  deliver_all();
  EXPECT_EQ(client_->topic_state(1), TopicState::not_allowed);
}

}  // namespace
}  // namespace kfast::daemon::channel::test
