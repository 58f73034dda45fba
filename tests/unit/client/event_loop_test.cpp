// What event loops need that cannot wait: opening bit by bit, a bell, and outcomes looked at.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "hand_over.hpp"

namespace kfast::test {
namespace {

class Opening : public testing::Test {
 protected:
  ~Opening() override { kfast_producer_close(producer); }

  void begin() {
    kfast_options_t* options = kfast_options_new();
    ASSERT_EQ(kfast_options_set(options, "socket.dir", daemon.dir().c_str(), nullptr, 0), 0);
    ASSERT_EQ(kfast_options_set(options, "ring.bytes", "4k", nullptr, 0), 0);
    ASSERT_EQ(kfast_options_set(options, "topics", "16", nullptr, 0), 0);
    char why[512] = "";
    ASSERT_EQ(kfast_producer_begin(options, &producer, why, sizeof why), KFAST_OK) << why;
    kfast_options_free(options);
  }

  [[nodiscard]] bool fd_is_readable() const { return wait_readable(0); }

  /// Waits as an event loop does, for at most `timeout_ms`.
  [[nodiscard]] bool wait_readable(int timeout_ms) const {
    pollfd watched{kfast_fd(producer), POLLIN, 0};
    return ::poll(&watched, 1, timeout_ms) == 1;
  }

  /// Answers a whole hand-shake; the client's calls are made in between.
  void shake_hands() {
    ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
    session = daemon.accept();
    static_cast<void>(session.receive().as<ipc::Hello>());
    EXPECT_FALSE(fd_is_readable());
    session.welcome();
    EXPECT_TRUE(fd_is_readable());
    ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
    const auto request = session.receive().as<ipc::OpenProducer>();
    EXPECT_FALSE(fd_is_readable());
    channel.emplace(request.c2d_ring_bytes, request.d2c_ring_bytes, request.topic_capacity);
    session.open(*channel, request.request);
    EXPECT_TRUE(fd_is_readable());
    ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_OK);
  }

  FakeDaemon daemon;
  FakeSession session;
  std::optional<FakeChannel> channel;
  kfast_producer_t* producer = nullptr;
};

TEST_F(Opening, NeverWaitsAndTheDescriptorTellsWhenToGoOn) {
  begin();
  EXPECT_TRUE(fd_is_readable());
  shake_hands();
  EXPECT_EQ(kfast_producer_ready(producer, 0), KFAST_OK);
  const std::int32_t topic = kfast_topic(producer, "t");
  ASSERT_EQ(topic, 0);
  EXPECT_EQ(kfast_send(producer, topic, nullptr, 0, "value", 5), 0);
}

TEST_F(Opening, EveryOtherCallIsRefusedWithWords) {
  begin();
  kfast_report_t report{};
  kfast_record_t record = KFAST_RECORD_INIT;
  void* value = nullptr;
  char bytes[KFAST_BELL_BYTES];
  char path[108];
  EXPECT_EQ(kfast_send(producer, 0, nullptr, 0, "v", 1), KFAST_ERR_INVALID);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "kfast_producer_ready"), nullptr);
  EXPECT_EQ(kfast_topic(producer, "t"), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_topic_name(producer, 0), nullptr);
  EXPECT_EQ(kfast_send_record(producer, 0, -1, -1, nullptr, 0, "v", 1, nullptr, 0, -1),
            KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_send_one(producer, &record, -1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_send_batch(producer, &record, 1, -1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_send_wait(producer, &record, -1, &report), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_wait(producer, 0, -1, &report), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_reserve(producer, &record, &value), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_commit(producer, 0), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_cancel(producer), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_reports(producer, &report, 1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_flush_to(producer, 0, -1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_purge(producer), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_bell(producer, bytes, path, sizeof path), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_used_bytes(producer), 0U);
}

TEST_F(Opening, BeginsAnewAfterAnError) {
  daemon.stop();
  begin();
  EXPECT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_NO_DAEMON);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "systemctl start kfastd"), nullptr);
  daemon.start();
  EXPECT_TRUE(wait_readable(-1));
  ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "has not answered yet"), nullptr);
  session = daemon.accept();
  static_cast<void>(session.receive().as<ipc::Hello>());
  session.refuse(0, ipc::RefusalCode::not_allowed, "no rule for you");
  EXPECT_TRUE(wait_readable(-1));
  EXPECT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_PERMISSION);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "no rule for you"), nullptr);
  EXPECT_TRUE(wait_readable(-1));
  shake_hands();
}

TEST_F(Opening, AnswersThatMakeNoSenseAreAFailedAttemptAndNoMore) {
  begin();
  ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
  session = daemon.accept();
  static_cast<void>(session.receive().as<ipc::Hello>());
  session.welcome();
  ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
  const auto request = session.receive().as<ipc::OpenProducer>();
  channel.emplace(request.c2d_ring_bytes, request.d2c_ring_bytes, request.topic_capacity);
  // A channel that is not new.
  channel->move_head(24);
  session.open(*channel, request.request);
  EXPECT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_PROTOCOL);
  EXPECT_TRUE(session.receive().ended);
  EXPECT_TRUE(wait_readable(-1));
  shake_hands();
  EXPECT_EQ(kfast_send(producer, kfast_topic(producer, "t"), nullptr, 0, "value", 5), 0);
}

TEST_F(Opening, InAForkedChildItIsRefused) {
  begin();
  ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool refused = kfast_producer_ready(producer, -1) == KFAST_ERR_FORKED;
    kfast_producer_close(producer);
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  session = daemon.accept();
  static_cast<void>(session.receive().as<ipc::Hello>());
  session.welcome();
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
}

TEST_F(Opening, ClosedBeforeItIsReadyEndsTheConnection) {
  begin();
  ASSERT_EQ(kfast_producer_ready(producer, 0), KFAST_ERR_TIMED_OUT);
  session = daemon.accept();
  static_cast<void>(session.receive().as<ipc::Hello>());
  kfast_producer_close(producer);
  producer = nullptr;
  EXPECT_TRUE(session.receive().ended);
}

struct Bell {
  ipc::BellHello hello{};
  char bytes[KFAST_BELL_BYTES] = "";
  char path[108] = "";
};

class ABell : public HandOver {
 protected:
  int ask(Bell& bell) const {
    const int size = kfast_bell(producer, bell.bytes, bell.path, sizeof bell.path);
    std::memcpy(&bell.hello, bell.bytes, sizeof bell.hello);
    return size;
  }
};

TEST_F(ABell, IsForTheSessionOfTheDay) {
  open();
  Bell bell;
  ASSERT_EQ(ask(bell), int{sizeof bell.hello});
  EXPECT_EQ(bell.path, daemon.dir() + "/bell.sock");
  EXPECT_EQ(std::memcmp(bell.hello.magic, ipc::kBellMagic, sizeof bell.hello.magic), 0);
  const ipc::Welcome welcome = session.welcomed();
  EXPECT_EQ(bell.hello.session, welcome.session);
  EXPECT_EQ(std::memcmp(bell.hello.token, welcome.token, sizeof welcome.token), 0);
  die();
  EXPECT_EQ(ask(bell), KFAST_ERR_NO_DAEMON);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "no session to ring for"), nullptr);
  take_over();
  Bell next;
  keep_calling([&] { return ask(next) > 0; });
  EXPECT_NE(std::memcmp(&next.hello, &bell.hello, sizeof bell.hello), 0);
}

TEST_F(ABell, IsEnoughToComeBackWhenItIsAskedFor) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  die();
  Bell bell;
  daemon.start();
  std::future<void> served = std::async(std::launch::async, [&] {
    session = daemon.accept();
    static_cast<void>(session.receive().as<ipc::Hello>());
    session.welcome();
    Message message = session.receive();
    const auto request = message.as<ipc::ResumeProducer>();
    channel.emplace(request.geometry, std::move(message.fds[0]), std::move(message.fds[1]));
    session.resume(*channel, request.request);
    await_confirm();
  });
  while (ask(bell) < 0) {
    std::this_thread::yield();
  }
  served.get();
}

TEST_F(ABell, NeedsRoomForItsPath) {
  open();
  Bell bell;
  EXPECT_EQ(kfast_bell(producer, bell.bytes, bell.path, 8), KFAST_ERR_INVALID);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "path_size is 8"), nullptr);
  EXPECT_EQ(kfast_bell(producer, nullptr, bell.path, sizeof bell.path), KFAST_ERR_INVALID);
}

TEST_F(OpenProducer, FlushToWaitsForARecordAndThoseBeforeItOnly) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(32), 24);
  ASSERT_EQ(send_frame(24), 56);
  EXPECT_EQ(kfast_flush_to(producer, 24, 0), KFAST_ERR_TIMED_OUT);
  // It has asked for a wake-up.
  EXPECT_EQ(channel->c2d().waiting.load(), 1U);
  channel->move_head(24);
  EXPECT_EQ(kfast_flush_to(producer, 0, 0), KFAST_OK);
  EXPECT_EQ(kfast_flush_to(producer, 24, 0), KFAST_ERR_TIMED_OUT);
  channel->move_head(56);
  EXPECT_EQ(kfast_flush_to(producer, 24, 0), KFAST_OK);
  EXPECT_EQ(kfast_flush_to(producer, 56, 0), KFAST_ERR_TIMED_OUT);
  EXPECT_EQ(kfast_flush_to(producer, 80, 0), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_flush_to(producer, -1, 0), KFAST_ERR_INVALID);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "position -1"), nullptr);
}

}  // namespace
}  // namespace kfast::test
