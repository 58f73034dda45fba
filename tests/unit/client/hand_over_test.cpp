// kfastd goes away and another one comes: nothing is lost, and nothing is reported twice.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstring>
#include <set>
#include <string>
#include <thread>

#include "fake_daemon.hpp"
#include "hand_over.hpp"

namespace kfast::test {
namespace {

TEST_F(HandOver, SendsGoOnWithoutADaemon) {
  open();
  ASSERT_EQ(send_frame(1024), 0);
  die();
  EXPECT_EQ(send_frame(1024), 1024);
  EXPECT_EQ(kfast_flush(producer, 1), KFAST_ERR_TIMED_OUT);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "kfastd is away: 2048 bytes"), nullptr)
      << kfast_last_error(producer);
  EXPECT_EQ(send_frame(1024), 2048);
  EXPECT_EQ(send_frame(1024), 3072);
  EXPECT_EQ(send_frame(24), KFAST_ERR_QUEUE_FULL);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "kfastd is away"), nullptr)
      << kfast_last_error(producer);
}

TEST_F(HandOver, WhatIsPurgedWithoutADaemonTheNextOneIsTold) {
  open();
  ASSERT_EQ(send_frame(1024), 0);
  die();
  ASSERT_EQ(send_frame(1024), 1024);
  ASSERT_EQ(kfast_purge(producer), KFAST_OK);
  ASSERT_EQ(send_frame(1024), 2048);
  take_over();
  EXPECT_EQ(channel->c2d().purged_until.load(), 2048U);
  EXPECT_EQ(channel->c2d().tail.load(), 3072U);
}

TEST_F(HandOver, TheSameRingGoesOnWithTheSamePositions) {
  open();
  ASSERT_EQ(send_frame(1024), 0);
  ASSERT_EQ(send_frame(1024), 1024);
  channel->move_head(1024);
  die();
  take_over();
  // The records that were there ring the new doorbell.
  EXPECT_EQ(channel->read<ipc::RecordHead>(1024).kind, ipc::FrameKind::record);
  EXPECT_EQ(channel->c2d().tail.load(), 2048U);
  while (kfast_used_bytes(producer) != 1024) {
    std::this_thread::yield();
  }
  EXPECT_EQ(send_frame(1024), 2048);
  channel->report({1024, 2048}, 7);
  channel->move_head(3072);
  session.wake();
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_OK);
  const auto reports = all_reports();
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].position, 1024);
  EXPECT_EQ(reports[1].position, 2048);
}

TEST_F(HandOver, ReportsOfTheOldDaemonAreKeptAndNotRepeated) {
  open(65536);
  std::vector<std::uint64_t> positions;
  for (int i = 0; i < 10; ++i) {
    positions.push_back(static_cast<std::uint64_t>(send_frame(64)));
  }
  // Reported and read; reported and unread in the middle of a frame; not reported. The head has not
  // moved.
  channel->report({positions[0], positions[1]}, 10);
  channel->report({positions[3], positions[4], positions[5]}, 13);
  kfast_report_t first[3];
  ASSERT_EQ(kfast_reports(producer, first, 3), 3);
  die();
  take_over();
  // The new daemon cannot know what was read: it reports all that it finds done.
  channel->report({positions[0], positions[1], positions[3], positions[4], positions[5]}, -1);
  channel->report({positions[2], positions[6], positions[7], positions[8], positions[9]}, 100);
  channel->move_head(channel->c2d().tail.load());
  session.wake();
  ASSERT_EQ(kfast_flush(producer, -1), KFAST_OK);
  std::multiset<std::int64_t> seen;
  for (const auto& report : first) {
    seen.insert(report.position);
  }
  for (const auto& report : all_reports()) {
    seen.insert(report.position);
    if (report.position == static_cast<std::int64_t>(positions[5])) {
      EXPECT_EQ(report.offset, 15);  // of the old daemon, which knew it
    }
  }
  EXPECT_EQ(seen, std::multiset<std::int64_t>(positions.begin(), positions.end()));
}

TEST_F(HandOver, ARepeatedReportThatIsReadALapLaterIsDroppedToo) {
  open(4096, 4096);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(send_frame(1024), i * 1024);
  }
  channel->report({0, 1024}, 0);
  ASSERT_EQ(all_reports().size(), 2U);
  die();
  take_over();
  channel->report({0, 1024, 2048, 3072}, -1);
  channel->move_head(4096);
  while (kfast_used_bytes(producer) != 0) {
    std::this_thread::yield();
  }
  for (int i = 4; i < 8; ++i) {
    ASSERT_EQ(send_frame(1024), i * 1024);
  }
  channel->report({4096, 5120, 6144, 7168}, 50);
  std::vector<std::int64_t> seen;
  for (const auto& report : all_reports()) {
    seen.push_back(report.position);
  }
  EXPECT_EQ(seen, (std::vector<std::int64_t>{2048, 3072, 4096, 5120, 6144, 7168}));
}

TEST_F(HandOver, TheDescriptorStaysTheSameAndRingsAfterIt) {
  open();
  const int fd = kfast_fd(producer);
  ASSERT_EQ(send_frame(24), 0);
  EXPECT_TRUE(all_reports().empty());
  EXPECT_FALSE(fd_is_readable());
  die();
  EXPECT_TRUE(fd_is_readable());  // the end of the session
  EXPECT_TRUE(all_reports().empty());
  take_over();
  EXPECT_EQ(kfast_fd(producer), fd);
  // Whoever waited for a report must be told to look again.
  keep_calling([&] { return fd_is_readable(); });
  EXPECT_TRUE(all_reports().empty());
  EXPECT_FALSE(fd_is_readable());
  EXPECT_GE(channel->c2d().waiting.load(), 1U);
  channel->report({0});
  session.wake();
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(all_reports().size(), 1U);
}

TEST_F(HandOver, TheDescriptorIsReadableWhileReportsAreLeft) {
  open();
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(send_frame(24), i * 24);
  }
  die();
  std::uint32_t asked = 0;
  come_back([&](const ipc::ResumeProducer& request, Message& message) {
    channel.emplace(request.geometry, std::move(message.fds[0]), std::move(message.fds[1]));
    asked = request.request;
  });
  // They come between the two looks of one call, so no wake-up is asked for when they are written.
  channel->report({0, 24, 48});
  session.resume(*channel, asked);
  kfast_report_t reports[2];
  ASSERT_EQ(kfast_reports(producer, reports, 2), 2);
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(kfast_reports(producer, reports, 2), 1);
  EXPECT_FALSE(fd_is_readable());
}

TEST_F(HandOver, ABusyDaemonIsAskedAgain) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  die();
  for (const auto code : {ipc::RefusalCode::busy, ipc::RefusalCode::draining}) {
    come_back([&](const ipc::ResumeProducer& request, Message&) {
      session.refuse(request.request, code, "not yet");
      EXPECT_TRUE(session.receive().ended);
    });
    EXPECT_GE(send_frame(24), 0);
    daemon.stop();
  }
  take_over();
  channel->move_head(channel->c2d().tail.load());
  session.wake();
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_OK);
}

TEST_F(HandOver, AnAnswerThatTheWorkerCannotTakeIsNotConfirmed) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  die();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  come_back([&](const ipc::ResumeProducer& request, Message& message) {
    FakeChannel offered(request.geometry, std::move(message.fds[0]), std::move(message.fds[1]));
    const rlimit none{3, limit.rlim_max};  // poll() itself wants one
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    session.resume(offered, request.request);
    EXPECT_TRUE(session.receive().ended);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  });
  EXPECT_EQ(send_frame(24), 24);
  daemon.stop();
  take_over();  // as if the first had not been
  channel->report({0, 24});
  channel->move_head(48);
  session.wake();
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_OK);
  EXPECT_EQ(all_reports().size(), 2U);
}

TEST_F(HandOver, NonsenseIsNoReasonToGiveUpTheRing) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  die();
  daemon.start();
  std::future<void> served = std::async(std::launch::async, [&] {
    session = daemon.accept();
    static_cast<void>(session.receive());
    session.send_bytes("nonsense", 8);
    EXPECT_TRUE(session.receive().ended);
  });
  keep_calling(
      [&] { return served.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  served.get();
  daemon.stop();
  take_over();
  EXPECT_EQ(send_frame(24), 24);
}

TEST_F(HandOver, ARefusalForGoodClosesTheChannelWithItsWords) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  die();
  come_back([&](const ipc::ResumeProducer& request, Message&) {
    session.refuse(request.request, ipc::RefusalCode::bad_segment, "the seals are wrong");
    EXPECT_TRUE(session.receive().ended);
  });
  EXPECT_EQ(send_frame(24), KFAST_ERR_CLOSED);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "the seals are wrong"), nullptr);
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_ERR_CLOSED);
  kfast_report_t report;
  EXPECT_EQ(kfast_reports(producer, &report, 1), KFAST_ERR_CLOSED);
}

TEST_F(HandOver, ANoticeOfAViolationClosesTheChannelWithItsWords) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  auto notice = ipc::make_message<ipc::Notice>();
  notice.code = ipc::RefusalCode::violation;
  ipc::put_text(notice.text, "a frame of size 0");
  session.send(notice);
  session.close();
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_ERR_CLOSED);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "a frame of size 0"), nullptr);
}

TEST_F(HandOver, AFlushBeginsBeforeAndEndsAfterIt) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  die();
  auto flushing = std::async(std::launch::async, [&] { return kfast_flush(producer, -1); });
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
  while (channel->c2d().waiting.load() == 0) {
    std::this_thread::yield();
  }
  channel->move_head(24);
  session.wake();
  EXPECT_EQ(flushing.get(), KFAST_OK);
}

TEST_F(HandOver, AWaitBeginsBeforeAndEndsAfterIt) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(24), 24);
  ASSERT_EQ(send_frame(24), 48);
  channel->report({0}, 1);  // of the old daemon: kept for who reads reports
  kfast_report_t report;
  auto waiting =
      std::async(std::launch::async, [&] { return kfast_wait(producer, 24, -1, &report); });
  while (channel->c2d().waiting.load() == 0) {
    std::this_thread::yield();
  }
  channel->report({48}, 2);  // the wait has not seen it when the daemon dies
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
  while (channel->c2d().waiting.load() == 0) {
    std::this_thread::yield();
  }
  channel->report({0, 24, 48}, -1);
  channel->move_head(72);
  session.wake();
  EXPECT_EQ(waiting.get(), KFAST_OK);
  EXPECT_EQ(report.position, 24);
  const auto rest = all_reports();
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].offset, 1);
  EXPECT_EQ(rest[1].offset, 2);
  EXPECT_EQ(kfast_wait(producer, 48, -1, &report), KFAST_ERR_INVALID);
}

TEST_F(HandOver, AWaitFindsWhatTheOldDaemonReported) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(24), 24);
  channel->report({24}, 5);
  channel->report({0}, 6);
  die();
  take_over();
  kfast_report_t report;
  EXPECT_EQ(kfast_wait(producer, 0, -1, &report), KFAST_OK);
  EXPECT_EQ(report.offset, 6);
  EXPECT_EQ(kfast_wait(producer, 0, -1, &report), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_wait(producer, 24, -1, &report), KFAST_OK);
}

TEST_F(HandOver, AWaitWithoutADaemonSaysSo) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  die();
  kfast_report_t report;
  EXPECT_EQ(kfast_wait(producer, 0, 1, &report), KFAST_ERR_TIMED_OUT);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "kfastd is away: the record at position 0"),
            nullptr)
      << kfast_last_error(producer);
}

TEST_F(HandOver, AnOpaqueComesBackOnceThoughItsReportComesTwice) {
  open();
  int marks[3];
  for (int& mark : marks) {
    kfast_record_t record = KFAST_RECORD_INIT;
    record.topic = topic;
    record.opaque = &mark;
    ASSERT_GE(kfast_send_one(producer, &record, 0), 0);
  }
  channel->report({0, 24}, 1);
  kfast_report_t reports[4];
  void* opaques[4];
  ASSERT_EQ(kfast_reports_opaque(producer, reports, opaques, 1), 1);
  EXPECT_EQ(opaques[0], &marks[0]);
  die();
  take_over();
  channel->report({0, 24, 48}, -1);
  ASSERT_EQ(kfast_reports_opaque(producer, reports, opaques, 4), 2);
  EXPECT_EQ(opaques[0], &marks[1]);
  EXPECT_EQ(opaques[1], &marks[2]);
  EXPECT_EQ(kfast_reports_opaque(producer, reports, opaques, 4), 0);
}

}  // namespace
}  // namespace kfast::test
