#include "shard/rest_policy.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::shard {
namespace {

constexpr std::uint32_t kNapUs = 2500;

class RestPolicyTest : public ::testing::Test {
 protected:
  /// What is decided in the end where each round has so many records.
  Rest after_rounds(int rounds, std::uint64_t records, std::uint32_t nap_us) {
    Rest rest = Rest::none;
    for (int round = 0; round < rounds; ++round) {
      rest = policy_.decide(records, false, nap_us);
    }
    return rest;
  }

  RestPolicy policy_{{kNapUs, 50}};
};

TEST_F(RestPolicyTest, ANapIsAtMostHalfOfWhatRecordsLinger) {
  EXPECT_EQ(policy_.nap_us(1), 500U);
  EXPECT_EQ(policy_.nap_us(4), 2000U);
  EXPECT_EQ(policy_.nap_us(5), kNapUs);
  EXPECT_EQ(policy_.nap_us(900'000), kNapUs);
  EXPECT_EQ(policy_.nap_us(0), 0U);
}

TEST_F(RestPolicyTest, WithoutNapsThereIsNoneWhateverRecordsLinger) {
  EXPECT_EQ(RestPolicy({0, 50}).nap_us(5), 0U);
}

TEST_F(RestPolicyTest, ItNapsWhileRecordsComeAboutAsOftenAsNapsEnd) {
  EXPECT_EQ(after_rounds(100, 1, kNapUs), Rest::nap);
  EXPECT_EQ(after_rounds(100, 0, kNapUs), Rest::sleep);
}

TEST_F(RestPolicyTest, ABurstDoesNotKeepItNapping) {
  static_cast<void>(policy_.decide(1'000'000, false, kNapUs));
  int naps = 0;
  while (policy_.decide(0, false, kNapUs) == Rest::nap) {
    ++naps;
  }
  EXPECT_LT(naps, 50);
}

TEST_F(RestPolicyTest, WhatCanBeTakenAtOnceIs) {
  EXPECT_EQ(policy_.decide(0, true, kNapUs), Rest::none);
  EXPECT_EQ(policy_.decide(0, true, 0), Rest::none);
}

TEST_F(RestPolicyTest, WhereNobodyLingersItLooksForAWhileAndThenSleeps) {
  static_cast<void>(policy_.decide(1, false, 0));
  EXPECT_EQ(after_rounds(49, 0, 0), Rest::none);
  EXPECT_EQ(policy_.decide(0, false, 0), Rest::sleep);
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
