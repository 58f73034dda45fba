// Memory that is wanted and not there: nothing is accepted that cannot be answered for, and nothing
// is lost.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "fake_daemon.hpp"

namespace {
bool no_memory = false;
}

extern "C" {
void* __real_realloc(void* at, std::size_t size);
void* __wrap_realloc(void* at, std::size_t size);
void* __wrap_realloc(void* at, std::size_t size) {
  return no_memory ? nullptr : __real_realloc(at, size);
}
}

namespace kfast::test {
namespace {

class WithoutMemory : public OpenProducer {
 protected:
  ~WithoutMemory() override { no_memory = false; }

  std::int64_t send_with(void* opaque) {
    kfast_record_t record = KFAST_RECORD_INIT;
    record.topic = topic;
    record.opaque = opaque;
    return kfast_send_one(producer, &record, -1);
  }
};

TEST_F(WithoutMemory, ARecordWithAnOpaqueIsNotAccepted) {
  open(65536, 65536);
  int mine = 0;
  no_memory = true;
  EXPECT_EQ(send_with(&mine), KFAST_ERR_NO_MEMORY);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "was not accepted"), nullptr);
  EXPECT_EQ(channel->c2d().tail.load(), 0U);
  EXPECT_EQ(send_with(nullptr), 0);
  no_memory = false;
  std::int64_t last = 0;
  for (no_memory = false; last >= 0; no_memory = true) {
    last = send_with(&mine);  // until what the first gave room for is used up
  }
  EXPECT_EQ(last, KFAST_ERR_NO_MEMORY);
  no_memory = false;
  EXPECT_GE(send_with(&mine), 0);
}

TEST_F(WithoutMemory, AWaitLeavesTheReportsWhereTheyAre) {
  open(65536, 65536);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(send_frame(24), i * 24);
  }
  channel->report({0, 24, 48}, 1);
  channel->report({72}, 9);
  kfast_report_t report;
  no_memory = true;
  EXPECT_EQ(kfast_wait(producer, 0, 0, &report), KFAST_OK);  // nothing has to be kept for it
  EXPECT_EQ(kfast_wait(producer, 72, -1, &report), KFAST_ERR_NO_MEMORY);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "kfast_reports"), nullptr);
  EXPECT_EQ(kfast_wait(producer, 24, -1, &report), KFAST_OK);
  EXPECT_EQ(report.offset, 2);
  ASSERT_EQ(kfast_reports(producer, &report, 1), 1);
  EXPECT_EQ(report.position, 48);
  EXPECT_EQ(kfast_wait(producer, 72, -1, &report), KFAST_OK);
  EXPECT_EQ(report.offset, 9);
}

TEST_F(WithoutMemory, AWaitFindsWhatIsKeptAlsoWithoutAnIndex) {
  open(65536, 65536);
  std::vector<std::uint64_t> positions;
  for (int i = 0; i < 500; ++i) {
    positions.push_back(static_cast<std::uint64_t>(send_frame(24)));
  }
  channel->report(positions, 0);
  kfast_report_t report;
  ASSERT_EQ(kfast_wait(producer, 499 * 24, 0, &report), KFAST_OK);
  no_memory = true;
  for (int i = 498; i >= 0; --i) {
    ASSERT_EQ(kfast_wait(producer, i * 24, 0, &report), KFAST_OK);
    ASSERT_EQ(report.offset, i);
  }
}

}  // namespace
}  // namespace kfast::test
