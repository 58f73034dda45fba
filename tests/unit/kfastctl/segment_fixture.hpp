// A socket directory of its own, with a segment that kfastd's own writer makes.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "telemetry/stats.hpp"

namespace kfast::ctl {

class SegmentFixture : public ::testing::Test {
 protected:
  SegmentFixture() {
    char name[] = "/tmp/kfastctl-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~SegmentFixture() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<daemon::telemetry::StatsSegment> make_segment(std::uint32_t shards = 1) const {
    daemon::telemetry::StatsSegment::Options options;
    options.directory = directory_;
    options.version = "1.2.3";
    options.shards = shards;
    auto created = daemon::telemetry::StatsSegment::create(std::move(options));
    EXPECT_EQ(created.error, "");
    return std::move(created.segment);
  }

  /// Runs a writer in a process of its own that counts one record and dies without a word. Returns
  /// its pid.
  pid_t leave_segment_of_a_dead_process() const {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto stats = make_segment();
      auto topic = stats->topic_block("main", "orders", "www-data");
      topic.add(daemon::telemetry::TopicCounter::taken_messages);
      stats->set_phase(daemon::telemetry::Phase::running);
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return child;
  }

  std::string directory_;
};

}  // namespace kfast::ctl
