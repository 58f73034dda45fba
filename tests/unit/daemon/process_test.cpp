#include "process.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <new>

namespace kfast::daemon {
namespace {

void hang() {
  for (;;) {
    ::pause();
  }
}

TEST(ProcessDeathTest, ALibraryThatHangsAfterACleanDrainIsNoFailure) {
  EXPECT_EXIT(
      {
        limit_shutdown(1, true);
        hang();
      },
      ::testing::ExitedWithCode(0), "every record has its outcome, but librdkafka would not end");
}

TEST(ProcessDeathTest, ALibraryThatHangsWithRecordsLeftIsAFailureWithWords) {
  EXPECT_EXIT(
      {
        limit_shutdown(1, false);
        hang();
      },
      ::testing::ExitedWithCode(1), "records without an outcome were left behind");
}

TEST(ProcessDeathTest, MemoryThatRunsOutEndsTheProcessWithWords) {
  EXPECT_EXIT(
      {
        abort_when_out_of_memory();
        std::get_new_handler()();  // as operator new does; a sanitizer's own does not
      },
      ::testing::KilledBySignal(SIGABRT), "kfastd: out of memory: give it more");
}

}  // namespace
}  // namespace kfast::daemon
