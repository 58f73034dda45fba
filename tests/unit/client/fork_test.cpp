// A forked child must not touch its parent's channel.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "fake_daemon.hpp"

namespace kfast::test {
namespace {

TEST_F(OpenProducer, InAForkedChildEveryCallIsRefusedAndTheParentGoesOn) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    kfast_report_t report;
    int wrong = 0;
    wrong += kfast_send(producer, topic, nullptr, 0, "v", 1) == KFAST_ERR_FORKED ? 0 : 1;
    wrong += kfast_send_record(producer, topic, -1, -1, nullptr, 0, "v", 1, nullptr, 0, -1) ==
                     KFAST_ERR_FORKED
                 ? 0
                 : 2;
    wrong += kfast_topic(producer, "other") == KFAST_ERR_FORKED ? 0 : 4;
    wrong += kfast_reports(producer, &report, 1) == KFAST_ERR_FORKED ? 0 : 8;
    wrong += kfast_flush(producer, -1) == KFAST_ERR_FORKED ? 0 : 16;
    wrong += std::strstr(kfast_last_error(producer), "parent") != nullptr ? 0 : 32;
    wrong += kfast_fd(producer) == KFAST_ERR_FORKED ? 0 : 64;
    kfast_record_t record = KFAST_RECORD_INIT;
    void* value = &record;
    wrong += kfast_send_batch(producer, &record, 1, -1) == KFAST_ERR_FORKED &&
                     record.position == KFAST_ERR_FORKED &&
                     kfast_reserve(producer, &record, &value) == KFAST_ERR_FORKED &&
                     value == nullptr && kfast_commit(producer, 0) == KFAST_ERR_FORKED &&
                     kfast_cancel(producer) == KFAST_ERR_FORKED &&
                     kfast_ring_bytes(producer) == 4096 && kfast_purge(producer) == KFAST_ERR_FORKED
                 ? 0
                 : 128;
    void* opaque = nullptr;
    wrong += kfast_send_one(producer, &record, -1) == KFAST_ERR_FORKED ? 0 : 256;
    wrong += kfast_send_wait(producer, &record, -1, &report) == KFAST_ERR_FORKED ? 0 : 512;
    wrong += kfast_wait(producer, 0, -1, &report) == KFAST_ERR_FORKED ? 0 : 1024;
    wrong += kfast_reports_opaque(producer, &report, &opaque, 1) == KFAST_ERR_FORKED ? 0 : 2048;
    char text[8];
    wrong += kfast_report_text(producer, &report, text, sizeof text) == KFAST_ERR_FORKED ? 0 : 4096;
    kfast_producer_close(producer);
    ::_exit(wrong == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  // The child's close took nothing from the parent: not its session, not its place in the event
  // set.
  EXPECT_EQ(send_frame(24), 24);
  EXPECT_TRUE(all_reports().empty());
  channel->report({0, 24});
  channel->move_head(48);
  session.wake();
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(all_reports().size(), 2U);
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_OK);
}

TEST_F(OpenProducer, AChildDoesNotTouchALockThatAnotherThreadHeldAtTheFork) {
  open(4096, 4096, 16, "all", true);
  // Most of the forks come while the other thread is in a call, with the lock or in poll.
  std::atomic<bool> over{false};
  std::thread busy([&] {
    kfast_report_t report;
    while (!over) {
      static_cast<void>(kfast_send(producer, topic, nullptr, 0, "v", 1));
      static_cast<void>(kfast_wait(producer, 0, 0, &report));
      static_cast<void>(kfast_flush(producer, 1));
    }
  });
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(30);
      kfast_report_t report;
      const bool right =
          kfast_send(producer, topic, nullptr, 0, "v", 1) == KFAST_ERR_FORKED &&
          kfast_wait(producer, 0, -1, &report) == KFAST_ERR_FORKED &&
          kfast_flush(producer, -1) == KFAST_ERR_FORKED && kfast_used_bytes(producer) == 0 &&
          kfast_topic_name(producer, topic) == nullptr && kfast_last_error(producer)[0] != '\0' &&
          kfast_fd(producer) == KFAST_ERR_FORKED;
      kfast_producer_close(producer);
      ::_exit(right ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  over = true;
  busy.join();
}

}  // namespace
}  // namespace kfast::test
