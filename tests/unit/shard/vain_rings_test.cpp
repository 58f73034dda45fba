#include "shard/vain_rings.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::shard {
namespace {

/// How many rings in vain are heard until it is once too often; 0: never, in a thousand.
int rings_until_too_often(VainRings& rings) {
  for (int n = 1; n <= 1000; ++n) {
    rings.rung();
    if (rings.looked(false)) {
      return n;
    }
  }
  return 0;
}

TEST(VainRings, ARingThatBringsARecordIsNeverTooOften) {
  VainRings rings;
  for (int n = 0; n < 1000; ++n) {
    rings.rung();
    EXPECT_FALSE(rings.looked(true));
  }
}

TEST(VainRings, AnHonestClientsLateRingsAreNotTooOften) {
  VainRings rings;
  for (int n = 0; n < 1000; ++n) {
    EXPECT_FALSE(rings.looked(true)) << "found without the ring";
    for (int late = 0; late < 2; ++late) {
      rings.rung();
      EXPECT_FALSE(rings.looked(false));
    }
  }
}

TEST(VainRings, LooksWithoutARingCountForNothing) {
  VainRings rings;
  for (int n = 0; n < 1000; ++n) {
    EXPECT_FALSE(rings.looked(false));
  }
  EXPECT_GT(rings_until_too_often(rings), 2);
}

TEST(VainRings, RingsInVainBecomeTooOftenAndStayItUntilARecordComes) {
  VainRings rings;
  EXPECT_GT(rings_until_too_often(rings), 2);
  EXPECT_EQ(rings_until_too_often(rings), 1);
  EXPECT_FALSE(rings.looked(true));
  EXPECT_GT(rings_until_too_often(rings), 2);
}

TEST(VainRings, WhatIsHeardForListeningAgainIsNotHeldAgainstTheClient) {
  VainRings rings;
  EXPECT_NE(rings_until_too_often(rings), 0);
  rings.listened_again();
  rings.rung();
  EXPECT_FALSE(rings.looked(false)) << "it may have gone quiet";
  rings.rung();
  EXPECT_TRUE(rings.looked(false)) << "it has not";
}

}  // namespace
}  // namespace kfast::daemon::shard
