#include "benchmark/connections.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sstream>

#include "kfast/ipc/fd.hpp"

namespace kfast::bench {
namespace {

constexpr const char* kHead =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n";

/// 127.0.0.1:9092 is 0100007F:2384.
std::string line(const std::string& remote, const std::string& state, int inode) {
  return "   1: 0100007F:D2F0 " + remote + ' ' + state +
         " 00000000:00000000 02:000005E9 00000000  1000        0 " + std::to_string(inode) +
         " 2 0000000000000000 20 4 30 10 -1\n";
}

std::set<std::uint64_t> sockets(const std::string& lines) {
  std::istringstream table(kHead + lines);
  return sockets_to(table, 9092);
}

TEST(Connections, AreTheEstablishedOnesToThePort) {
  EXPECT_EQ(sockets(line("0100007F:2384", "01", 71) + line("0100007F:2384", "01", 72)),
            (std::set<std::uint64_t>{71, 72}));
}

TEST(Connections, AreNotThoseThatListenOrEndOrLeadElsewhere) {
  EXPECT_TRUE(sockets("").empty());
  EXPECT_TRUE(sockets(line("0100007F:2384", "06", 71)).empty());  // time wait
  EXPECT_TRUE(sockets(line("00000000:0000", "0A", 72)).empty());  // listens
  EXPECT_TRUE(sockets(line("0100007F:2385", "01", 73)).empty());
}

TEST(Connections, AreFoundInATableOfVersionSix) {
  EXPECT_EQ(sockets(line("0000000000000000FFFF00000100007F:2384", "01", 74)),
            std::set<std::uint64_t>{74});
}

class Loopback : public ::testing::Test {
 protected:
  void SetUp() override {
    server_ = ipc::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(server_.get(), generic, size), 0);
    ASSERT_EQ(::listen(server_.get(), 1), 0);
    ASSERT_EQ(::getsockname(server_.get(), generic, &size), 0);
    client_ = ipc::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(client_.get(), generic, size), 0);
    broker_ = "127.0.0.1:" + std::to_string(::ntohs(address.sin_port));
  }

  ipc::Fd server_;
  ipc::Fd client_;
  std::string broker_;
};

TEST_F(Loopback, AConnectionIsThatOfItsProcessUntilItIsClosed) {
  EXPECT_EQ(connections_to(broker_, ::getpid()), 1);
  EXPECT_EQ(connections_to(broker_ + ",127.0.0.1:1", ::getpid()), 1);
  EXPECT_EQ(connections_to(broker_, ::getppid()), 0);
  client_.reset();
  EXPECT_EQ(connections_to(broker_, ::getpid()), 0);
}

}  // namespace
}  // namespace kfast::bench
