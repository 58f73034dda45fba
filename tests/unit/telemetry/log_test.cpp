#include "telemetry/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <regex>
#include <sstream>
#include <thread>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "kfastctl/snapshot.hpp"
#include "telemetry/limited_log.hpp"
#include "telemetry/stderr_sink.hpp"

namespace kfast::daemon::telemetry {
namespace {

class LogTest : public ::testing::Test {
 protected:
  std::shared_ptr<spdlog::logger> logger(bool journal) {
    auto made = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
    made->set_formatter(std::make_unique<LineFormatter>(journal));
    return made;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::istringstream in(out_.str());
    for (std::string line; std::getline(in, line);) {
      all.push_back(line);
    }
    return all;
  }
  std::size_t lines_with(const std::string& text) const {
    std::size_t count = 0;
    for (const std::string& line : lines()) {
      count += line.find(text) != std::string::npos ? 1 : 0;
    }
    return count;
  }

  std::ostringstream out_;
  LimitedLog::TimePoint now_{};
};

TEST_F(LogTest, ALineHasTimeLevelAndMessage) {
  logger(false)->warn("broker is away broker={}", "k1:9092");
  EXPECT_TRUE(std::regex_match(
      out_.str(),
      std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warn broker is away broker=k1:9092\n)")))
      << out_.str();
}

TEST_F(LogTest, TheJournalGetsAPriorityInPlaceOfTimeAndLevel) {
  const auto journal = logger(true);
  journal->error("a");
  journal->warn("b");
  journal->info("c");
  EXPECT_EQ(out_.str(), "<3>a\n<4>b\n<6>c\n");
}

TEST_F(LogTest, ControlCharactersForgeNoLineAndReachNoTerminal) {
  logger(true)->info("{}", "topic=x\n<2>forged\x1b[2J");
  EXPECT_EQ(out_.str(), "<6>topic=x\\n<2>forged\\x1b[2J\n");
}

TEST_F(LogTest, LevelsAreParsedByName) {
  EXPECT_EQ(parse_log_level("debug"), spdlog::level::debug);
  EXPECT_EQ(parse_log_level("error"), spdlog::level::err);
  EXPECT_EQ(parse_log_level("verbose"), std::nullopt);
}

TEST_F(LogTest, BeyondItsLimitAKeyIsHeldBackAndSummedUp) {
  LimitedLog log(logger(true), {.lines = 3, .interval = std::chrono::seconds(60)}, nullptr,
                 [this] { return now_; });
  for (int line = 0; line < 1237; ++line) {
    log.log(spdlog::level::warn, "broker:main", "broker is away n={}", line);
  }
  log.log(spdlog::level::warn, "broker:other", "another broker is away");
  EXPECT_EQ(lines_with("broker is away"), 4U);
  EXPECT_EQ(log.flush_ended(), now_ + std::chrono::seconds(60));
  EXPECT_EQ(lines_with("more like this"), 0U);

  now_ += std::chrono::seconds(60);
  EXPECT_EQ(log.flush_ended(), std::nullopt);
  EXPECT_EQ(lines().back(), "<4>… and 1234 more like this in 60 s key=broker:main");
  EXPECT_EQ(lines_with("more like this"), 1U);
}

TEST_F(LogTest, AfterTheIntervalTheNextLineBringsTheSummaryAndIsWritten) {
  LimitedLog log(logger(true), {.lines = 1, .interval = std::chrono::seconds(60)}, nullptr,
                 [this] { return now_; });
  log.log(spdlog::level::info, "k", "first");
  log.log(spdlog::level::info, "k", "held back");
  now_ += std::chrono::seconds(61);
  log.log(spdlog::level::info, "k", "second");
  EXPECT_EQ(lines(), (std::vector<std::string>{
                         "<6>first", "<6>… and 1 more like this in 60 s key=k", "<6>second"}));
}

TEST_F(LogTest, WhatIsHeldBackIsToldBeforeTheEnd) {
  {
    LimitedLog log(logger(true), {.lines = 1});
    log.log(spdlog::level::info, "k", "first");
    log.log(spdlog::level::info, "k", "held back");
  }
  EXPECT_EQ(lines_with("and 1 more like this"), 1U);
}

TEST_F(LogTest, KeysBeyondTheirNumberShareOneBudget) {
  LimitedLog log(logger(true), {.lines = 1, .keys = 2}, nullptr, [this] { return now_; });
  for (const char* key : {"a", "b", "c", "d"}) {
    log.log(spdlog::level::info, key, "from {}", key);
  }
  EXPECT_EQ(lines_with("from"), 3U);
  now_ += std::chrono::seconds(60);
  log.log(spdlog::level::info, "e", "from e");
  EXPECT_EQ(lines_with("1 more like this in 60 s key=(any)"), 1U);
  EXPECT_EQ(lines_with("from e"), 1U);
}

TEST_F(LogTest, ThreadsTogetherWriteNoMoreThanTheLimitAndCountTheRest) {
  const auto created = StatsSegment::create({});
  ASSERT_TRUE(created.segment) << created.error;
  DaemonBlock block = created.segment->daemon_block();
  {
    LimitedLog log(logger(true), {.lines = 10}, &block);
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 2; ++thread) {
      threads.emplace_back([&] {
        for (int line = 0; line < 500; ++line) {
          log.log(spdlog::level::info, "k", "a line");
        }
      });
    }
    threads.clear();
  }
  EXPECT_EQ(lines_with("a line"), 10U);
  EXPECT_EQ(lines_with("990 more like this"), 1U);
  const auto parsed = ctl::parse_snapshot(created.segment->bytes(), true, 0);
  ASSERT_TRUE(parsed.snapshot);
  for (const ctl::Metric& metric : parsed.snapshot->metrics) {
    if (metric.name == "kfast_log_lines_suppressed_total") {
      EXPECT_EQ(metric.value, 990U);
    }
  }
}

TEST(StderrSink, AReaderThatHangsLosesLinesAndHoldsNobodyUp) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const ipc::Fd reading(ends[0]);
  const ipc::Fd writing(ends[1]);
  ASSERT_GT(::fcntl(writing.get(), F_SETPIPE_SZ, 8192), 0);
  spdlog::logger log("test", std::make_shared<StderrSink>(writing.get()));
  log.set_formatter(std::make_unique<LineFormatter>(true));
  const auto read_all = [&reading] {
    std::string text(65536, '\0');
    const ssize_t size = ::read(reading.get(), text.data(), text.size());
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  };
  for (int line = 0; line < 5; ++line) {
    log.info("{}", std::string(4000, 'x'));
  }
  const std::string line = "<6>" + std::string(4000, 'x') + "\n";
  EXPECT_EQ(read_all(), line + line);
  log.info("read again");
  EXPECT_EQ(read_all(),
            "<4>3 lines of the log were lost here: its reader or its disk did not take "
            "them\n"
            "<6>read again\n");
  log.info("on");
  EXPECT_EQ(read_all(), "<6>on\n");
}

TEST(StderrSink, AFullDiskLosesLinesAndTheirNumberIsSaidWhenThereIsRoom) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const ipc::Fd reading(ends[0]);
  const ipc::Fd room(ends[1]);
  const ipc::Fd written(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(written.valid());
  spdlog::logger log("test", std::make_shared<StderrSink>(written.get()));
  log.set_formatter(std::make_unique<LineFormatter>(true));
  log.info("one");
  log.info("two");
  ASSERT_GE(::dup2(room.get(), written.get()), 0);
  log.info("three");
  std::string text(4096, '\0');
  const ssize_t size = ::read(reading.get(), text.data(), text.size());
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  EXPECT_EQ(text,
            "<4>2 lines of the log were lost here: its reader or its disk did not take them\n"
            "<6>three\n");
}

}  // namespace
}  // namespace kfast::daemon::telemetry
