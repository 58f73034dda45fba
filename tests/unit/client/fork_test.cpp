// A forked child must not touch its parent's channel.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

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
                     kfast_ring_bytes(producer) == 4096 &&
                     kfast_purge(producer) == KFAST_ERR_FORKED
                 ? 0
                 : 128;
    kfast_producer_close(producer);
    ::_exit(wrong);
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

}  // namespace
}  // namespace kfast::test
