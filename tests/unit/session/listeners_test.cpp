#include "session/listeners.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace kfast::daemon::session {
namespace {

class ListenersTest : public ::testing::Test {
 protected:
  ListenersTest() {
    char name[] = "/tmp/kfast-listeners-XXXXXX";
    config_.socket_dir = ::mkdtemp(name);
  }
  ~ListenersTest() override { std::filesystem::remove_all(config_.socket_dir); }

  /// As systemd makes one.
  ipc::Fd listening(int type, const std::string& file) const {
    ipc::Fd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, (config_.socket_dir + "/" + file).c_str());
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    return socket;
  }
  std::vector<KeptFd> both() const {
    std::vector<KeptFd> fds;
    fds.push_back({"kf1.c2d", ipc::Fd(::open("/dev/null", O_RDONLY))});
    fds.push_back({kListenerName, listening(SOCK_STREAM, "bell.sock")});
    fds.push_back({kListenerName, listening(SOCK_SEQPACKET, "kfastd.sock")});
    return fds;
  }
  bool is_there(const char* file) const {
    return std::filesystem::exists(config_.socket_dir + "/" + file);
  }

  config::Daemon config_;
};

TEST_F(ListenersTest, TakesBothInAnyOrderAndLeavesWhatIsKept) {
  auto fds = both();
  const auto taken = take_listeners(fds);
  ASSERT_TRUE(taken) << taken.error();
  EXPECT_TRUE(taken->given);
  int type = 0;
  socklen_t size = sizeof type;
  ASSERT_EQ(::getsockopt(taken->sessions.get(), SOL_SOCKET, SO_TYPE, &type, &size), 0);
  EXPECT_EQ(type, SOCK_SEQPACKET);
  ASSERT_EQ(fds.size(), 1U);
  EXPECT_EQ(fds[0].name, "kf1.c2d");
}

TEST_F(ListenersTest, WithoutGivenOnesSocketsAreBoundAndTakenAwayAgain) {
  std::vector<KeptFd> none;
  auto opened = open_listeners(config_, take_listeners(none).take());
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_FALSE(opened->given);
  EXPECT_TRUE(is_there("kfastd.sock") && is_there("bell.sock"));
  remove_files(config_, *opened);
  EXPECT_FALSE(is_there("kfastd.sock") || is_there("bell.sock"));
}

TEST_F(ListenersTest, GivenSocketsStayWhereTheyAreAndDoNotBlock) {
  auto fds = both();
  auto opened = open_listeners(config_, take_listeners(fds).take());
  ASSERT_TRUE(opened) << opened.error();
  EXPECT_NE(::fcntl(opened->sessions.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(opened->bells.get(), F_GETFL) & O_NONBLOCK, 0);
  remove_files(config_, *opened);
  EXPECT_TRUE(is_there("kfastd.sock") && is_there("bell.sock"));
}

TEST_F(ListenersTest, OneOfTheTwoIsRefusedWithTheLineThatIsMissing) {
  auto fds = both();
  fds.pop_back();
  const auto taken = take_listeners(fds);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().find("add ListenSequentialPacket="), std::string::npos) << taken.error();
}

TEST_F(ListenersTest, OneSocketTwiceIsRefused) {
  auto fds = both();
  fds.push_back({kListenerName, listening(SOCK_STREAM, "other.sock")});
  const auto taken = take_listeners(fds);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().find("each once"), std::string::npos) << taken.error();
}

TEST_F(ListenersTest, WhatDoesNotListenIsRefused) {
  std::vector<KeptFd> fds;
  fds.push_back({kListenerName, ipc::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))});
  EXPECT_FALSE(take_listeners(fds));
}

TEST_F(ListenersTest, AListeningSocketWithAnotherNameIsRefusedWithTheNameItShouldHave) {
  std::vector<KeptFd> fds;
  fds.push_back({"kfastd.socket", listening(SOCK_SEQPACKET, "kfastd.sock")});
  const auto taken = take_listeners(fds);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().find("FileDescriptorName=listen"), std::string::npos) << taken.error();
}

TEST_F(ListenersTest, SocketsOfAnotherDirectoryAreRefusedWithBothPaths) {
  auto fds = both();
  config::Daemon elsewhere;
  elsewhere.socket_dir = "/nowhere";
  const auto opened = open_listeners(elsewhere, take_listeners(fds).take());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().find(config_.socket_dir + "/kfastd.sock"), std::string::npos);
  EXPECT_NE(opened.error().find("/nowhere/kfastd.sock"), std::string::npos) << opened.error();
}

}  // namespace
}  // namespace kfast::daemon::session
