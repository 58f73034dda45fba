// A client and a shard in two processes, and in two threads of one, pass a long stream of frames
// through real shared memory and a real doorbell. A lost wake-up hangs the test, and its watchdog
// then fails it.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <thread>

#include "stream.hpp"

namespace kfast::ipc::stream {
namespace {

constexpr unsigned kWatchdogSeconds = 240;

class Stream : public testing::Test {
 protected:
  void SetUp() override { ::alarm(kWatchdogSeconds); }
  void TearDown() override { ::alarm(0); }

  static void expect_whole(const Seen& seen) {
    EXPECT_FALSE(seen.wrong) << *seen.wrong;
    EXPECT_GE(seen.bytes, std::uint64_t{KFAST_STREAM_BYTES});
    EXPECT_GT(seen.frames, 1000U);
    EXPECT_GT(seen.parks, 0U);
    EXPECT_GT(seen.sleeps, 0U);
    EXPECT_GT(seen.naps, 0U);
    EXPECT_GT(seen.wakes, 0U);
    RecordProperty("frames", std::to_string(seen.frames));
    RecordProperty("wakes", std::to_string(seen.wakes));
  }

  ChannelFds fds_;
};

/// The other process: ended by force when the test leaves it behind.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  /// Waits for its end; returns its wait status.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }

 private:
  pid_t pid_;
};

TEST_F(Stream, ArrivesWholeBetweenTwoProcesses) {
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    ::alarm(kWatchdogSeconds);  // a child does not inherit it
    View view = View::of_client(fds_);
    write_stream(view, fds_.doorbell.get(), KFAST_STREAM_BYTES);
    ::_exit(0);
  }
  Child client(pid);
  View view = View::of_daemon(fds_);
  const Seen seen = StreamReader(view, fds_.doorbell.get()).read_all();
  expect_whole(seen);
  if (!seen.wrong) {
    EXPECT_EQ(client.wait(), 0);
  }
}

TEST_F(Stream, ArrivesWholeBetweenTwoThreadsOnOneMapping) {
  View view = View::of_both(fds_);
  std::uint64_t rings = 0;
  std::thread client([&] { rings = write_stream(view, fds_.doorbell.get(), KFAST_STREAM_BYTES); });
  const Seen seen = StreamReader(view, fds_.doorbell.get()).read_all();
  expect_whole(seen);
  ASSERT_FALSE(seen.wrong) << "the client waits for room that nobody will free";
  client.join();
  EXPECT_LE(rings, seen.parks + seen.sleeps + seen.naps);
}

}  // namespace
}  // namespace kfast::ipc::stream
