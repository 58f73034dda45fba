#include "keeper/kept_set.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace kfast::daemon::keeper {
namespace {

/// A pipe whose other end tells whether the one that was given away is still open.
struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
  [[nodiscard]] std::vector<ipc::Fd> give() {
    std::vector<ipc::Fd> fds;
    fds.push_back(std::move(there));
    return fds;
  }
  [[nodiscard]] bool is_open() const {
    pollfd look{here.get(), 0, 0};
    return ::poll(&look, 1, 0) == 0;
  }
  ipc::Fd here;
  ipc::Fd there;
};

TEST(KeptSet, KeepsByNameUntilTheNameIsRemoved) {
  KeptSet set;
  Pipe one;
  Pipe two;
  EXPECT_EQ(set.take("FDSTORE=1\nFDNAME=one\nFDPOLL=0", one.give()), "");
  EXPECT_EQ(set.take("FDNAME=two\nFDSTORE=1\n", two.give()), "");
  EXPECT_EQ(set.names(), "one:two");
  EXPECT_EQ(set.take("FDSTOREREMOVE=1\nFDNAME=one", {}), "");
  EXPECT_EQ(set.names(), "two");
  EXPECT_FALSE(one.is_open());
  EXPECT_TRUE(two.is_open());
}

TEST(KeptSet, ABarrierIsAnsweredByClosingIt) {
  KeptSet set;
  Pipe barrier;
  EXPECT_EQ(set.take("BARRIER=1", barrier.give()), "");
  EXPECT_FALSE(barrier.is_open());
  EXPECT_TRUE(set.entries().empty());
}

TEST(KeptSet, WhatIsNotAboutTheStoreIsPassedOn) {
  KeptSet set;
  EXPECT_EQ(set.take("READY=1\nSTATUS=serving", {}), "READY=1\nSTATUS=serving\n");
  EXPECT_EQ(set.take("STATUS=a=b\nFDSTOREREMOVE=1\nFDNAME=x\n", {}), "STATUS=a=b\n");
  EXPECT_EQ(set.take("", {}), "");
}

TEST(KeptSet, ANameThatCouldNotBePassedOnIsNotKept) {
  KeptSet set;
  for (const std::string& name :
       {std::string("a:b"), std::string("a\tb"), std::string(), std::string(256, 'n')}) {
    Pipe pipe;
    EXPECT_EQ(set.take("FDSTORE=1\nFDNAME=" + name, pipe.give()), "");
    EXPECT_FALSE(pipe.is_open()) << name;
  }
  EXPECT_TRUE(set.entries().empty());
}

TEST(KeptSet, NoMoreIsKeptThanTheNamesOfWhichFitIntoTheEnvironment) {
  KeptSet set;
  const std::string name(255, 'n');
  for (int i = 0; i < 1000; ++i) {
    std::vector<ipc::Fd> fds;
    fds.emplace_back(::dup(0));
    static_cast<void>(set.take("FDSTORE=1\nFDNAME=" + name, std::move(fds)));
  }
  EXPECT_EQ(set.entries().size(), std::size_t{125} * 1024 / 256);
  EXPECT_LT(set.names().size(), std::size_t{128} * 1024);
  static_cast<void>(set.take("FDSTOREREMOVE=1\nFDNAME=" + name, {}));
  EXPECT_TRUE(set.entries().empty()) << "all of that name";
}

TEST(KeptSet, ChannelsWhoseWorkerHasEndedAreCounted) {
  KeptSet set;
  const auto keep = [&set](const std::string& name, int fd) {
    std::vector<ipc::Fd> fds;
    fds.emplace_back(fd);
    static_cast<void>(set.take("FDSTORE=1\nFDNAME=" + name, std::move(fds)));
  };
  const auto pidfd_of = [](pid_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U));
  };
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  keep("kf1.c2d", ::memfd_create("c2d", MFD_CLOEXEC));
  keep("kf1.pid", pidfd_of(child));
  keep("kf2.pid", pidfd_of(::getpid()));
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(set.channels_without_worker(), 1U);
}

}  // namespace
}  // namespace kfast::daemon::keeper
