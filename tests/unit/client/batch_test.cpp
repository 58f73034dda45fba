// Many records at once: what is accepted, in which order, and by how many stores and rings.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "fake_daemon.hpp"
#include "hand_over.hpp"

namespace kfast::test {
namespace {

using ipc::RecordHead;

class Batch : public HandOver {
 protected:
  /// Records whose frames have `size` bytes.
  std::vector<kfast_record_t> records(std::size_t count, std::size_t size = 1024) {
    value_.assign(size - sizeof(RecordHead), 'v');
    kfast_record_t record = KFAST_RECORD_INIT;
    record.topic = topic;
    record.value = value_.data();
    record.value_size = value_.size();
    return std::vector<kfast_record_t>(count, record);
  }
  int send(std::vector<kfast_record_t>& batch, int timeout_ms = 0) {
    return kfast_send_batch(producer, batch.data(), batch.size(), timeout_ms);
  }
  /// A batch on another thread, once it waits for room.
  std::future<int> send_waiting(std::vector<kfast_record_t>& batch) {
    const std::uint64_t before = channel->c2d().waiting.load();
    auto sending = std::async(std::launch::async, [&] { return send(batch, -1); });
    while (channel->c2d().waiting.load() == before) {
      std::this_thread::yield();
    }
    return sending;
  }
  [[nodiscard]] bool says(const char* words) const {
    return std::strstr(kfast_last_error(producer), words) != nullptr;
  }

  std::string value_;
};

TEST_F(Batch, WritesEachRecordAsASendWould) {
  open();
  const kfast_header_t header{"trace", 5, nullptr, 0};
  std::vector<kfast_record_t> batch(4, KFAST_RECORD_INIT);
  batch[0].key = "key";
  batch[0].key_size = 3;
  batch[0].value = "value";
  batch[0].value_size = 5;
  batch[1].headers = &header;
  batch[1].header_count = 1;
  batch[2].value = "";
  batch[3].partition = 7;
  batch[3].timestamp_ms = 4711;
  for (auto& record : batch) {
    record.topic = topic;
  }
  EXPECT_EQ(send(batch), 4);
  EXPECT_EQ(channel->c2d().tail.load(), 32U + 64U + 24U + 48U);
  EXPECT_EQ(batch[0].position, 0);
  EXPECT_EQ(batch[1].position, 32);
  EXPECT_EQ(batch[2].position, 96);
  EXPECT_EQ(batch[3].position, 120);
  EXPECT_EQ(std::memcmp(channel->record_at(0) + sizeof(RecordHead), "keyvalue", 8), 0);
  EXPECT_EQ(channel->read<RecordHead>(0).flags, ipc::kHasKey | ipc::kHasValue);
  EXPECT_EQ(channel->read<RecordHead>(32).flags, ipc::kHasExtension);
  EXPECT_EQ(channel->read<RecordHead>(96).flags, ipc::kHasValue);
  ipc::RecordExtension extension;
  std::memcpy(&extension, channel->record_at(120) + sizeof(RecordHead), sizeof extension);
  EXPECT_EQ(extension.partition, 7);
  EXPECT_EQ(extension.timestamp_ms, 4711);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto position = static_cast<std::uint64_t>(batch[i].position);
    EXPECT_EQ(channel->read<RecordHead>(position).ordinal, i);
  }
}

TEST_F(Batch, OfNothingDoesNothing) {
  open();
  EXPECT_EQ(kfast_send_batch(producer, nullptr, 0, -1), 0);
  EXPECT_EQ(kfast_send_batch(producer, nullptr, 1, -1), KFAST_ERR_INVALID);
  EXPECT_TRUE(says("records"));
}

TEST_F(Batch, AFullRingTakesAPrefix) {
  open();
  auto batch = records(6);
  batch[5].position = -77;
  EXPECT_EQ(send(batch), 4);
  EXPECT_EQ(batch[3].position, 3072);
  EXPECT_EQ(batch[4].position, KFAST_ERR_QUEUE_FULL);
  EXPECT_EQ(batch[5].position, -77);
  EXPECT_TRUE(says("raise ring.bytes"));
  EXPECT_EQ(channel->c2d().tail.load(), 4096U);
  EXPECT_EQ(send(batch), KFAST_ERR_QUEUE_FULL);
  EXPECT_EQ(batch[0].position, KFAST_ERR_QUEUE_FULL);
}

TEST_F(Batch, ARecordThatCannotBeSentEndsItAndWhatCameBeforeIsSent) {
  open();
  const auto refused_at_one = [&](auto&& spoil) {
    auto batch = records(3, 24);
    spoil(batch[1]);
    const std::uint64_t tail = channel->c2d().tail.load();
    EXPECT_EQ(send(batch, -1), 1);
    EXPECT_EQ(channel->c2d().tail.load(), tail + 24);
    channel->move_head(tail + 24);
    return batch[1].position;
  };
  EXPECT_EQ(refused_at_one([](auto& record) { record.topic = 9; }), KFAST_ERR_INVALID);
  EXPECT_TRUE(says("topic number 9"));
  EXPECT_EQ(refused_at_one([](auto& record) { record.partition = -2; }), KFAST_ERR_INVALID);
  EXPECT_EQ(refused_at_one([](auto& record) { record.key_size = 1; }), KFAST_ERR_INVALID);
  EXPECT_EQ(refused_at_one([](auto& record) { record.header_count = 1025; }),
            KFAST_ERR_TOO_MANY_HEADERS);
  EXPECT_EQ(refused_at_one([](auto& record) { record.value_size = SIZE_MAX; }),
            KFAST_ERR_TOO_LARGE);
  kfast_topic(producer, "other");
  channel->set_topic_state(1, ipc::TopicState::not_allowed);
  EXPECT_EQ(refused_at_one([](auto& record) { record.topic = 1; }), KFAST_ERR_TOPIC_NOT_ALLOWED);
  channel->set_topic_state(1, ipc::TopicState::over_budget);
  auto batch = records(2, 24);
  batch[1].topic = 1;
  EXPECT_EQ(send(batch), 1);
  EXPECT_EQ(batch[1].position, KFAST_ERR_QUEUE_FULL);
}

TEST_F(Batch, TheCreditOfReportsEndsItWhereASendWouldBeRefused) {
  open(65536, 4096);
  const std::uint64_t limit = ipc::report_credit(4096, 0);
  auto batch = records(2 * limit, 24);
  EXPECT_EQ(send(batch), static_cast<int>(limit));
  EXPECT_EQ(batch[limit].position, KFAST_ERR_QUEUE_FULL);
  EXPECT_TRUE(says("kfast_reports"));
  // Each has its report: the head is at the tail, so that only unread reports use credit up.
  for (std::uint64_t i = 0; i < limit; ++i) {
    channel->report({static_cast<std::uint64_t>(batch[i].position)});
  }
  channel->move_head(channel->c2d().tail.load());
  EXPECT_EQ(send(batch, -1), KFAST_ERR_QUEUE_FULL) << "waiting cannot help";
  // Half of the reports are read: credit for as many, which one batch may not use twice.
  std::vector<kfast_report_t> reports(limit / 2);
  ASSERT_EQ(kfast_reports(producer, reports.data(), reports.size()),
            static_cast<int>(reports.size()));
  EXPECT_EQ(send(batch), static_cast<int>(reports.size()));
  EXPECT_EQ(send(batch), KFAST_ERR_QUEUE_FULL);
}

TEST_F(Batch, NeverHasMoreOutThanTheReportRingCanAnswer) {
  open(4096, 4096);
  std::uint64_t sent = 0;
  std::uint64_t reported = 0;
  std::uint64_t head = 0;
  for (std::uint64_t round = 0; round < 3000; ++round) {
    auto batch = records(1 + round % 170, 24 + round * 8 % 1000);
    const int accepted = send(batch);
    sent += accepted > 0 ? static_cast<std::uint64_t>(accepted) : 0;
    for (std::uint64_t answers = 0; answers < 1 + round % 60 && reported < sent; ++answers) {
      auto frame = channel->read<RecordHead>(head);
      while (frame.kind == ipc::FrameKind::padding) {
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

TEST_F(Batch, RingsOnce) {
  open();
  channel->d2c().parked.store(1);
  auto batch = records(3, 24);
  ASSERT_EQ(send(batch), 3);
  std::uint64_t rings = 0;
  ASSERT_EQ(::read(channel->doorbell.get(), &rings, sizeof rings), sizeof rings);
  EXPECT_EQ(rings, 1U);
}

TEST_F(Batch, LargerThanTheRingGoesThroughWhenItMayWait) {
  open(4096, 4096, 16, "none");
  auto batch = records(50);
  auto sending = send_waiting(batch);
  // What was written is there before it waits.
  EXPECT_EQ(channel->c2d().tail.load(), 4096U);
  for (std::uint64_t head = 1024; head <= 50 * 1024; head += 1024) {
    while (channel->c2d().tail.load() < head) {
      std::this_thread::yield();
    }
    channel->move_head(head);
    session.wake();
  }
  EXPECT_EQ(sending.get(), 50);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(batch[i].position, static_cast<std::int64_t>(i * 1024));
  }
}

TEST_F(Batch, ThatWaitsEndsWithItsTime) {
  open();
  auto batch = records(6);
  EXPECT_EQ(send(batch, 1), 4);
  EXPECT_EQ(batch[4].position, KFAST_ERR_TIMED_OUT);
  EXPECT_EQ(send(batch, 1), KFAST_ERR_TIMED_OUT);
  EXPECT_EQ(batch[0].position, KFAST_ERR_TIMED_OUT);
}

TEST_F(Batch, ThatWaitsGoesOnWithAnotherDaemon) {
  open(4096, 4096, 16, "none");
  auto batch = records(6);
  auto sending = send_waiting(batch);
  die();
  daemon.start();
  session = daemon.accept();
  static_cast<void>(session.receive());
  session.welcome();
  Message message = session.receive();
  const auto request = message.as<ipc::ResumeProducer>();
  ASSERT_EQ(message.fds.size(), 2U);
  channel.emplace(request.geometry, std::move(message.fds[0]), std::move(message.fds[1]));
  session.resume(*channel, request.request);
  await_confirm();
  channel->move_head(2048);
  while (channel->c2d().waiting.load() == 0) {
    std::this_thread::yield();
  }
  session.wake();
  EXPECT_EQ(sending.get(), 6);
  EXPECT_EQ(batch[5].position, 5120);
}

TEST_F(Batch, ThatWaitsEndsWithItsChannel) {
  open();
  auto batch = records(6);
  auto sending = send_waiting(batch);
  auto notice = ipc::make_message<ipc::Notice>();
  notice.code = ipc::RefusalCode::violation;
  ipc::put_text(notice.text, "a frame of size 0");
  session.send(notice);
  session.close();
  EXPECT_EQ(sending.get(), 4);
  EXPECT_EQ(batch[4].position, KFAST_ERR_CLOSED);
  EXPECT_EQ(send(batch), KFAST_ERR_CLOSED);
  EXPECT_TRUE(says("a frame of size 0"));
}

}  // namespace
}  // namespace kfast::test
