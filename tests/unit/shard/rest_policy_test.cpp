#include "shard/rest_policy.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::shard {
namespace {

constexpr std::uint32_t kNapUs = 2500;
constexpr Nap kNap{kNapUs, false};
constexpr Nap kGather{kNapUs, true};
constexpr Nap kNone{};

class RestPolicyTest : public ::testing::Test {
 protected:
  /// What is decided in the end where each round has so many records.
  Rest after_rounds(int rounds, std::uint64_t records, Nap nap) {
    Rest rest = Rest::none;
    for (int round = 0; round < rounds; ++round) {
      rest = policy_.decide(records, false, nap);
    }
    return rest;
  }

  RestPolicy policy_{{kNapUs, 50}};
};

TEST_F(RestPolicyTest, ANapIsAtMostHalfOfWhatRecordsLinger) {
  EXPECT_EQ(policy_.nap(1).us, 500U);
  EXPECT_EQ(policy_.nap(4).us, 2000U);
  EXPECT_EQ(policy_.nap(5).us, kNapUs);
  EXPECT_EQ(policy_.nap(900'000).us, kNapUs);
  EXPECT_FALSE(policy_.nap(5).until_answer);
}

TEST_F(RestPolicyTest, WithoutNapsThereIsNoneWhateverRecordsLinger) {
  RestPolicy never({0, 50});
  EXPECT_EQ(never.nap(5).us, 0U);
  EXPECT_EQ(never.gather(5, 100).us, 0U);
  EXPECT_EQ(never.decide(1, false, never.gather(5, 100)), Rest::none);
}

TEST_F(RestPolicyTest, ItNapsWhileRecordsComeAboutAsOftenAsNapsEnd) {
  EXPECT_EQ(after_rounds(100, 1, kNap), Rest::nap);
  EXPECT_EQ(after_rounds(100, 0, kNap), Rest::sleep);
}

TEST_F(RestPolicyTest, ABurstDoesNotKeepItNapping) {
  static_cast<void>(policy_.decide(1'000'000, false, kNap));
  int naps = 0;
  while (policy_.decide(0, false, kNap) == Rest::nap) {
    ++naps;
  }
  EXPECT_LT(naps, 50);
}

TEST_F(RestPolicyTest, WhatCanBeTakenAtOnceIs) {
  EXPECT_EQ(policy_.decide(0, true, kNap), Rest::none);
  EXPECT_EQ(policy_.decide(0, true, kNone), Rest::none);
}

TEST_F(RestPolicyTest, WhereNobodyLingersItLooksForAWhileAndThenSleeps) {
  static_cast<void>(policy_.decide(1, false, kNone));
  EXPECT_EQ(after_rounds(49, 0, kNone), Rest::none);
  EXPECT_EQ(policy_.decide(0, false, kNone), Rest::sleep);
}

TEST_F(RestPolicyTest, WhereNobodyLingersRecordsGatherBehindThoseOnTheirWay) {
  EXPECT_FALSE(policy_.gather(5, 3).until_answer);
  EXPECT_EQ(policy_.gather(5, 3).us, 0U);
  EXPECT_TRUE(policy_.gather(5, 4).until_answer);
  EXPECT_EQ(policy_.gather(5, 4).us, kNapUs);
  EXPECT_EQ(policy_.gather(1, 4).us, 500U) << "others of the shard linger";
  EXPECT_FALSE(policy_.gathering_paid(3));
  EXPECT_TRUE(policy_.gathering_paid(4));
  EXPECT_EQ(policy_.decide(1, false, kGather), Rest::nap);
  EXPECT_EQ(after_rounds(10, 0, kGather), Rest::nap);
  EXPECT_EQ(policy_.decide(0, true, kGather), Rest::none);
}

TEST_F(RestPolicyTest, AnswersEndNapsUntilNobodyHasAskedForLong) {
  EXPECT_TRUE(policy_.answers_end_nap(false));
  int naps = 1;
  while (policy_.answers_end_nap(false)) {
    ASSERT_LT(++naps, 1000);
  }
  EXPECT_FALSE(policy_.answers_end_nap(false));
  EXPECT_TRUE(policy_.answers_end_nap(true));
  EXPECT_TRUE(policy_.answers_end_nap(false));
}

}  // namespace
}  // namespace kfast::daemon::shard
