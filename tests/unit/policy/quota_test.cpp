#include "policy/quota.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace kfast::daemon::policy {
namespace {

const Principal www{33, 33, {33}, "www-data"};
const Principal joe{1000, 1000, {1000}, "joe"};

Quota::Limits limits_with(std::uint64_t channels, std::uint64_t all_channels) {
  Quota::Limits limits;
  limits["default"].channels = channels;
  limits["total"].channels = all_channels;
  return limits;
}

TEST(Quota, LeaseGivesBackWhenItGoes) {
  Quota quota(limits_with(1, 10));
  {
    auto lease = quota.take(www, Resource::channels);
    ASSERT_TRUE(lease.ok());
    EXPECT_EQ(quota.in_use(www).channels, 1U);
    EXPECT_FALSE(quota.take(www, Resource::channels).ok());
    EXPECT_TRUE(quota.take(joe, Resource::channels).ok());
  }
  EXPECT_EQ(quota.in_use(www).channels, 0U);
  EXPECT_EQ(quota.in_use_by_all().channels, 0U);
  EXPECT_TRUE(quota.take(www, Resource::channels).ok());
}

TEST(Quota, MovedLeaseGivesBackOnce) {
  Quota quota(limits_with(5, 10));
  Lease kept;
  {
    Lease taken = quota.take(www, Resource::channels, 3).take();
    kept = std::move(taken);
  }
  EXPECT_EQ(quota.in_use(www).channels, 3U);
  kept = quota.take(www, Resource::channels, 1).take();
  EXPECT_EQ(quota.in_use(www).channels, 1U);
  kept.give_back();
  kept.give_back();
  EXPECT_EQ(quota.in_use(www).channels, 0U);
}

TEST(Quota, LeaseMayOutliveTheQuota) {
  Lease lease;
  {
    Quota quota(limits_with(5, 10));
    lease = quota.take(www, Resource::channels).take();
  }
  lease.give_back();
  EXPECT_EQ(lease.amount(), 0U);
}

TEST(Quota, ErrorNamesTheLimitTheUseAndTheKey) {
  Quota::Limits limits = limits_with(1, 2);
  limits["www-data"].channels = 2;
  Quota quota(limits);
  std::vector<Lease> held;
  held.push_back(quota.take(joe, Resource::channels).take());
  EXPECT_EQ(quota.take(joe, Resource::channels).error(),
            "limits.default.channels = 1 reached (1 in use by joe); raise it or set "
            "limits.joe.channels in kfastd.toml");
  held.push_back(quota.take(www, Resource::channels).take());
  EXPECT_EQ(quota.take(www, Resource::channels).error(),
            "limits.total.channels = 2 reached (2 in use by all); raise it in kfastd.toml");
  held.erase(held.begin());
  held.push_back(quota.take(www, Resource::channels).take());
  EXPECT_EQ(quota.take(www, Resource::channels).error(),
            "limits.www-data.channels = 2 reached (2 in use); raise it in kfastd.toml");
}

TEST(Quota, AmountThatWouldOverflowIsRefused) {
  Quota::Limits limits;
  limits["default"].ring_bytes = 100;
  Quota quota(limits);
  const Lease held = quota.take(www, Resource::ring_bytes, 60).take();
  EXPECT_EQ(quota.take(www, Resource::ring_bytes, 41).error(),
            "limits.default.ring_bytes = 100 reached (60 in use by www-data, 41 more asked for); "
            "raise it or set limits.www-data.ring_bytes in kfastd.toml");
  EXPECT_FALSE(quota.take(www, Resource::ring_bytes, UINT64_MAX).ok());
  EXPECT_TRUE(quota.take(www, Resource::ring_bytes, 40).ok());
}

TEST(Quota, LowerLimitsLetWhatIsHeldStay) {
  Quota quota(limits_with(5, 10));
  Lease held = quota.take(www, Resource::channels, 5).take();
  quota.set_limits(limits_with(2, 10));
  EXPECT_EQ(quota.in_use(www).channels, 5U);
  EXPECT_FALSE(quota.take(www, Resource::channels).ok());
  held.give_back();
  EXPECT_TRUE(quota.take(www, Resource::channels, 2).ok());
}

TEST(Quota, UserCalledTotalHasNoTableOfItsOwn) {
  Quota quota(limits_with(1, 10));
  const Principal total{50, 50, {50}, "total"};
  const Lease held = quota.take(total, Resource::channels).take();
  EXPECT_FALSE(quota.take(total, Resource::channels).ok());
  EXPECT_EQ(quota.limits(total).channels, 1U);
}

TEST(Quota, ManyThreadsNeverExceedTheLimitAndGiveAllBack) {
  Quota quota(limits_with(2, 3));
  std::atomic<bool> exceeded = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, who = i % 2 == 0 ? www : joe] {
      for (int round = 0; round < 2000; ++round) {
        const auto lease = quota.take(who, Resource::channels);
        if (quota.in_use(who).channels > 2 || quota.in_use_by_all().channels > 3) {
          exceeded = true;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_FALSE(exceeded);
  EXPECT_EQ(quota.in_use_by_all().channels, 0U);
}

}  // namespace
}  // namespace kfast::daemon::policy
