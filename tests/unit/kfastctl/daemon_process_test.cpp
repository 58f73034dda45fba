// Nothing is signalled but the kfastd that wrote the stats.
#include "kfastctl/daemon_process.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "segment_fixture.hpp"

namespace kfast::ctl {
namespace {

class DaemonProcessTest : public SegmentFixture {
 protected:
  ~DaemonProcessTest() override {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }

  /// A process that holds a segment until it is signalled. `change` may lie in the header first.
  template <class Change>
  void start_writer(Change change) {
    std::array<int, 2> ready{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    child_ = ::fork();
    if (child_ == 0) {
      const auto stats = make_segment();
      auto* bytes = const_cast<std::byte*>(stats->bytes().data());
      change(*reinterpret_cast<ipc::stats::Header*>(bytes));
      static_cast<void>(::write(ready[1], "x", 1));
      for (;;) {
        ::pause();
      }
    }
    ::close(ready[1]);
    char byte = 0;
    ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }
  [[nodiscard]] DaemonProcess::Found find() const {
    const auto opened = StatsFile::open(directory_);
    const auto parsed = parse_snapshot(opened.file->bytes(), true, boottime_ms());
    return DaemonProcess::find(*opened.file, *parsed.snapshot, directory_);
  }
  [[nodiscard]] bool refused_with(const std::string& part) const {
    const auto found = find();
    EXPECT_NE(found.error.find(part), std::string::npos) << found.error;
    return !found.process.has_value();
  }

  pid_t child_ = 0;
};

TEST_F(DaemonProcessTest, ALivingWriterIsSignalledAndItsEndIsSeen) {
  start_writer([](auto&) {});
  const auto found = find();
  ASSERT_TRUE(found.process) << found.error;
  EXPECT_EQ(found.process->pid(), child_);
  EXPECT_FALSE(found.process->wait_end(0));
  EXPECT_EQ(found.process->signal(SIGTERM), "");
  EXPECT_TRUE(found.process->wait_end(60'000));
  int status = 0;
  EXPECT_EQ(::waitpid(std::exchange(child_, 0), &status, 0), found.process->pid());
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  EXPECT_EQ(found.process->signal(SIGTERM), "");  // it has ended, as was wanted
}

TEST_F(DaemonProcessTest, ADeadWritersNumberIsNobody) {
  const pid_t dead = leave_segment_of_a_dead_process();
  EXPECT_TRUE(refused_with("the one of pid " + std::to_string(dead) + ", whose stats are still"));
}

TEST_F(DaemonProcessTest, ANumberOfAnotherPidNamespaceIsNobody) {
  start_writer([](ipc::stats::Header& header) { ++header.pid_namespace; });
  EXPECT_TRUE(refused_with("another pid namespace"));
}

TEST_F(DaemonProcessTest, AKfastdThatDoesNotSayItsNamespaceIsNotSignalled) {
  start_writer([](ipc::stats::Header& header) { header.pid_namespace = 0; });
  EXPECT_TRUE(refused_with("use the kfastctl that came with it"));
}

TEST_F(DaemonProcessTest, AProcessOfAnotherUserThanTheFilesOwnerIsNotSignalled) {
  // Process 1 is root's; so where this test runs as root, the file is given to another user.
  start_writer([](ipc::stats::Header& header) { header.pid = 1; });
  if (::getuid() == 0) {
    ASSERT_EQ(::chown((directory_ + "/stats").c_str(), 65534, static_cast<gid_t>(-1)), 0);
  }
  EXPECT_TRUE(refused_with("is not signalled"));
}

}  // namespace
}  // namespace kfast::ctl
