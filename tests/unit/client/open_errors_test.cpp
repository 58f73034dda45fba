// Every way in which opening fails says what is wrong and what to do.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "fake_daemon.hpp"

namespace kfast::test {
namespace {

using testing::Test;

OpenResult open_now(const std::string& dir, const std::vector<Option>& options = {}) {
  return open_async(dir, options).get();
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(OpenErrors, MissingDaemonNamesTheSocketAndHowToStartIt) {
  FakeDaemon daemon;
  daemon.stop();
  const OpenResult result = open_now(daemon.dir());
  EXPECT_EQ(result.code, KFAST_ERR_NO_DAEMON);
  EXPECT_EQ(result.producer, nullptr);
  EXPECT_SAYS(result.why, daemon.path());
  EXPECT_SAYS(result.why, "systemctl start kfastd");
  EXPECT_SAYS(result.why, "kfastd --dev");
  EXPECT_SAYS(result.why, "KFAST_SOCKET_DIR");
}

TEST(OpenErrors, SocketOfADeadDaemonIsAMissingDaemon) {
  FakeDaemon daemon;
  { const FakeDaemon other; }
  daemon.stop();
  // A socket file that nobody listens on.
  daemon.start();
  const std::string aside = daemon.dir() + "/aside";
  ASSERT_EQ(::rename(daemon.path().c_str(), aside.c_str()), 0);
  daemon.stop();
  ASSERT_EQ(::rename(aside.c_str(), daemon.path().c_str()), 0);
  const OpenResult result = open_now(daemon.dir());
  EXPECT_EQ(result.code, KFAST_ERR_NO_DAEMON);
  EXPECT_SAYS(result.why, "Connection refused");
}

TEST(OpenErrors, DefaultsComeFromTheEnvironment) {
  ASSERT_EQ(::setenv("KFAST_SOCKET_DIR", "/nowhere/at/all", 1), 0);
  kfast_producer_t* producer = nullptr;
  char why[512] = "";
  EXPECT_EQ(kfast_producer_open(nullptr, &producer, why, sizeof why), KFAST_ERR_NO_DAEMON);
  ::unsetenv("KFAST_SOCKET_DIR");
  EXPECT_EQ(producer, nullptr);
  EXPECT_NE(std::strstr(why, "/nowhere/at/all/kfastd.sock"), nullptr) << why;
}

TEST(OpenErrors, NoPermissionNamesTheSocketAndWhatToCheck) {
  FakeDaemon daemon;
  ASSERT_EQ(::chmod(daemon.path().c_str(), 0600), 0);
  ASSERT_EQ(::chmod(daemon.dir().c_str(), 0755), 0);
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Root may open everything, so the child becomes nobody; anybody else takes his own permission
    // away.
    const bool changed = ::geteuid() == 0 ? ::setgid(65534) == 0 && ::setuid(65534) == 0
                                          : ::chmod(daemon.path().c_str(), 0) == 0;
    kfast_options_t* options = kfast_options_new();
    kfast_options_set(options, "socket.dir", daemon.dir().c_str(), nullptr, 0);
    kfast_producer_t* producer = nullptr;
    char why[512] = "";
    const int code = kfast_producer_open(options, &producer, why, sizeof why);
    const bool written = ::write(pipe_ends[1], why, std::strlen(why)) >= 0;
    ::_exit(changed && written && code == KFAST_ERR_PERMISSION ? 0 : 1);
  }
  ::close(pipe_ends[1]);
  std::string why(512, '\0');
  const ssize_t got = ::read(pipe_ends[0], why.data(), why.size());
  why.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  ::close(pipe_ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << why;
  EXPECT_SAYS(why, daemon.path());
  EXPECT_SAYS(why, "group");
}

TEST(OpenErrors, NonsenseInsteadOfAWelcome) {
  FakeDaemon daemon;
  for (const std::string& nonsense :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("x"), std::string(512, '\0'),
        std::string(600, 'x')}) {
    auto opening = open_async(daemon.dir());
    FakeSession session = daemon.accept();
    static_cast<void>(session.receive());
    session.send_bytes(nonsense.data(), nonsense.size());
    const OpenResult result = opening.get();
    EXPECT_EQ(result.code, KFAST_ERR_PROTOCOL) << nonsense.size();
    EXPECT_SAYS(result.why, daemon.path());
  }
}

TEST(OpenErrors, AMessageOutOfTurn) {
  FakeDaemon daemon;
  auto opening = open_async(daemon.dir());
  FakeSession session = daemon.accept();
  static_cast<void>(session.receive());
  session.send(ipc::make_message<ipc::Opened>());
  EXPECT_EQ(opening.get().code, KFAST_ERR_PROTOCOL);
}

TEST(OpenErrors, AnotherProtocolNamesBothVersions) {
  FakeDaemon daemon;
  auto opening = open_async(daemon.dir());
  FakeSession session = daemon.accept();
  const auto hello = session.receive().as<ipc::Hello>();
  EXPECT_STREQ(hello.version, KFAST_VERSION);
  EXPECT_EQ(hello.protocol_max, ipc::kProtocolMax);
  auto welcome = ipc::make_message<ipc::Welcome>();
  welcome.protocol = 7;
  welcome.layout_major = 3;
  ipc::put_text(welcome.version, "4.5.6");
  session.send(welcome);
  const OpenResult result = opening.get();
  EXPECT_EQ(result.code, KFAST_ERR_VERSION);
  EXPECT_SAYS(result.why, "kfastd 4.5.6");
  EXPECT_SAYS(result.why, "protocol 7");
  EXPECT_SAYS(result.why, "libkfast " KFAST_VERSION);
}

TEST(OpenErrors, AWelcomeOfAnotherSizeIsAnotherVersion) {
  FakeDaemon daemon;
  auto opening = open_async(daemon.dir());
  FakeSession session = daemon.accept();
  static_cast<void>(session.receive());
  struct {
    ipc::MessageHead head;
    std::uint16_t protocol;
    std::uint16_t layout_major;
  } old{{ipc::kWireMagic, ipc::MessageType::welcome, 12}, 0, 0};
  session.send_bytes(&old, sizeof old);
  const OpenResult result = opening.get();
  EXPECT_EQ(result.code, KFAST_ERR_VERSION);
  EXPECT_SAYS(result.why, "protocol 0");
}

TEST(OpenErrors, RefusalsArePassedOnWithTheirCodes) {
  const std::pair<ipc::RefusalCode, int> cases[] = {
      {ipc::RefusalCode::version, KFAST_ERR_VERSION},
      {ipc::RefusalCode::bad_message, KFAST_ERR_PROTOCOL},
      {ipc::RefusalCode::unknown_profile, KFAST_ERR_UNKNOWN_PROFILE},
      {ipc::RefusalCode::limit, KFAST_ERR_LIMIT},
      {ipc::RefusalCode::not_allowed, KFAST_ERR_PERMISSION},
      {ipc::RefusalCode::out_of_resources, KFAST_ERR_LIMIT},
      {ipc::RefusalCode::draining, KFAST_ERR_NO_DAEMON},
  };
  FakeDaemon daemon;
  for (const auto& [refusal, code] : cases) {
    auto opening = open_async(daemon.dir(), {{"profile", "bulk"}});
    FakeSession session = daemon.accept();
    static_cast<void>(session.receive());
    session.welcome();
    const auto request = session.receive().as<ipc::OpenProducer>();
    EXPECT_STREQ(request.profile, "bulk");
    session.refuse(request.request, refusal, "because of the weather; wait for sun");
    const OpenResult result = opening.get();
    EXPECT_EQ(result.code, code);
    EXPECT_SAYS(result.why, "because of the weather; wait for sun");
  }
}

TEST(OpenErrors, ANoticeBeforeTheEndIsTheReason) {
  FakeDaemon daemon;
  auto opening = open_async(daemon.dir());
  FakeSession session = daemon.accept();
  static_cast<void>(session.receive());
  auto notice = ipc::make_message<ipc::Notice>();
  notice.code = ipc::RefusalCode::limit;
  ipc::put_text(notice.text, "too many sessions");
  session.send(notice);
  session.close();
  const OpenResult result = opening.get();
  EXPECT_EQ(result.code, KFAST_ERR_LIMIT);
  EXPECT_SAYS(result.why, "too many sessions");
}

TEST(OpenErrors, ADaemonThatHangsUp) {
  FakeDaemon daemon;
  auto opening = open_async(daemon.dir());
  { FakeSession session = daemon.accept(); }
  const OpenResult result = opening.get();
  EXPECT_EQ(result.code, KFAST_ERR_NO_DAEMON);
  EXPECT_SAYS(result.why, "hung up");
}

TEST(OpenErrors, ADaemonThatGivesNoAnswer) {
  FakeDaemon daemon;
  const OpenResult result = open_now(daemon.dir(), {{"connect.timeout.ms", "20"}});
  EXPECT_EQ(result.code, KFAST_ERR_TIMED_OUT);
  EXPECT_SAYS(result.why, "20 ms");
  EXPECT_SAYS(result.why, "connect.timeout.ms");
}

/// Lets the daemon answer with a channel that `spoil` has changed.
template <class Spoil>
OpenResult open_spoilt(Spoil&& spoil) {
  FakeDaemon daemon;
  auto opening = open_async(daemon.dir(), {{"ring.bytes", "4k"}});
  FakeSession session = daemon.accept();
  static_cast<void>(session.receive());
  session.welcome();
  const auto request = session.receive().as<ipc::OpenProducer>();
  FakeChannel channel(4096, 4096, request.topic_capacity);
  auto opened = ipc::make_message<ipc::Opened>();
  opened.request = request.request;
  opened.geometry = channel.geometry;
  std::vector<int> fds = {channel.c2d_.fd.get(), channel.d2c_.fd.get(), channel.doorbell.get(),
                          channel.shard_.fd.get()};
  spoil(opened, channel, fds);
  session.send(opened, fds);
  return opening.get();
}

TEST(OpenErrors, MemoryThatDoesNotFitIsNotMapped) {
  const auto broken = [](auto&& spoil) {
    const OpenResult result = open_spoilt(spoil);
    EXPECT_EQ(result.code, KFAST_ERR_PROTOCOL) << result.why;
    EXPECT_SAYS(result.why, "broken");
  };
  broken([](auto& opened, auto&, auto&) { opened.request += 1; });
  broken([](auto& opened, auto&, auto&) { opened.position = 8; });
  broken([](auto& opened, auto&, auto&) { opened.geometry.c2d_ring_bytes = 4097; });
  broken([](auto& opened, auto&, auto&) { opened.geometry.d2c_ring += 8; });
  broken([](auto& opened, auto&, auto&) { opened.geometry = ipc::geometry_of(8192, 4096, 1024); });
  broken([](auto&, auto&, auto& fds) { fds.pop_back(); });
  broken([](auto&, auto&, auto& fds) { fds.clear(); });
  broken([](auto&, auto&, auto& fds) { std::swap(fds[0], fds[1]); });
  broken([](auto&, auto&, auto& fds) { fds[3] = fds[2]; });
  broken([](auto&, auto& channel, auto&) { channel.d2c().identity.magic = 0; });
  broken([](auto&, auto& channel, auto&) { channel.shard().magic = 0; });
  const Memory unsealed("unsealed", ipc::geometry_of(4096, 4096, 1024).c2d_bytes, 0);
  broken([&](auto&, auto&, auto& fds) { fds[0] = unsealed.fd.get(); });
}

TEST(OpenErrors, MemoryOfAnotherLayoutIsAnotherVersion) {
  const OpenResult result =
      open_spoilt([](auto&, auto& channel, auto&) { channel.d2c().identity.layout_major = 9; });
  EXPECT_EQ(result.code, KFAST_ERR_VERSION);
  EXPECT_SAYS(result.why, "layout 9");
}

TEST(OpenErrors, NoDescriptorLeftNamesTheLimit) {
  // In a child: the limit is the whole process's. Each limit leaves one step further, until it
  // opens.
  FakeDaemon daemon;
  std::vector<std::string> reasons;
  bool opened_at_last = false;
  for (rlim_t limit = 3; limit < 64 && !opened_at_last; ++limit) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const int out = ::fcntl(pipe_ends[1], F_DUPFD, 100);
      const rlimit one{limit, limit};
      ::setrlimit(RLIMIT_NOFILE, &one);
      kfast_options_t* options = kfast_options_new();
      kfast_options_set(options, "socket.dir", daemon.dir().c_str(), nullptr, 0);
      kfast_options_set(options, "ring.bytes", "4k", nullptr, 0);
      kfast_producer_t* producer = nullptr;
      char why[512] = "";
      const int code = kfast_producer_open(options, &producer, why, sizeof why);
      const std::string answer = std::to_string(code) + " " + why;
      ::_exit(::write(out, answer.data(), answer.size()) < 0 ? 1 : 0);
    }
    ::close(pipe_ends[1]);
    std::string answer(600, '\0');
    // The child is served until it either fails before it connects, or has its answer.
    std::future<void> served = std::async(std::launch::async, [&] {
      const ssize_t got = ::read(pipe_ends[0], answer.data(), answer.size());
      answer.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    });
    std::optional<FakeChannel> channel;
    FakeSession session;
    if (daemon.has_connection_until(served)) {
      session = daemon.accept();
      if (!session.receive().ended) {
        session.welcome();
        const Message asked = session.receive();
        if (!asked.ended) {
          const auto request = asked.as<ipc::OpenProducer>();
          channel.emplace(4096, 4096, request.topic_capacity);
          session.open(*channel, request.request);
        }
      }
    }
    served.get();
    ::close(pipe_ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    if (answer.starts_with("0 ")) {
      opened_at_last = true;
    } else {
      EXPECT_TRUE(answer.starts_with(std::to_string(KFAST_ERR_NO_MEMORY) + " ")) << answer;
      EXPECT_SAYS(answer, "RLIMIT_NOFILE");
      reasons.push_back(answer);
    }
  }
  EXPECT_TRUE(opened_at_last);
  EXPECT_GE(reasons.size(), 3U);
  EXPECT_SAYS(reasons.back(), "for the channel's memory");
}

}  // namespace
}  // namespace kfast::test
