// When the doorbell is rung, on one thread: the orders of memory are the model's business.
#include "kfast/ipc/doorbell.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>

#include "kfast/ipc/atomics.hpp"

namespace kfast::ipc {
namespace {

class Doorbell : public testing::Test {
 protected:
  static constexpr std::uint64_t kCapacity = 1024;

  /// Publishes `bytes` more and asks whether the doorbell must be rung.
  bool publish(std::uint64_t bytes = 8) {
    tail_ += bytes;
    return ringer_.must_ring(parked_, shard_, taken_, tail_, kCapacity);
  }
  bool park() { return parking_.park(tail_, tail_); }
  bool rest(ShardState state) {
    return rest_.rest(state, [] { return false; });
  }

  std::atomic<std::uint64_t> parked_{0};
  std::atomic<std::uint64_t> shard_{0};
  std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> tail_{0};
  Ringer<HostAtomics> ringer_;
  Parking<HostAtomics> parking_{parked_};
  ShardRest<HostAtomics> rest_{shard_};
};

TEST_F(Doorbell, AnAwakeShardIsNeverRung) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(publish());
  }
}

TEST_F(Doorbell, ASleepingShardIsRungOnceEachSleep) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(rest(ShardState::asleep));
    EXPECT_TRUE(publish());
    EXPECT_FALSE(publish());
    rest_.wake();
    EXPECT_FALSE(publish());
  }
}

TEST_F(Doorbell, AParkedChannelIsRungOnceEachParking) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(park());
    EXPECT_TRUE(parking_.parked());
    EXPECT_TRUE(publish());
    EXPECT_FALSE(publish());
    parking_.unpark();
    EXPECT_FALSE(parking_.parked());
    EXPECT_FALSE(publish());
  }
}

TEST_F(Doorbell, AParkedChannelIsRungThoughTheShardIsAwake) {
  ASSERT_TRUE(park());
  EXPECT_TRUE(publish());
}

TEST_F(Doorbell, AParkedChannelIsRungOnceThoughTheShardFallsAsleepLater) {
  ASSERT_TRUE(park());
  EXPECT_TRUE(publish());
  ASSERT_TRUE(rest(ShardState::asleep));
  EXPECT_FALSE(publish()) << "the ring for the parking wakes the shard, too";
}

TEST_F(Doorbell, ANapIsRungOnceWhenHalfOfTheRingWaits) {
  ASSERT_TRUE(rest(ShardState::napping));
  EXPECT_FALSE(publish(kCapacity / 2 - 8));
  EXPECT_TRUE(publish(8));
  EXPECT_FALSE(publish(8));
  rest_.wake();
  taken_ = tail_.load();
  ASSERT_TRUE(rest(ShardState::napping));
  EXPECT_FALSE(publish(8));
  EXPECT_TRUE(publish(kCapacity / 2));
}

TEST_F(Doorbell, ANapThatBecomesSleepIsRungAgain) {
  ASSERT_TRUE(rest(ShardState::napping));
  EXPECT_TRUE(publish(kCapacity));
  ASSERT_TRUE(rest(ShardState::asleep));
  EXPECT_TRUE(publish());
}

TEST_F(Doorbell, ParkingGivesUpWhenAFrameHasComeMeanwhile) {
  tail_ = 8;
  EXPECT_FALSE(parking_.park(tail_, 0));
  EXPECT_FALSE(parking_.parked());
  EXPECT_EQ(parked_.load() & 1U, 0U);
  EXPECT_FALSE(publish());
}

TEST_F(Doorbell, RestGivesUpWhenAFrameHasComeMeanwhile) {
  EXPECT_FALSE(rest_.rest(ShardState::asleep, [] { return true; }));
  EXPECT_FALSE(publish()) << "the shard is awake";
}

TEST_F(Doorbell, RestIsAnnouncedBeforeTheLook) {
  std::uint64_t state = 0;
  EXPECT_TRUE(rest_.rest(ShardState::asleep, [&] {
    state = shard_ & ((1U << kShardStateBits) - 1);
    return false;
  }));
  EXPECT_EQ(static_cast<ShardState>(state), ShardState::asleep);
}

TEST_F(Doorbell, ParkingGoesOnFromTheWordThatItFinds) {
  ASSERT_TRUE(park());
  Parking<HostAtomics> next(parked_);
  EXPECT_TRUE(next.parked());
  next.unpark();
  EXPECT_EQ(parked_.load(), 2U);
}

TEST_F(Doorbell, AClientOfAnotherDaemonForgetsWhatItRang) {
  ASSERT_TRUE(rest(ShardState::asleep));
  EXPECT_TRUE(publish());
  ringer_.reset();
  EXPECT_TRUE(publish()) << "another shard page may hold the same value";
}

}  // namespace
}  // namespace kfast::ipc
