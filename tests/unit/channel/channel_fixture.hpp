// A real channel over real segments, a bare client at one end and a sink that remembers at the
// other.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "channel/producer_channel.hpp"
#include "raw_client.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::channel::test {

inline constexpr std::int64_t kNow = 1'000'000;
inline constexpr std::int64_t kDay = 86'400'000;
inline constexpr std::uint64_t kOpaqueBase = 0x0001'0002'0000'0000;

inline RecordSpec record(std::string value, std::uint16_t topic = 0) {
  RecordSpec spec;
  spec.topic = topic;
  spec.value = std::move(value);
  return spec;
}

class RememberingSink : public RecordSink {
 public:
  explicit RememberingSink(telemetry::TopicBlock& stats) : stats_(stats) {}

  OpenedTopic open_topic(std::string_view name) override {
    opened.emplace_back(name);
    OpenedTopic topic;
    topic.stats = &stats_;
    if (name == "denied") {
      topic.state = ipc::TopicState::not_allowed;
      topic.refusal = {ipc::Outcome::failed, 29, -1, -1};
      topic.reason = telemetry::FailureReason::not_allowed;
    }
    return topic;
  }

  Submission submit(void* /*topic*/, RecordView& record, std::uint64_t opaque) override {
    if (on_submit) {
      on_submit();
    }
    if (room == 0) {
      return {Submission::Kind::later, {}, {}};
    }
    --room;
    if (answer.kind == Submission::Kind::accepted) {
      std::move(record.value).read_once([&](const std::byte* at, std::size_t size) {
        values.emplace_back(reinterpret_cast<const char*>(at), size);
      });
      sequences.push_back(static_cast<std::uint32_t>(opaque));
      sent_ms.push_back(record.head.sent_ms);
      EXPECT_EQ(opaque >> 32U, kOpaqueBase >> 32U);
    }
    return answer;
  }

  [[nodiscard]] Expiry expiry() const override { return late; }

  Expiry late{-192, telemetry::FailureReason::timed_out};
  std::vector<std::string> opened;
  std::vector<std::string> values;       // of the accepted records
  std::vector<std::uint32_t> sequences;  // of the accepted records
  std::vector<std::int64_t> sent_ms;     // of the accepted records
  std::uint64_t room = UINT64_MAX;       // records until "later"
  Submission answer;
  std::function<void()> on_submit;

 private:
  telemetry::TopicBlock& stats_;
};

class ChannelTest : public ::testing::Test {
 protected:
  void open(std::uint64_t c2d = 4096, std::uint64_t d2c = 4096, std::uint32_t topics = 4) {
    auto made = create_segments(ipc::geometry_of(c2d, d2c, topics), 7, 1);
    ASSERT_TRUE(made.ok()) << made.error().text;
    client_ = std::make_unique<RawClient>(*made);
    client_->put_topic(0, "orders");
    channel_ = std::make_unique<ProducerChannel>(made.take(), settings_, std::nullopt);
    sink_ = std::make_unique<RememberingSink>(stats_);
  }

  /// The daemon dies as it stands, and another one takes the segments over.
  void replace_daemon() {
    auto adopted = adopt_copies(channel_->segments());
    ASSERT_TRUE(adopted.ok()) << adopted.error().text;
    channel_ = std::make_unique<ProducerChannel>(std::move(adopted->segments), settings_,
                                                 adopted->inheritance);
    client_->swap_in(channel_->segments());
    sink_ = std::make_unique<RememberingSink>(stats_);
  }

  /// The daemon dies as it stands; another one has the segments from elsewhere, and the client does
  /// not know.
  void adopt_without_client() {
    auto adopted = adopt_copies(channel_->segments());
    ASSERT_TRUE(adopted.ok()) << adopted.error().text;
    ProducerChannel::Settings settings = settings_;
    settings.client_away = true;
    channel_ = std::make_unique<ProducerChannel>(std::move(adopted->segments), settings,
                                                 adopted->inheritance);
    sink_ = std::make_unique<RememberingSink>(stats_);
  }
  void client_comes() {
    client_->swap_in(channel_->segments());
    channel_->client_has_come();
  }

  static ipc::Fd copy_of(const ipc::Fd& fd) {
    return ipc::Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  }
  static SegmentResult<Adopted> adopt_copies(const Segments& old) {
    return adopt_segments(old.geometry, copy_of(old.c2d_fd), copy_of(old.d2c_fd), 8, 2);
  }

  TakeResult take(std::uint32_t at_most = 1000, std::int64_t now_ms = kNow) {
    return channel_->take(*sink_, kOpaqueBase, at_most, now_ms);
  }
  void deliver(std::size_t index, std::int64_t offset = 0) {
    channel_->resolve(sink_->sequences.at(index), {ipc::Outcome::delivered, 0, 1, offset}, {});
  }
  void fail(std::size_t index) {
    channel_->resolve(sink_->sequences.at(index), {ipc::Outcome::failed, 10, 1, -1}, {});
  }

  /// What the topics' counters say so far.
  [[nodiscard]] std::uint64_t counted(telemetry::TopicCounter counter) const {
    namespace stats = ipc::stats;
    const std::byte* bytes = stats_segment_->bytes().data();
    const auto& header = *reinterpret_cast<const stats::Header*>(bytes);
    const auto& scope = reinterpret_cast<const stats::ScopeInfo*>(
        bytes + header.scopes_offset)[static_cast<std::uint32_t>(telemetry::Scope::topic)];
    std::uint64_t sum = 0;
    for (std::uint64_t block = 0; block < scope.blocks_touched.load(); ++block) {
      const auto copy =
          stats::read_block(scope, bytes + scope.blocks_offset + block * scope.block_bytes);
      sum += copy ? copy->values.at(static_cast<std::uint32_t>(counter)) : 0;
    }
    return sum;
  }

  std::unique_ptr<telemetry::StatsSegment> stats_segment_ =
      telemetry::StatsSegment::create({.version = "test"}).segment;
  telemetry::TopicBlock stats_ = stats_segment_->topic_block("main", "orders", "tester");
  ProducerChannel::Settings settings_;
  std::unique_ptr<RawClient> client_;
  std::unique_ptr<ProducerChannel> channel_;
  std::unique_ptr<RememberingSink> sink_;
};

}  // namespace kfast::daemon::channel::test
