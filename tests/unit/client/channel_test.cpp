// What sends put into the ring, and when they are refused.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <string>
#include <thread>

#include "fake_daemon.hpp"

namespace kfast::test {
namespace {

using ipc::FrameKind;
using ipc::RecordExtension;
using ipc::RecordHead;

std::string text_at(const FakeChannel& channel, std::uint64_t position, std::size_t offset,
                    std::size_t size) {
  return {reinterpret_cast<const char*>(channel.record_at(position)) + offset, size};
}

std::uint64_t rings(const FakeChannel& channel) {
  std::uint64_t count = 0;
  return ::read(channel.doorbell.get(), &count, sizeof count) == sizeof count ? count : 0;
}

TEST_F(OpenProducer, NumbersTopicsInOrderAndPublishesTheirNames) {
  open();
  EXPECT_EQ(kfast_topic(producer, "logs.app-1_x"), 1);
  EXPECT_EQ(kfast_topic(producer, "orders"), 0);
  EXPECT_EQ(kfast_topic(producer, "logs.app-1_x"), 1);
  EXPECT_STREQ(kfast_topic_name(producer, 1), "logs.app-1_x");
  EXPECT_EQ(kfast_topic_name(producer, 2), nullptr);
  EXPECT_EQ(kfast_topic_name(producer, -1), nullptr);
  EXPECT_EQ(channel->c2d().topic_count.load(), 2U);
  const auto* table =
      reinterpret_cast<const ipc::TopicEntry*>(channel->c2d_.at + channel->geometry.topic_table);
  EXPECT_EQ(std::string(table[1].name, table[1].size), "logs.app-1_x");
}

TEST_F(OpenProducer, RefusesIllegalTopicNamesAndAFullTable) {
  open(4096, 4096, 3);
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("a b"), std::string("a/b"),
        std::string("\xc3\xa4"), std::string(250, 'a')}) {
    EXPECT_EQ(kfast_topic(producer, bad.c_str()), KFAST_ERR_TOPIC_NAME) << bad;
  }
  EXPECT_EQ(kfast_topic(producer, std::string(249, 'a').c_str()), 1);
  EXPECT_EQ(kfast_topic(producer, "..."), 2);
  EXPECT_EQ(kfast_topic(producer, "one-more"), KFAST_ERR_TOO_MANY_TOPICS);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "3 topics"), nullptr);
  EXPECT_EQ(kfast_topic(producer, "..."), 2);
}

TEST_F(OpenProducer, WritesAPlainRecord) {
  open();
  timespec before{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &before);
  EXPECT_EQ(kfast_send(producer, topic, "key", 3, "value", 5), 0);
  EXPECT_EQ(kfast_send(producer, topic, nullptr, 0, "w", 1), 32);
  EXPECT_EQ(kfast_send(producer, topic, "", 0, nullptr, 0), 64);
  EXPECT_EQ(channel->c2d().tail.load(), 88U);
  const auto first = channel->read<RecordHead>(0);
  EXPECT_EQ(first.size, sizeof(RecordHead) + 8);
  EXPECT_EQ(first.kind, FrameKind::record);
  EXPECT_EQ(first.flags, ipc::kHasKey | ipc::kHasValue);
  EXPECT_EQ(first.topic, 0);
  EXPECT_GE(first.sent_ms, before.tv_sec * 1000 + before.tv_nsec / 1'000'000);
  EXPECT_EQ(first.ordinal, 0U);
  EXPECT_EQ(first.key_size, 3U);
  EXPECT_EQ(text_at(*channel, 0, sizeof(RecordHead), 8), "keyvalue");
  const auto second = channel->read<RecordHead>(32);
  EXPECT_EQ(second.flags, ipc::kHasValue);
  EXPECT_EQ(second.ordinal, 1U);
  const auto third = channel->read<RecordHead>(64);
  EXPECT_EQ(third.flags, ipc::kHasKey);
  EXPECT_EQ(third.size, sizeof(RecordHead));
}

TEST_F(OpenProducer, WritesARecordWithEverything) {
  open();
  const kfast_header_t headers[] = {
      {"trace", 5, "abc", 3}, {"null", 4, nullptr, 0}, {"", 0, "", 0}};
  EXPECT_EQ(kfast_send_record(producer, topic, 7, 1234567, "k", 1, "v", 1, headers, 3, 0), 0);
  const auto head = channel->read<RecordHead>(0);
  EXPECT_EQ(head.flags, ipc::kHasKey | ipc::kHasValue | ipc::kHasExtension);
  RecordExtension extension;
  std::memcpy(&extension, channel->record_at(0) + sizeof head, sizeof extension);
  EXPECT_EQ(extension.timestamp_ms, 1234567);
  EXPECT_EQ(extension.partition, 7);
  EXPECT_EQ(extension.header_count, 3);
  EXPECT_EQ(extension.headers_size, 3 * sizeof(ipc::HeaderHead) + 5 + 3 + 4);
  EXPECT_EQ(head.size, sizeof head + sizeof extension + extension.headers_size + 2);
  std::size_t at = sizeof head + sizeof extension;
  ipc::HeaderHead header;
  std::memcpy(&header, channel->record_at(0) + at, sizeof header);
  EXPECT_EQ(header.name_size, 5);
  EXPECT_EQ(header.value_size, 3U);
  EXPECT_EQ(text_at(*channel, 0, at + sizeof header, 8), "traceabc");
  at += sizeof header + 8;
  std::memcpy(&header, channel->record_at(0) + at, sizeof header);
  EXPECT_EQ(header.value_size, ipc::kNullHeader);
  EXPECT_EQ(text_at(*channel, 0, head.size - 2, 2), "kv");
}

TEST_F(OpenProducer, ARecordWithNothingSpecialNeedsNoExtension) {
  open();
  EXPECT_EQ(kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, "k", 1, "v", 1,
                              nullptr, 0, 0),
            0);
  EXPECT_EQ(channel->read<RecordHead>(0).flags, ipc::kHasKey | ipc::kHasValue);
}

TEST_F(OpenProducer, RefusesWrongArgumentsWithWords) {
  open();
  EXPECT_EQ(kfast_send(producer, 1, nullptr, 0, "v", 1), KFAST_ERR_INVALID);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "topic number 1"), nullptr);
  EXPECT_EQ(kfast_send(producer, -1, nullptr, 0, "v", 1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_send(producer, topic, nullptr, 1, "v", 1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_send(producer, topic, nullptr, 0, nullptr, 1), KFAST_ERR_INVALID);
  const auto with = [&](std::int32_t partition, std::int64_t timestamp, const kfast_header_t* h,
                        std::size_t n) {
    return kfast_send_record(producer, topic, partition, timestamp, nullptr, 0, "v", 1, h, n, 0);
  };
  EXPECT_EQ(with(-2, KFAST_NOW, nullptr, 0), KFAST_ERR_INVALID);
  EXPECT_EQ(with(KFAST_ANY_PARTITION, -2, nullptr, 0), KFAST_ERR_INVALID);
  EXPECT_EQ(with(KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 1), KFAST_ERR_INVALID);
  const std::vector<kfast_header_t> many(1025, kfast_header_t{"n", 1, "v", 1});
  EXPECT_EQ(with(KFAST_ANY_PARTITION, KFAST_NOW, many.data(), many.size()),
            KFAST_ERR_TOO_MANY_HEADERS);
  const std::string name(32768, 'n');
  const kfast_header_t long_name{name.data(), name.size(), "", 0};
  EXPECT_EQ(with(KFAST_ANY_PARTITION, KFAST_NOW, &long_name, 1), KFAST_ERR_TOO_MANY_HEADERS);
  EXPECT_EQ(channel->c2d().tail.load(), 0U);
}

TEST_F(OpenProducer, TakesARecordOfExactlyAQuarterOfTheRing) {
  open();
  EXPECT_EQ(send_frame(1024), 0);
  EXPECT_EQ(send_frame(1025), KFAST_ERR_TOO_LARGE);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "ring.bytes"), nullptr);
  const std::string value(1024 - sizeof(RecordHead) - sizeof(RecordExtension) - 8 - 1, 'v');
  const kfast_header_t header{"n", 1, nullptr, 0};
  EXPECT_EQ(kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 0,
                              value.data(), value.size(), &header, 1, 0),
            1024);
  EXPECT_EQ(kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, "k", 1, value.data(),
                              value.size(), &header, 1, 0),
            KFAST_ERR_TOO_LARGE);
}

TEST_F(OpenProducer, SizesThatWouldWrapAreTooLarge) {
  open();
  EXPECT_EQ(kfast_send(producer, topic, "k", SIZE_MAX, "v", SIZE_MAX), KFAST_ERR_TOO_LARGE);
  EXPECT_EQ(kfast_send(producer, topic, "k", 8, "v", SIZE_MAX - 7), KFAST_ERR_TOO_LARGE);
  const kfast_header_t header{"n", 1, "v", SIZE_MAX};
  EXPECT_EQ(kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 0, "v", 1,
                              &header, 1, 0),
            KFAST_ERR_TOO_LARGE);
}

TEST_F(OpenProducer, SaysWhatAFullRingIs) {
  open();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(send_frame(1024), i * 1024);
  }
  EXPECT_EQ(kfast_used_bytes(producer), 4096U);
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "raise ring.bytes"), nullptr);
  channel->move_head(1024);
  EXPECT_EQ(kfast_used_bytes(producer), 3072U);
  EXPECT_EQ(send_frame(1024), 4096);
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL);
}

TEST_F(OpenProducer, PadsTheEndOfTheRing) {
  open(4096, 4096, 16, "none");
  for (const std::uint64_t left : {8U, 16U, 24U, 40U}) {
    // Fill up to `left` bytes before the end, then send what does not fit.
    std::uint64_t tail = channel->c2d().tail.load();
    for (std::uint64_t to_go = 4096 - tail % 4096 - left; to_go != 0;) {
      channel->move_head(tail);
      const std::uint64_t size = to_go > 1024 + 24 ? 1024 : to_go > 1024 ? 512 : to_go;
      ASSERT_EQ(send_frame(size), static_cast<std::int64_t>(tail));
      tail += size;
      to_go -= size;
    }
    channel->move_head(tail);
    const std::int64_t position = send_frame(48);
    EXPECT_EQ(position, static_cast<std::int64_t>(tail + left));
    RecordHead padding{};
    std::memcpy(&padding, channel->record_at(tail), left < sizeof padding ? left : sizeof padding);
    EXPECT_EQ(padding.size, left);
    EXPECT_EQ(padding.kind, FrameKind::padding);
    const auto record = channel->read<RecordHead>(static_cast<std::uint64_t>(position));
    EXPECT_EQ(record.kind, FrameKind::record);
    if (left >= sizeof padding) {
      EXPECT_EQ(padding.ordinal, record.ordinal);
    }
  }
}

TEST_F(OpenProducer, HeedsWhatTheDaemonSaysOfATopic) {
  open();
  channel->set_topic_state(0, ipc::TopicState::open);
  EXPECT_EQ(send_frame(24), 0);
  channel->set_topic_state(0, ipc::TopicState::not_allowed);
  EXPECT_EQ(send_frame(24), KFAST_ERR_TOPIC_NOT_ALLOWED);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "\"orders\""), nullptr);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "[[allow]]"), nullptr);
  channel->set_topic_state(0, ipc::TopicState::limit);
  EXPECT_EQ(send_frame(24), KFAST_ERR_TOO_MANY_TOPICS);
  channel->set_topic_state(0, ipc::TopicState::over_budget);
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "share"), nullptr);
  channel->set_topic_state(0, ipc::TopicState::open);
  EXPECT_EQ(send_frame(24), 24);
}

TEST_F(OpenProducer, NeverHasMoreOutThanTheReportRingCanAnswer) {
  open(65536, 4096);
  const std::uint64_t limit = ipc::report_credit(4096, 0);
  std::vector<std::int64_t> positions;
  for (std::uint64_t i = 0; i < limit; ++i) {
    positions.push_back(send_frame(24));
    ASSERT_GE(positions.back(), 0);
  }
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "kfast_reports"), nullptr);
  // Worst case: a frame for every record. All of them must fit, and nothing is gained before they
  // are read.
  for (const std::int64_t position : positions) {
    channel->report({static_cast<std::uint64_t>(position)}, position);
  }
  channel->move_head(channel->c2d().tail.load());
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL);
  // Waiting cannot help, so a send that may wait for ever does not.
  EXPECT_EQ(kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 0, "v", 1,
                              nullptr, 0, -1),
            KFAST_ERR_QUEUE_FULL);
  EXPECT_EQ(all_reports().size(), limit);
  EXPECT_GE(send_frame(24), 0);
}

TEST_F(OpenProducer, CreditHoldsAroundTheEndOfBothRings) {
  open(4096, 4096);
  std::uint64_t sent = 0;
  std::uint64_t reported = 0;
  std::uint64_t head = 0;
  // Sizes that leave every kind of padding; the daemon answers one record a round and the worker
  // reads now and then.
  for (std::uint64_t round = 0; round < 5000; ++round) {
    while (send_frame(24 + round * 8 % 1000) >= 0) {
      ++sent;
    }
    for (int answers = 0; answers < 1 + static_cast<int>(round % 3) && reported < sent; ++answers) {
      auto frame = channel->read<RecordHead>(head);
      while (frame.kind == FrameKind::padding) {
        head += frame.size;
        frame = channel->read<RecordHead>(head);
      }
      ASSERT_EQ(frame.ordinal, static_cast<std::uint32_t>(reported));
      ASSERT_NO_THROW(channel->report({head}, static_cast<std::int64_t>(reported)));
      ++reported;
      head += ipc::align_up(frame.size, ipc::kFrameAlign);
      channel->move_head(head);
    }
    if (round % 5 == 0) {
      static_cast<void>(all_reports());
    }
  }
  EXPECT_GT(reported, 4000U);
}

TEST_F(OpenProducer, WithoutReportsThereIsNoCredit) {
  open(65536, 4096, 16, "none");
  for (std::uint64_t i = 0; i < 3 * ipc::report_credit(4096, 0); ++i) {
    ASSERT_GE(send_frame(24), 0);
  }
}

TEST_F(OpenProducer, RingsTheDoorbellOncePerRest) {
  open();
  EXPECT_GE(send_frame(24), 0);
  EXPECT_EQ(rings(*channel), 0U);  // active and awake
  channel->d2c().parked.store(1);
  EXPECT_GE(send_frame(24), 0);
  EXPECT_GE(send_frame(24), 0);
  EXPECT_EQ(rings(*channel), 1U);
  channel->d2c().parked.store(2);
  EXPECT_GE(send_frame(24), 0);
  EXPECT_EQ(rings(*channel), 0U);
  channel->shard().state.store((1U << ipc::kShardStateBits) |
                               static_cast<std::uint64_t>(ipc::ShardState::asleep));
  EXPECT_GE(send_frame(24), 0);
  EXPECT_GE(send_frame(24), 0);
  EXPECT_EQ(rings(*channel), 1U);
}

TEST_F(OpenProducer, ASendThatMayWaitEndsWithItsTime) {
  open();
  for (int i = 0; i < 4; ++i) {
    ASSERT_GE(send_frame(1024), 0);
  }
  EXPECT_EQ(kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 0, "v", 1,
                              nullptr, 0, 1),
            KFAST_ERR_TIMED_OUT);
}

TEST_F(OpenProducer, ASendThatMayWaitGoesOnWhenThereIsRoom) {
  open();
  for (int i = 0; i < 4; ++i) {
    ASSERT_GE(send_frame(1024), 0);
  }
  auto waiting = std::async(std::launch::async, [&] {
    return kfast_send_record(producer, topic, KFAST_ANY_PARTITION, KFAST_NOW, nullptr, 0, "v", 1,
                             nullptr, 0, -1);
  });
  while (channel->c2d().waiting.load() == 0) {
    std::this_thread::yield();
  }
  channel->move_head(1024);
  session.wake();
  EXPECT_EQ(waiting.get(), 4096);
}

TEST_F(OpenProducer, FlushWaitsForTheLastOutcome) {
  open();
  EXPECT_EQ(kfast_flush(producer, 0), KFAST_OK);
  ASSERT_GE(send_frame(24), 0);
  EXPECT_EQ(kfast_flush(producer, 1), KFAST_ERR_TIMED_OUT);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "24 bytes"), nullptr);
  const std::uint64_t asked = channel->c2d().waiting.load();
  EXPECT_EQ(asked, 1U);
  auto flushing = std::async(std::launch::async, [&] { return kfast_flush(producer, -1); });
  channel->move_head(24);
  session.wake();
  EXPECT_EQ(flushing.get(), KFAST_OK);
}

TEST_F(OpenProducer, CloseSaysGoodbye) {
  open();
  kfast_producer_close(producer);
  producer = nullptr;
  EXPECT_EQ(session.receive().as<ipc::Close>().channel, 1U);
  EXPECT_TRUE(session.receive().ended);
  kfast_producer_close(nullptr);
}

TEST_F(OpenProducer, PurgeSaysUpToWhereAndRings) {
  open();
  static_cast<void>(rings(*channel));
  ASSERT_EQ(kfast_purge(producer), KFAST_OK);
  EXPECT_EQ(channel->c2d().purged_until.load(), 0U) << "nothing was sent";
  EXPECT_EQ(rings(*channel), 0U);
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(32), 24);
  static_cast<void>(rings(*channel));
  ASSERT_EQ(kfast_purge(producer), KFAST_OK);
  EXPECT_EQ(channel->c2d().purged_until.load(), 56U);
  ASSERT_EQ(kfast_purge(producer), KFAST_OK);
  EXPECT_EQ(rings(*channel), 1U) << "once, also when the shard's page says that it is awake";
  ASSERT_EQ(send_frame(24), 56);
  EXPECT_EQ(channel->c2d().purged_until.load(), 56U);
  channel->report({0, 24}, -1, ipc::Outcome::failed, -152);
  channel->move_head(56);
  const auto reports = all_reports();
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[1].outcome, KFAST_FAILED);
  EXPECT_STREQ(kfast_kafka_error(reports[1].error), "_PURGE_QUEUE");
}

TEST_F(OpenProducer, CloseSaysGoodbyeInTheMemoryToo) {
  open();
  EXPECT_EQ(channel->c2d().closed.load(), 0U);
  daemon.stop();
  session.close();
  static_cast<void>(rings(*channel));
  kfast_producer_close(producer);
  producer = nullptr;
  EXPECT_NE(channel->c2d().closed.load(), 0U);
  EXPECT_EQ(rings(*channel), 1U);
}

}  // namespace
}  // namespace kfast::test
