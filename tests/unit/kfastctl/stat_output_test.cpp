#include "kfastctl/stat_output.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kfastctl/stats_file.hpp"
#include "segment_fixture.hpp"

namespace kfast::ctl {
namespace {

using daemon::telemetry::Activity;
using daemon::telemetry::FailureReason;
using daemon::telemetry::Phase;
using daemon::telemetry::TopicCounter;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class StatOutputTest : public SegmentFixture {
 protected:
  Snapshot read(std::uint64_t now = boottime_ms()) const {
    const auto opened = StatsFile::open(directory_);
    EXPECT_TRUE(opened.file) << opened.error;
    auto parsed = parse_snapshot(opened.file->bytes(), opened.file->writer_is_alive(), now);
    EXPECT_TRUE(parsed.snapshot) << parsed.error;
    return parsed.snapshot.value_or(Snapshot{});
  }
};

TEST_F(StatOutputTest, ShowsCountersThatAreNotZeroWithTheirLabels) {
  const auto stats = make_segment();
  auto topic = stats->topic_block("main", "orders", "www-data");
  topic.add(TopicCounter::delivered, 1234);
  topic.add(discarded(FailureReason::too_large), 2);
  const std::string text = text_of(read(), {}, nullptr);
  EXPECT_TRUE(
      contains(text, "  1234  cluster=main topic=orders principal=www-data result=delivered\n"))
      << text;
  EXPECT_TRUE(contains(text, "reason=too_large\n")) << text;
  EXPECT_FALSE(contains(text, "result=failed")) << text;
  EXPECT_TRUE(contains(text_of(read(), {.all = true}, nullptr), "result=failed"));
}

TEST_F(StatOutputTest, TheHeaderLineSaysWhoWroteItAndHowLongAgo) {
  const auto stats = make_segment(2);
  stats->set_phase(Phase::running);
  stats->beat(0, Activity::working, 5000);
  const std::string line = header_line(read(5012));
  EXPECT_TRUE(contains(line, "kfastd 1.2.3 pid " + std::to_string(::getpid()) + " running"))
      << line;
  EXPECT_TRUE(contains(line, "stats layout 1")) << line;
  EXPECT_TRUE(contains(line, "shard 0 working, heartbeat 12 ms ago")) << line;
  EXPECT_TRUE(contains(line, "shard 1 not started")) << line;
}

TEST_F(StatOutputTest, ADeadPidIsReportedAndItsLastCountsAreShown) {
  const pid_t pid = leave_segment_of_a_dead_process();
  const std::string text = text_of(read(), {}, nullptr);
  EXPECT_TRUE(contains(text, "pid " + std::to_string(pid) +
                                 " is gone (killed or crashed while "
                                 "running)"))
      << text;
  EXPECT_TRUE(contains(text, "topic=orders")) << text;
}

TEST_F(StatOutputTest, ACleanStopIsNotCalledACrash) {
  make_segment().reset();
  EXPECT_TRUE(contains(header_line(read()), "has stopped")) << header_line(read());
}

TEST_F(StatOutputTest, FiltersByNameLabelPatternAndScope) {
  const auto stats = make_segment();
  auto orders = stats->topic_block("main", "orders", "www-data");
  auto logs = stats->topic_block("main", "logs", "www-data");
  auto shard = stats->shard_block(0);
  orders.add(TopicCounter::taken_messages, 1);
  orders.add(TopicCounter::delivered, 1);
  logs.add(TopicCounter::taken_messages, 1);
  shard.add(daemon::telemetry::ShardCounter::rounds, 1);
  const auto lines_of = [&](const Selection& selection) {
    const std::string text = text_of(read(), selection, nullptr);
    return std::count(text.begin(), text.end(), '\n') - 1;
  };
  EXPECT_EQ(lines_of({}), 5);  // and kfast_start_time_seconds
  EXPECT_EQ(lines_of({.filter = "taken"}), 2);
  EXPECT_EQ(lines_of({.filter = "topic=orders"}), 2);
  EXPECT_EQ(lines_of({.filter = "topic=o*"}), 2);
  EXPECT_EQ(lines_of({.filter = "kfast_shard_*"}), 1);
  EXPECT_EQ(lines_of({.scope = "topic"}), 3);
  EXPECT_TRUE(contains(text_of(read(), {.filter = "nothing"}, nullptr), "no counter"));
}

TEST_F(StatOutputTest, ShowsTheChangePerSecondSinceAnEarlierRound) {
  const auto stats = make_segment();
  auto topic = stats->topic_block("main", "orders", "www-data");
  topic.add(TopicCounter::taken_messages, 100);
  topic.set(TopicCounter::in_flight_messages, 10);
  EarlierRound earlier{{}, 2.0};
  for (const Metric& metric : read().metrics) {
    earlier.values[metric_id(metric)] = metric.value;
  }
  topic.add(TopicCounter::taken_messages, 50);
  topic.set(TopicCounter::in_flight_messages, 30);
  const std::string text = text_of(read(), {.scope = "topic"}, &earlier);
  EXPECT_TRUE(contains(text, "150  25.0/s  cluster=main")) << text;
  EXPECT_EQ(text.find("/s"), text.rfind("/s")) << text;
}

TEST_F(StatOutputTest, JsonHoldsTheSame) {
  const auto stats = make_segment();
  stats->set_phase(Phase::running);
  stats->beat(0, Activity::idle, 5000);
  auto profile = stats->profile_block("main", "default");
  profile.set_note("last_error", "not UTF-8: \xff");
  auto topic = stats->topic_block("main", "orders", "www-data");
  topic.add(TopicCounter::unknown, 3);
  const auto json = nlohmann::json::parse(json_of(read(6000), {}));
  EXPECT_EQ(json["pid"], ::getpid());
  EXPECT_EQ(json["alive"], true);
  EXPECT_EQ(json["phase"], "running");
  EXPECT_EQ(json["shards"][0]["heartbeat_age_ms"], 1000);
  EXPECT_EQ(json["notes"][0]["name"], "last_error");
  const auto metric = json["metrics"].back();
  EXPECT_EQ(metric["name"], "kfast_produce_messages_total");
  EXPECT_EQ(metric["kind"], "counter");
  EXPECT_EQ(metric["unit"], "messages");
  EXPECT_EQ(metric["value"], 3);
  EXPECT_EQ(metric["labels"], (nlohmann::json{{"cluster", "main"},
                                              {"topic", "orders"},
                                              {"principal", "www-data"},
                                              {"result", "unknown"}}));
}

TEST_F(StatOutputTest, ControlCharactersDoNotReachTheTerminal) {
  const auto stats = make_segment();
  auto profile = stats->profile_block("main", "evil\x1b[2J");
  profile.set_note("last_error", "line\nline");
  const std::string text = text_of(read(), {}, nullptr);
  EXPECT_FALSE(contains(text, "\x1b")) << text;
  EXPECT_TRUE(contains(text, "line\\x0aline")) << text;
}

TEST(DurationText, UsesTheUnitsOfItsSize) {
  EXPECT_EQ(duration_text(999), "999 ms");
  EXPECT_EQ(duration_text(3456), "3.4 s");
  EXPECT_EQ(duration_text(306'000), "5 min 6 s");
  EXPECT_EQ(duration_text(std::uint64_t{7 * 3600 + 8 * 60} * 1000), "7 h 8 min");
  EXPECT_EQ(duration_text(std::uint64_t{9 * 86400 + 10 * 3600} * 1000), "9 d 10 h");
}

}  // namespace
}  // namespace kfast::ctl
