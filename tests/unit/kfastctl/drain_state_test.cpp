// What `kfastctl drain`, `stat` and `health` say of a drain.
#include "kfastctl/drain_state.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "kfastctl/stat_output.hpp"
#include "segment_fixture.hpp"

namespace kfast::ctl {
namespace {

using daemon::telemetry::DaemonCounter;
using daemon::telemetry::Phase;
using daemon::telemetry::ShardCounter;
using namespace std::chrono_literals;

class DrainStateTest : public SegmentFixture {
 protected:
  DrainStateTest() : stats_(make_segment()) { stats_->set_phase(Phase::running); }
  [[nodiscard]] Snapshot snapshot() const {
    return *parse_snapshot(stats_->bytes(), true, boottime_ms()).snapshot;
  }
  [[nodiscard]] DrainState state() const { return drain_state(snapshot()); }

  std::unique_ptr<daemon::telemetry::StatsSegment> stats_;
};

TEST_F(DrainStateTest, AKfastdThatServesHasNoDrain) {
  EXPECT_FALSE(state().begun);
  EXPECT_FALSE(state().whole.has_value());
  EXPECT_EQ(progress_text(state(), true), "told to stop; it has not begun to drain");
  EXPECT_EQ(nlohmann::json::parse(json_of(snapshot(), {})).count("drain"), 0U);
  EXPECT_EQ(header_line(snapshot()).find("left"), std::string::npos);
}

TEST_F(DrainStateTest, ADrainSaysWhatItWaitsForAndHowLong) {
  auto shard = stats_->shard_block(0);
  stats_->begin_drain(1h);
  shard.set(ShardCounter::drain_waiting_messages, 1234);
  EXPECT_TRUE(state().begun);
  EXPECT_FALSE(state().whole.has_value());
  EXPECT_GT(state().left_ms, 3'000'000U);
  EXPECT_LE(state().left_ms, 3'600'000U);
  EXPECT_EQ(progress_text(state(), false), "draining: 1234 records wait");
  EXPECT_TRUE(progress_text(state(), true).starts_with("draining: 1234 records wait, 3"));
  shard.set(ShardCounter::drain_waiting_messages, 1);
  shard.set(ShardCounter::drain_waiting_bytes, 4096);
  EXPECT_EQ(waiting_text(state()), "1 record waits, 4096 bytes of rings not taken yet");

  EXPECT_NE(header_line(snapshot()).find(" draining (1 record waits, 4096 bytes"),
            std::string::npos);
  const auto json = nlohmann::json::parse(json_of(snapshot(), {}));
  EXPECT_EQ(json["phase"], "draining");
  EXPECT_EQ(json["drain"]["waiting_messages"], 1);
  EXPECT_EQ(json["drain"]["waiting_bytes"], 4096);
  EXPECT_GT(json["drain"]["left_ms"], 3'000'000);
  EXPECT_EQ(json["drain"].count("result"), 0U);
}

TEST_F(DrainStateTest, ADeadlineThatHasPassedLeavesNothing) {
  stats_->begin_drain(0ms);
  EXPECT_TRUE(state().begun);
  EXPECT_EQ(state().left_ms, 0U);
}

TEST_F(DrainStateTest, WhatWasLeftIsKnownWhenKfastdHasGone) {
  {
    auto counters = stats_->daemon_block();
    stats_->begin_drain(1s);
    counters.add(DaemonCounter::drains_partial);
    counters.add(DaemonCounter::left_messages_ring, 12);
    counters.add(DaemonCounter::left_channels_ring, 2);
    counters.add(DaemonCounter::left_messages_kept, 5);
    counters.add(DaemonCounter::left_channels_kept, 1);
    counters.add(DaemonCounter::left_messages_lost, 1);
    counters.add(DaemonCounter::left_channels_lost, 1);
  }
  EXPECT_EQ(state().whole, false);
  EXPECT_EQ(progress_text(state(), true), "the drain is over; kfastd ends");
  EXPECT_EQ(verdict_text(state()),
            "12 records of 2 channels stay in their rings: they are delivered when their workers "
            "meet the next kfastd\n"
            "5 records of 1 channel whose workers are gone are kept: the next kfastd delivers "
            "them, unless the store ends with this stop\n"
            "1 record of 1 channel whose workers are gone are lost: nobody keeps their segments\n");
}

TEST_F(DrainStateTest, AWholeDrainSaysSo) {
  stats_->daemon_block().add(DaemonCounter::drains_whole);
  EXPECT_EQ(state().whole, true);
  EXPECT_EQ(verdict_text(state()), "drained: every record accepted before it has its outcome\n");
}

}  // namespace
}  // namespace kfast::ctl
