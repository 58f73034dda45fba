#include "process.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <new>
#include <string>

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

std::string what_proc_shows() {
  std::ifstream file("/proc/self/environ");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ProcessDeathTest, TheEnvironmentIsThereForUsAndNotForProc) {
  ASSERT_NE(what_proc_shows().find("PATH="), std::string::npos);
  EXPECT_EXIT(
      {
        const std::string path = std::getenv("PATH");
        hide_environment();
        const bool kept = path == std::getenv("PATH");
        const bool hidden = what_proc_shows().find_first_not_of('\0') == std::string::npos;
        ::_exit(kept && hidden ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(ProcessDeathTest, HiddenMemoryDumpsNoCore) {
  EXPECT_EXIT(
      {
        hide_memory();
        ::_exit(::prctl(PR_GET_DUMPABLE));
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace kfast::daemon
