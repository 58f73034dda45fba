#include "telemetry/stats.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kfastctl/snapshot.hpp"
#include "kfastctl/stats_file.hpp"

namespace kfast::daemon::telemetry {
namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

ctl::Snapshot snapshot_of(const StatsSegment& stats) {
  auto parsed = ctl::parse_snapshot(stats.bytes(), true, boottime_ms());
  EXPECT_TRUE(parsed.snapshot) << parsed.error;
  return parsed.snapshot.value_or(ctl::Snapshot{});
}

std::optional<std::uint64_t> value_of(const ctl::Snapshot& snapshot, const std::string& name,
                                      const Labels& labels) {
  for (const ctl::Metric& metric : snapshot.metrics) {
    if (metric.name == name && metric.labels == labels) {
      return metric.value;
    }
  }
  return std::nullopt;
}

Labels topic_labels(const std::string& topic) {
  return {{"cluster", "main"}, {"topic", topic}, {"principal", "www-data"}};
}
const Labels kOtherTopic = {{"cluster", "(other)"}, {"topic", "(other)"}, {"principal", "(other)"}};
constexpr char kTaken[] = "kfast_produce_taken_messages_total";
constexpr char kInFlight[] = "kfast_produce_in_flight_messages";

class StatsTest : public ::testing::Test {
 protected:
  std::unique_ptr<StatsSegment> make(std::uint32_t topic_blocks = 0) {
    StatsSegment::Options options;
    options.version = "1.2.3";
    options.blocks[static_cast<std::uint32_t>(Scope::topic)] = topic_blocks;
    options.cool_off = std::chrono::seconds(10);
    options.now = [this] { return now_; };
    auto created = StatsSegment::create(std::move(options));
    EXPECT_EQ(created.error, "");
    return std::move(created.segment);
  }
  static TopicBlock topic(StatsSegment& stats, const std::string& name) {
    return stats.topic_block("main", name, "www-data");
  }

  std::chrono::steady_clock::time_point now_{};
};

TEST_F(StatsTest, CountsWhatWasAddedUnderItsLabels) {
  const auto stats = make();
  TopicBlock orders = topic(*stats, "orders");
  TopicBlock logs = topic(*stats, "logs");
  orders.add(TopicCounter::taken_messages, 41);
  orders.add(TopicCounter::taken_messages);
  orders.add(discarded(FailureReason::ssl), 3);
  logs.add(TopicCounter::taken_messages, 7);
  logs.set(TopicCounter::in_flight_messages, 9);
  logs.sub(TopicCounter::in_flight_messages, 4);

  const ctl::Snapshot snapshot = snapshot_of(*stats);
  EXPECT_EQ(value_of(snapshot, kTaken, topic_labels("orders")), 42);
  EXPECT_EQ(value_of(snapshot, kTaken, topic_labels("logs")), 7);
  EXPECT_EQ(value_of(snapshot, kInFlight, topic_labels("logs")), 5);
  Labels ssl = topic_labels("orders");
  ssl.emplace_back("reason", "ssl");
  EXPECT_EQ(value_of(snapshot, "kfast_discarded_messages_total", ssl), 3);
}

TEST_F(StatsTest, BlocksWithTheSameLabelsAreAddedUp) {
  const auto stats = make();
  TopicBlock of_shard_0 = topic(*stats, "orders");
  TopicBlock of_shard_1 = topic(*stats, "orders");
  of_shard_0.add(TopicCounter::taken_messages, 2);
  of_shard_1.add(TopicCounter::taken_messages, 3);
  EXPECT_EQ(value_of(snapshot_of(*stats), kTaken, topic_labels("orders")), 5);
}

TEST_F(StatsTest, AFullTableCountsIntoOther) {
  const auto stats = make(2);  // "(other)" and one more
  TopicBlock has_room = topic(*stats, "orders");
  TopicBlock first = topic(*stats, "no-room-1");
  TopicBlock second = topic(*stats, "no-room-2");
  EXPECT_FALSE(has_room.is_other());
  EXPECT_TRUE(first.is_other());
  first.add(TopicCounter::taken_messages, 10);
  second.add(TopicCounter::taken_messages, 5);
  EXPECT_EQ(value_of(snapshot_of(*stats), kTaken, kOtherTopic), 15);
}

TEST_F(StatsTest, AHandleOnOtherTakesItsGaugesBackAndLeavesItsCounts) {
  const auto stats = make(1);
  TopicBlock stays = topic(*stats, "stays");
  stays.set(TopicCounter::in_flight_messages, 4);
  {
    TopicBlock goes = topic(*stats, "goes");
    goes.add(TopicCounter::taken_messages, 3);
    goes.set(TopicCounter::in_flight_messages, 100);
    goes.set(TopicCounter::in_flight_messages, 90);
    goes.add(TopicCounter::in_flight_messages, 5);
    goes.sub(TopicCounter::in_flight_messages, 1);
    EXPECT_EQ(value_of(snapshot_of(*stats), kInFlight, kOtherTopic), 98);
  }
  EXPECT_EQ(value_of(snapshot_of(*stats), kInFlight, kOtherTopic), 4);
  EXPECT_EQ(value_of(snapshot_of(*stats), kTaken, kOtherTopic), 3);
}

TEST_F(StatsTest, AFreedBlocksCountsGoOnInOtherAndItsGaugesDoNot) {
  const auto stats = make();
  {
    TopicBlock block = topic(*stats, "orders");
    block.add(TopicCounter::taken_messages, 8);
    block.set(TopicCounter::in_flight_messages, 6);
  }
  const ctl::Snapshot snapshot = snapshot_of(*stats);
  EXPECT_EQ(value_of(snapshot, kTaken, topic_labels("orders")), std::nullopt);
  EXPECT_EQ(value_of(snapshot, kTaken, kOtherTopic), 8);
  EXPECT_EQ(value_of(snapshot, kInFlight, kOtherTopic), 0);
}

TEST_F(StatsTest, AClosedChannelLeavesNoCounts) {
  const auto stats = make();
  { stats->channel_block("7", 4711, "www-data", "default").add(ChannelCounter::reports, 5); }
  const Labels other = {
      {"channel", "(other)"}, {"pid", "(other)"}, {"principal", "(other)"}, {"profile", "(other)"}};
  EXPECT_EQ(value_of(snapshot_of(*stats), "kfast_channel_reports_total", other), 0);
}

TEST_F(StatsTest, AFreedBlockIsReusedOnlyAfterItsCoolOff) {
  const auto stats = make(2);
  { topic(*stats, "first").add(TopicCounter::taken_messages, 1); }
  now_ += std::chrono::milliseconds(9999);
  EXPECT_TRUE(topic(*stats, "too-early").is_other());
  now_ += std::chrono::milliseconds(1);
  TopicBlock reused = topic(*stats, "second");
  ASSERT_FALSE(reused.is_other());
  EXPECT_EQ(value_of(snapshot_of(*stats), kTaken, topic_labels("second")), 0);
  EXPECT_EQ(value_of(snapshot_of(*stats), kTaken, topic_labels("first")), std::nullopt);
}

TEST_F(StatsTest, AMovedHandleOwnsTheBlock) {
  const auto stats = make();
  TopicBlock from = topic(*stats, "orders");
  TopicBlock to = std::move(from);
  EXPECT_FALSE(from);  // NOLINT(bugprone-use-after-move): a moved-from handle is empty, and says so
  ASSERT_TRUE(to);
  to.add(TopicCounter::taken_messages);
  EXPECT_EQ(value_of(snapshot_of(*stats), kTaken, topic_labels("orders")), 1);
  to = TopicBlock();
  EXPECT_EQ(value_of(snapshot_of(*stats), kTaken, topic_labels("orders")), std::nullopt);
}

TEST_F(StatsTest, ALabelOfEveryLengthIsKeptOrCutWithAMark) {
  const auto stats = make();
  std::vector<TopicBlock> blocks;
  for (std::size_t size = 1; size <= 249; ++size) {
    blocks.push_back(topic(*stats, std::string(size, 'a')));
    blocks.back().add(TopicCounter::taken_messages, size);
  }
  blocks.push_back(topic(*stats, std::string(300, 'b')));
  blocks.back().add(TopicCounter::taken_messages, 300);
  const ctl::Snapshot snapshot = snapshot_of(*stats);
  for (std::size_t size = 1; size <= 249; ++size) {
    EXPECT_EQ(value_of(snapshot, kTaken, topic_labels(std::string(size, 'a'))), size);
  }
  EXPECT_EQ(value_of(snapshot, kTaken, topic_labels(std::string(254, 'b') + "~")), 300);
}

TEST_F(StatsTest, ANoteShowsTheLastText) {
  const auto stats = make();
  ProfileBlock profile = stats->profile_block("main", "default");
  profile.set_note("last_error", "broker k1 refused the connection");
  profile.set_note("last_error", "SASL login failed");
  const ctl::Snapshot snapshot = snapshot_of(*stats);
  ASSERT_EQ(snapshot.notes.size(), 1U);
  EXPECT_EQ(snapshot.notes[0].name, "last_error");
  EXPECT_EQ(snapshot.notes[0].text, "SASL login failed");
  EXPECT_EQ(snapshot.notes[0].labels, (Labels{{"cluster", "main"}, {"profile", "default"}}));
}

TEST_F(StatsTest, HeartbeatsAndPhaseAreShown) {
  const auto stats = make();
  EXPECT_EQ(snapshot_of(*stats).beats.at(0).activity, Activity::absent);
  stats->set_phase(Phase::draining);
  stats->beat(0, Activity::idle, 5000);
  const auto parsed = ctl::parse_snapshot(stats->bytes(), true, 7500);
  ASSERT_TRUE(parsed.snapshot);
  EXPECT_EQ(parsed.snapshot->phase, Phase::draining);
  EXPECT_EQ(parsed.snapshot->beats.at(0).activity, Activity::idle);
  EXPECT_EQ(parsed.snapshot->beats.at(0).age_ms, 2500U);
}

using StatsDeathTest = StatsTest;

TEST_F(StatsDeathTest, CountingOnNoBlockAborts) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  TopicBlock none;
  EXPECT_DEATH(none.add(TopicCounter::taken_messages), "never allocated");
}

class StatsFileTest : public StatsTest {
 protected:
  StatsFileTest() {
    char name[] = "/tmp/kfast-stats-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~StatsFileTest() override { std::filesystem::remove_all(directory_); }
  StatsSegment::Created create(const std::string& version) {
    StatsSegment::Options options;
    options.directory = directory_;
    options.version = version;
    return StatsSegment::create(std::move(options));
  }

  std::string directory_;
};

TEST_F(StatsFileTest, EveryoneMayReadTheFileAndNothingElseIsLeft) {
  const auto created = create("1.2.3");
  ASSERT_TRUE(created.segment) << created.error;
  struct stat status {};
  ASSERT_EQ(::stat((directory_ + "/stats").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0644U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_), {}), 1);
}

TEST_F(StatsFileTest, ANewDaemonReplacesTheSegmentAndOldReadersKeepTheirs) {
  auto old = create("1.0.0");
  ASSERT_TRUE(old.segment) << old.error;
  const auto reader = ctl::StatsFile::open(directory_);
  ASSERT_TRUE(reader.file) << reader.error;
  EXPECT_TRUE(reader.file->writer_is_alive());
  old.segment.reset();
  EXPECT_FALSE(reader.file->writer_is_alive());

  const auto fresh = create("2.0.0");
  ASSERT_TRUE(fresh.segment) << fresh.error;
  EXPECT_EQ(ctl::parse_snapshot(reader.file->bytes(), false, 0).snapshot->version, "1.0.0");
  const auto next = ctl::StatsFile::open(directory_);
  ASSERT_TRUE(next.file) << next.error;
  EXPECT_EQ(ctl::parse_snapshot(next.file->bytes(), true, 0).snapshot->version, "2.0.0");
}

TEST_F(StatsFileTest, ALeftoverOfACrashIsNoObstacle) {
  ASSERT_EQ(::symlink("/dev/null", (directory_ + "/stats.new").c_str()), 0);
  const auto created = create("1.2.3");
  EXPECT_TRUE(created.segment) << created.error;
}

TEST_F(StatsFileTest, AMissingDirectoryIsAnErrorThatNamesIt) {
  std::filesystem::remove_all(directory_);
  const auto created = create("1.2.3");
  EXPECT_FALSE(created.segment);
  EXPECT_NE(created.error.find(directory_), std::string::npos) << created.error;
  EXPECT_NE(created.error.find("socket_dir"), std::string::npos) << created.error;
}

}  // namespace
}  // namespace kfast::daemon::telemetry
