// kfast.hpp says the same as kfast.h.
#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "fake_daemon.hpp"
#include "kfast/kfast.hpp"

namespace kfast::test {
namespace {

TEST(CppHeader, FailuresCarryTheSentence) {
  FakeDaemon daemon;
  daemon.stop();
  kfast::Options options;
  ASSERT_TRUE(options.set("socket.dir", daemon.dir()));
  const auto wrong = options.set("ring.bytes", "3");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), KFAST_ERR_INVALID);
  const auto producer = kfast::Producer::open(options);
  ASSERT_FALSE(producer);
  EXPECT_EQ(producer.error().code(), KFAST_ERR_NO_DAEMON);
  EXPECT_NE(std::strstr(producer.error().message(), daemon.path().c_str()), nullptr);
}

TEST(CppHeader, BeginsWithoutADaemon) {
  FakeDaemon daemon;
  daemon.stop();
  kfast::Options options;
  ASSERT_TRUE(options.set("socket.dir", daemon.dir()));
  auto producer = kfast::Producer::begin(options);
  ASSERT_TRUE(producer) << producer.error().message();
  EXPECT_GE(producer->fd(), 0);
  EXPECT_EQ(producer->ready().error().code(), KFAST_ERR_NO_DAEMON);
  EXPECT_NE(std::strstr(producer->last_error(), daemon.path().c_str()), nullptr);
}

TEST(CppHeader, NullEmptyAndBytes) {
  EXPECT_EQ(kfast::Bytes(std::nullopt).data(), nullptr);
  EXPECT_NE(kfast::Bytes(std::string_view()).data(), nullptr);
  EXPECT_EQ(kfast::Bytes("abc").size(), 3U);
  EXPECT_EQ(kfast::Bytes(std::optional<std::string>()).data(), nullptr);
  const std::optional<std::string_view> some("x");
  EXPECT_EQ(kfast::Bytes(some).data(), some->data());
  const std::vector<std::byte> bytes(4);
  EXPECT_EQ(kfast::Bytes(std::span<const std::byte>(bytes)).size(), 4U);
  EXPECT_NE(kfast::Bytes(std::span<const std::byte>()).data(), nullptr);
}

TEST(CppHeader, SendsFlushesAndReports) {
  FakeDaemon daemon;
  kfast::Options options;
  ASSERT_TRUE(options.set("socket.dir", daemon.dir()));
  ASSERT_TRUE(options.set("ring.bytes", "4k"));
  auto opening = std::async(std::launch::async, [&] { return kfast::Producer::open(options); });
  FakeSession session = daemon.accept();
  static_cast<void>(session.receive());
  session.welcome();
  const auto request = session.receive().as<ipc::OpenProducer>();
  FakeChannel channel(request.c2d_ring_bytes, request.d2c_ring_bytes, request.topic_capacity);
  session.open(channel, request.request);
  auto opened = opening.get();
  ASSERT_TRUE(opened) << opened.error().message();
  kfast::Producer producer = *std::move(opened);

  auto topic = producer.topic("orders");
  ASSERT_TRUE(topic);
  EXPECT_EQ(producer.topic_name(*topic), "orders");
  EXPECT_EQ(producer.topic("no good").error().code(), KFAST_ERR_TOPIC_NAME);
  auto position = producer.send(*topic, "key", std::string("value"));
  ASSERT_TRUE(position);
  EXPECT_EQ(*position, 0);
  const kfast::Header headers[] = {{"trace", "1"}, {"none", std::nullopt}};
  const auto when = std::chrono::system_clock::time_point(std::chrono::milliseconds(4711));
  ASSERT_TRUE(producer.send(*topic, std::nullopt, std::nullopt,
                            {.partition = 2, .timestamp = when, .headers = headers}));
  ipc::RecordExtension extension;
  std::memcpy(&extension, channel.record_at(32) + sizeof(ipc::RecordHead), sizeof extension);
  EXPECT_EQ(extension.timestamp_ms, 4711);
  EXPECT_EQ(extension.partition, 2);
  EXPECT_EQ(extension.header_count, 2);

  EXPECT_EQ(producer.flush(std::chrono::milliseconds(0)).error().code(), KFAST_ERR_TIMED_OUT);
  EXPECT_EQ(producer.flush_to(0, std::chrono::milliseconds(0)).error().code(), KFAST_ERR_TIMED_OUT);
  channel.report({0, 32}, 5);
  channel.move_head(channel.c2d().tail.load());
  EXPECT_TRUE(producer.flush(std::chrono::seconds(-1)));
  EXPECT_TRUE(producer.flush_to(0, std::chrono::milliseconds(0)));
  kfast::Report reports[4];
  auto count = producer.reports(reports);
  ASSERT_TRUE(count);
  EXPECT_EQ(*count, 2U);
  EXPECT_EQ(reports[1].offset, 6);
  EXPECT_TRUE(producer.purge());

  int mine = 0;
  auto marked = producer.send(*topic, "k", "v", {.opaque = &mine});
  ASSERT_TRUE(marked);
  std::int64_t sent = 0;
  const auto late = producer.send_wait(*topic, "k", "v", std::chrono::milliseconds(0), {}, &sent);
  EXPECT_EQ(late.error().code(), KFAST_ERR_TIMED_OUT);
  EXPECT_EQ(late.error().code(), producer.wait(sent, std::chrono::milliseconds(0)).error().code());
  channel.report({static_cast<std::uint64_t>(*marked), static_cast<std::uint64_t>(sent)}, 50);
  channel.move_head(channel.c2d().tail.load());
  auto report = producer.wait(sent, std::chrono::seconds(-1));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->offset, 51);
  void* opaques[4] = {};
  EXPECT_EQ(*producer.reports(reports, opaques), 1U);
  EXPECT_EQ(opaques[0], &mine);

  EXPECT_EQ(producer.used_bytes(), 0U);
  EXPECT_EQ(producer.ring_bytes(), 4096U);
  EXPECT_GE(producer.fd(), 0);

  kfast_record_t batch[2] = {KFAST_RECORD_INIT, KFAST_RECORD_INIT};
  batch[0].topic = *topic;
  auto accepted = producer.send_batch(batch);
  ASSERT_TRUE(accepted);
  EXPECT_EQ(*accepted, 1U);
  EXPECT_EQ(batch[1].position, KFAST_ERR_INVALID);
  EXPECT_EQ(producer.send_batch(std::span(batch).subspan(1)).error().code(), KFAST_ERR_INVALID);

  EXPECT_EQ(producer.reserve(batch[1]).error().code(), KFAST_ERR_INVALID);
  batch[0].value_size = 100;
  const std::uint64_t tail = channel.c2d().tail.load();
  {
    auto dropped = producer.reserve(batch[0]);
    ASSERT_TRUE(dropped);
    EXPECT_EQ(dropped->value().size(), 100U);
    EXPECT_EQ(producer.send(*topic, "k", "v").error().code(), KFAST_ERR_INVALID);
  }
  EXPECT_EQ(channel.c2d().tail.load(), tail);
  kfast::Reservation open = *producer.reserve(batch[0]);
  kfast::Reservation moved = std::move(open);
  std::memset(moved.value().data(), 'x', moved.value().size());
  EXPECT_EQ(moved.commit(101).error().code(), KFAST_ERR_INVALID);
  auto committed = moved.commit();
  ASSERT_TRUE(committed);
  EXPECT_EQ(*committed, static_cast<std::int64_t>(tail));
  EXPECT_EQ(moved.commit().error().code(), KFAST_ERR_INVALID);
  moved = *producer.reserve(batch[0]);
  moved.cancel();
  EXPECT_TRUE(producer.send(*topic, "k", "v"));
}

}  // namespace
}  // namespace kfast::test
