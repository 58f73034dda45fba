#include "policy/identify.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <ostream>

#include "policy/process_status.hpp"

namespace kfast::daemon::policy {
namespace {

// A listener, and a child that connects to it after changing who it is.
class Connection {
 public:
  explicit Connection(
      const std::function<void()>& before_connect,
      const std::function<void()>& after_connect = [] {}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "kfast-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr || ::chmod(pattern.c_str(), 0755) != 0) {
      std::abort();
    }
    directory_ = pattern;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (pattern + "/s").c_str(), sizeof address.sun_path - 1);
    const auto* raw = reinterpret_cast<const sockaddr*>(&address);
    const ipc::Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (::bind(listener.get(), raw, sizeof address) != 0 || ::chmod(address.sun_path, 0666) != 0 ||
        ::listen(listener.get(), 1) != 0) {
      std::abort();
    }
    child_ = ::fork();
    if (child_ == 0) {
      before_connect();
      const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
      if (::connect(fd, raw, sizeof address) != 0) {
        ::_exit(1);
      }
      after_connect();
      if (::send(fd, "x", 1, 0) != 1) {
        ::_exit(1);
      }
      char byte = 0;
      (void)::recv(fd, &byte, 1, 0);  // until the test closes its end
      ::_exit(0);
    }
    socket_ = ipc::Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char byte = 0;
    if (::recv(socket_.get(), &byte, 1, 0) != 1) {
      std::abort();
    }
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    end_child();
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] pid_t child() const { return child_; }
  void end_child() {
    if (child_ > 0) {
      ::shutdown(socket_.get(), SHUT_RDWR);
      ::waitpid(child_, nullptr, 0);
      child_ = -1;
    }
  }

 private:
  std::string directory_;
  pid_t child_ = -1;
  ipc::Fd socket_;
};

void become(uid_t uid, gid_t gid) {
  if (::setgid(gid) != 0 || ::setuid(uid) != 0) {
    ::_exit(2);
  }
}

TEST(Identify, PeerOfASocketPairIsThisProcess) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  const ipc::Fd ours(fds[0]);
  const ipc::Fd theirs(fds[1]);
  const auto peer = identify(ours.get());
  ASSERT_TRUE(peer.ok()) << peer.error();
  EXPECT_EQ(peer->pid, ::getpid());
  EXPECT_EQ(peer->principal.uid, ::geteuid());
  EXPECT_EQ(peer->principal.gid, ::getegid());
  EXPECT_FALSE(peer->principal.name.empty());
  const auto& gids = peer->principal.gids;
  EXPECT_NE(std::find(gids.begin(), gids.end(), ::getegid()), gids.end());
  ASSERT_TRUE(peer->pidfd.valid());
  EXPECT_NE(::fcntl(peer->pidfd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Identify, PidfdSeesTheWorkerEnd) {
  Connection connection([] {});
  const auto peer = identify(connection.socket());
  ASSERT_TRUE(peer.ok()) << peer.error();
  EXPECT_EQ(peer->pid, connection.child());
  pollfd entry{peer->pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  connection.end_child();
  EXPECT_EQ(::poll(&entry, 1, -1), 1);
}

TEST(Identify, WorkerThatEndedIsRefused) {
  Connection connection([] {});
  connection.end_child();
  EXPECT_FALSE(identify(connection.socket()).ok());
}

TEST(Identify, SomethingThatIsNoUnixSocketIsRefused) {
  const ipc::Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto peer = identify(file.get());
  ASSERT_FALSE(peer.ok());
  EXPECT_NE(peer.error().find("SO_PEERCRED"), std::string::npos);
}

// What it takes root to be. The rule itself is tested without, in judge_test.cpp, so these cases
// exist only where they can be made.
struct RootCase {
  const char* name;
  void (*before_connect)();
  void (*after_connect)();
  const char* refusal;  // null: identified as uid 12345
};

void PrintTo(const RootCase& each, std::ostream* out) {
  *out << each.name;
}

class IdentifyAsRoot : public ::testing::TestWithParam<RootCase> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IdentifyAsRoot);

void enter_user_namespace_as_root() {
  if (::unshare(CLONE_NEWUSER) != 0) {
    ::_exit(3);
  }
  const ipc::Fd map(::open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
  if (::write(map.get(), "0 0 1", 5) != 5) {
    ::_exit(4);
  }
}

// The child forks once more: the namespace is for its children.
void enter_pid_namespace() {
  if (::unshare(CLONE_NEWPID) != 0) {
    ::_exit(3);
  }
  const pid_t inner = ::fork();
  if (inner != 0) {
    ::waitpid(inner, nullptr, 0);
    ::_exit(0);
  }
}

// Containers often keep their root from making namespaces.
bool can_make(int namespaces) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(::unshare(namespaces) == 0 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

std::vector<RootCase> root_cases() {
  std::vector<RootCase> cases;
  if (::geteuid() != 0) {
    return cases;
  }
  cases.push_back({"AnotherUserIsThatUser", [] { become(12345, 23456); }, [] {}, nullptr});
  cases.push_back(
      {"NobodyIsRefused", [] { become(65534, 65534); }, [] {}, "uid 65534 is nobody's"});
  cases.push_back({"WorkerThatGaveUpRootAfterConnectingIsRefused", [] {},
                   [] { become(12345, 23456); }, "connect after the change of user"});
  if (can_make(CLONE_NEWUSER)) {
    cases.push_back({"RootOfAnotherUserNamespaceIsNotRoot", enter_user_namespace_as_root, [] {},
                     "is not root here"});
  }
  if (can_make(CLONE_NEWPID)) {
    cases.push_back(
        {"RootOfAnotherPidNamespaceIsNotRoot", enter_pid_namespace, [] {}, "is not root here"});
    cases.push_back({"AnotherUserOfAnotherPidNamespaceIsThatUser",
                     [] {
                       enter_pid_namespace();
                       become(12345, 23456);
                     },
                     [] {}, nullptr});
  }
  return cases;
}

TEST_P(IdentifyAsRoot, FollowsTheRule) {
  const Connection connection(GetParam().before_connect, GetParam().after_connect);
  const auto peer = identify(connection.socket());
  if (GetParam().refusal != nullptr) {
    ASSERT_FALSE(peer.ok());
    EXPECT_NE(peer.error().find(GetParam().refusal), std::string::npos) << peer.error();
    return;
  }
  ASSERT_TRUE(peer.ok()) << peer.error();
  EXPECT_EQ(peer->principal.uid, 12345U);
  EXPECT_EQ(peer->principal.gid, 23456U);
  EXPECT_EQ(peer->principal.name, "12345");
}

INSTANTIATE_TEST_SUITE_P(Cases, IdentifyAsRoot, ::testing::ValuesIn(root_cases()),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(ProcessStatus, ReadsTheEffectiveUidAndCountsPidNamespaces) {
  const auto status = parse_status("Name:\tx\nUid:\t1\t2\t3\t4\nNSpid:\t77\t1\n");
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->effective_uid, 2U);
  EXPECT_EQ(status->pid_namespaces, 2U);
  EXPECT_FALSE(parse_status("Name:\tx\nUid:\t1\t2\t3\t4\n").ok());
  EXPECT_FALSE(parse_status("NSpid:\t77\n").ok());
}

TEST(ProcessStatus, OwnProcessIsInOurNamespaces) {
  const auto status = read_status(::getpid());
  ASSERT_TRUE(status.ok()) << status.error();
  EXPECT_EQ(status->pid_namespaces, 1U);
  EXPECT_TRUE(in_our_user_namespace(::getpid()));
}

}  // namespace
}  // namespace kfast::daemon::policy
