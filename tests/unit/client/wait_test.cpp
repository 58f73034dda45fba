// Waiting for the report of one record.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>

#include "fake_daemon.hpp"

namespace kfast::test {
namespace {

class Wait : public OpenProducer {
 protected:
  int wait(std::int64_t position, int timeout_ms = 0) {
    return kfast_wait(producer, position, timeout_ms, &report);
  }

  [[nodiscard]] kfast_record_t record(const char* value) const {
    kfast_record_t made = KFAST_RECORD_INIT;
    made.topic = topic;
    made.value = value;
    made.value_size = std::strlen(value);
    return made;
  }

  void await_armed(std::uint64_t times = 1) {
    while (channel->c2d().waiting.load() < times) {
      std::this_thread::yield();
    }
  }

  [[nodiscard]] bool error_has(const char* words) const {
    return std::strstr(kfast_last_error(producer), words) != nullptr;
  }

  kfast_report_t report{};
};

TEST_F(Wait, FindsOneReportAndLeavesTheOthersInTheirOrder) {
  open();
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(send_frame(32), i * 32);
  }
  channel->report({64, 96}, 7);
  channel->report({0}, -1, ipc::Outcome::failed, 10, 0, -1);
  channel->report({32}, -1, ipc::Outcome::unknown, -192, 0, 5);
  channel->report({128}, 9);
  ASSERT_EQ(wait(32), KFAST_OK);
  EXPECT_EQ(report.position, 32);
  EXPECT_EQ(report.outcome, KFAST_UNKNOWN);
  EXPECT_STREQ(kfast_kafka_error(report.error), "_MSG_TIMED_OUT");
  ASSERT_EQ(wait(96), KFAST_OK);
  EXPECT_EQ(report.offset, 8);
  std::vector<std::int64_t> rest;
  for (const auto& each : all_reports()) {
    rest.push_back(each.position);
  }
  EXPECT_EQ(rest, (std::vector<std::int64_t>{64, 0, 128}));
}

TEST_F(Wait, OnlyLooksWithoutTime) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  EXPECT_EQ(wait(0), KFAST_ERR_TIMED_OUT);
  EXPECT_TRUE(error_has("position 0")) << kfast_last_error(producer);
  EXPECT_EQ(channel->c2d().waiting.load(), 0U);
  EXPECT_EQ(wait(0, 1), KFAST_ERR_TIMED_OUT);
  channel->report({0}, 4);
  EXPECT_EQ(wait(0), KFAST_OK);
  EXPECT_EQ(report.offset, 4);
}

TEST_F(Wait, IsWokenByKfastd) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(24), 24);
  auto waiting = std::async(std::launch::async, [&] { return wait(24, -1); });
  await_armed();
  channel->report({0}, 1);
  channel->move_head(24);
  session.wake();
  await_armed(2);  // not its record: it asks again
  channel->report({24}, 2);
  channel->move_head(48);
  session.wake();
  EXPECT_EQ(waiting.get(), KFAST_OK);
  EXPECT_EQ(report.offset, 2);
  // The wake-ups that it took are passed on to who waits for the descriptor.
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(all_reports().size(), 1U);
  EXPECT_FALSE(fd_is_readable());
}

TEST_F(Wait, EachOfManyIsFoundInAnyOrder) {
  constexpr int kCount = 20'000;
  for (const int step : {1, kCount - 1, 7919}) {
    kfast_producer_close(producer);
    producer = nullptr;
    open(1U << 20U, 1U << 20U);
    std::vector<std::uint64_t> positions;
    for (int i = 0; i < kCount; ++i) {
      positions.push_back(static_cast<std::uint64_t>(send_frame(24)));
    }
    for (int i = 0; i < kCount; i += 500) {
      channel->report({positions.begin() + i, positions.begin() + i + 500}, i);
    }
    channel->move_head(channel->c2d().tail.load());
    for (int i = 0, at = 0; i < kCount; ++i, at = (at + step) % kCount) {
      ASSERT_EQ(wait(static_cast<std::int64_t>(positions[static_cast<std::size_t>(at)])), KFAST_OK)
          << kfast_last_error(producer);
      ASSERT_EQ(report.offset, at);
    }
    EXPECT_TRUE(all_reports().empty());
  }
}

TEST_F(Wait, SaysWhereNoReportWillCome) {
  open();
  ASSERT_EQ(send_frame(100), 0);
  ASSERT_EQ(send_frame(100), 104);
  channel->report({0});
  channel->move_head(104);
  ASSERT_EQ(all_reports().size(), 1U);
  for (const std::int64_t wrong : {0, -1, -8, 4, 8, 96, 112, 208, 4096, 1 << 30}) {
    EXPECT_EQ(wait(wrong, -1), KFAST_ERR_INVALID) << wrong;
    EXPECT_TRUE(error_has("no report will come for position")) << kfast_last_error(producer);
  }
  channel->report({104});
  EXPECT_EQ(wait(104), KFAST_OK);
  EXPECT_EQ(wait(104), KFAST_ERR_INVALID);  // read, and its record still in the ring
  EXPECT_EQ(kfast_wait(producer, 104, 0, nullptr), KFAST_ERR_INVALID);
}

TEST_F(Wait, NeedsAllReports) {
  for (const char* reports : {"errors", "none"}) {
    kfast_producer_close(producer);
    producer = nullptr;
    open(4096, 4096, 16, reports);
    ASSERT_EQ(send_frame(24), 0);
    EXPECT_EQ(wait(0, -1), KFAST_ERR_INVALID);
    EXPECT_TRUE(error_has("reports=all")) << kfast_last_error(producer);
    const kfast_record_t unsent = record("v");
    EXPECT_EQ(kfast_send_wait(producer, &unsent, -1, &report), KFAST_ERR_INVALID);
    EXPECT_EQ(report.position, -1);
    EXPECT_EQ(channel->c2d().tail.load(), 24U);
  }
}

TEST_F(Wait, FindsTheReportOfARecordWhosePlaceHasBeenUsedAgain) {
  open();
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(send_frame(1024), i * 1024);
    channel->report({static_cast<std::uint64_t>(i) * 1024}, i);
    channel->move_head(channel->c2d().tail.load());
  }
  ASSERT_EQ(wait(5 * 1024, -1), KFAST_OK);
  EXPECT_EQ(report.offset, 5);
  EXPECT_EQ(wait(5 * 1024, -1), KFAST_ERR_INVALID);
  ASSERT_EQ(wait(4 * 1024, -1), KFAST_OK);
  EXPECT_EQ(report.offset, 4);
  EXPECT_EQ(all_reports().size(), 18U);
}

TEST_F(Wait, KeptReportsCountAsUnread) {
  open(65536, 4096);
  const std::uint64_t limit = ipc::report_credit(4096, 0);
  std::vector<std::uint64_t> positions;
  for (std::uint64_t i = 0; i < limit; ++i) {
    positions.push_back(static_cast<std::uint64_t>(send_frame(24)));
  }
  channel->report(positions);
  channel->move_head(channel->c2d().tail.load());
  ASSERT_EQ(wait(static_cast<std::int64_t>(positions.back())), KFAST_OK);
  EXPECT_GE(send_frame(24), 0);  // the room of the one that was read
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL);
  EXPECT_EQ(all_reports().size(), limit - 1);
  EXPECT_GE(send_frame(24), 0);
}

TEST_F(Wait, EndsWithTheChannel) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(24), 24);
  auto waiting = std::async(std::launch::async, [&] { return wait(24, -1); });
  await_armed();
  channel->report({0}, 1);
  auto notice = ipc::make_message<ipc::Notice>();
  notice.code = ipc::RefusalCode::violation;
  ipc::put_text(notice.text, "a frame of size 0");
  session.send(notice);
  session.close();
  EXPECT_EQ(waiting.get(), KFAST_ERR_CLOSED);
  EXPECT_TRUE(error_has("a frame of size 0")) << kfast_last_error(producer);
  EXPECT_EQ(wait(0), KFAST_OK);  // what was reported before is there
}

TEST_F(Wait, EndsTheChannelAtAReportThatMakesNoSense) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  channel->d2c().tail.store(4096 + 8);
  EXPECT_EQ(wait(0, -1), KFAST_ERR_CLOSED);
  EXPECT_TRUE(error_has("makes no sense"));
}

TEST_F(Wait, ASendThatWaitsReturnsTheOutcome) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  const kfast_record_t sent = record("hello");
  for (const auto outcome : {ipc::Outcome::delivered, ipc::Outcome::failed}) {
    const std::uint64_t position = channel->c2d().tail.load();
    const std::uint64_t asked = channel->c2d().waiting.load();
    auto sending = std::async(std::launch::async,
                              [&] { return kfast_send_wait(producer, &sent, -1, &report); });
    await_armed(asked + 1);
    const bool good = outcome == ipc::Outcome::delivered;
    channel->report({position}, good ? 12 : -1, outcome, good ? 0 : 3);
    session.wake();
    ASSERT_EQ(sending.get(), KFAST_OK);
    EXPECT_EQ(report.position, static_cast<std::int64_t>(position));
    EXPECT_EQ(report.outcome, static_cast<int>(outcome));
    EXPECT_STREQ(kfast_kafka_error(report.error), good ? "NO_ERROR" : "UNKNOWN_TOPIC_OR_PART");
  }
  EXPECT_TRUE(all_reports().empty());
}

TEST_F(Wait, ASendThatWaitsSaysWhetherItsRecordWasAccepted) {
  open();
  kfast_record_t sent = record("hello");
  EXPECT_EQ(kfast_send_wait(producer, &sent, 1, &report), KFAST_ERR_TIMED_OUT);
  EXPECT_EQ(report.position, 0);
  channel->report({0}, 5);
  ASSERT_EQ(wait(report.position), KFAST_OK);
  EXPECT_EQ(report.offset, 5);

  sent.topic = 7;
  EXPECT_EQ(kfast_send_wait(producer, &sent, -1, &report), KFAST_ERR_INVALID);
  EXPECT_EQ(report.position, -1);
  EXPECT_EQ(kfast_send_wait(producer, nullptr, -1, &report), KFAST_ERR_INVALID);
  sent.topic = topic;
  EXPECT_EQ(kfast_send_wait(producer, &sent, -1, nullptr), KFAST_ERR_INVALID);
  EXPECT_EQ(channel->c2d().tail.load(), 32U);

  while (send_frame(1024) >= 0) {
  }
  while (send_frame(24) >= 0) {
  }
  EXPECT_EQ(kfast_send_wait(producer, &sent, 0, &report), KFAST_ERR_QUEUE_FULL);
  EXPECT_EQ(report.position, -1);
  EXPECT_EQ(kfast_send_wait(producer, &sent, 1, &report), KFAST_ERR_TIMED_OUT);
  EXPECT_EQ(report.position, -1);
  EXPECT_TRUE(error_has("ring is full")) << kfast_last_error(producer);
}

}  // namespace
}  // namespace kfast::test
