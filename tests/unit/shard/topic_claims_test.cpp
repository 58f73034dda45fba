#include "shard/topic_claims.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace kfast::daemon::shard {
namespace {

policy::Principal user(const char* name, uid_t uid) {
  policy::Principal who;
  who.name = name;
  who.uid = uid;
  return who;
}

policy::Quota quota_of(std::uint64_t topics) {
  config::Limits limits;
  limits.topics = topics;
  return policy::Quota({{"default", limits}});
}

TEST(TopicClaims, ATopicCountsOnceHoweverOftenItIsClaimed) {
  policy::Quota quota = quota_of(1);
  TopicClaims claims(quota);
  const policy::Principal ann = user("ann", 1001);
  for (int channel = 0; channel < 100; ++channel) {
    EXPECT_TRUE(claims.claim(ann, "default", "orders"));
  }
  EXPECT_EQ(quota.in_use(ann).topics, 1U);
}

TEST(TopicClaims, NewTopicsEndAtTheLimitAndTheOldOnesGoOn) {
  policy::Quota quota = quota_of(3);
  TopicClaims claims(quota);
  const policy::Principal ann = user("ann", 1001);
  for (int n = 0; n < 3; ++n) {
    EXPECT_TRUE(claims.claim(ann, "default", "logs." + std::to_string(n)));
  }
  const auto refused = claims.claim(ann, "default", "logs.3");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(),
            "limits.default.topics = 3 reached (3 in use by ann); raise it or set "
            "limits.ann.topics in kfastd.toml");
  EXPECT_TRUE(claims.claim(ann, "default", "logs.0"));
}

TEST(TopicClaims, ProfilesAndPrincipalsCountApart) {
  policy::Quota quota = quota_of(2);
  TopicClaims claims(quota);
  const policy::Principal ann = user("ann", 1001);
  const policy::Principal bob = user("bob", 1002);
  EXPECT_TRUE(claims.claim(ann, "default", "orders"));
  EXPECT_TRUE(claims.claim(ann, "bulk", "orders")) << "another instance keeps it again";
  EXPECT_FALSE(claims.claim(ann, "default", "flags"));
  EXPECT_TRUE(claims.claim(bob, "default", "flags")) << "one user's topics are not another's";
}

TEST(TopicClaims, EverythingIsGivenBackAtTheEnd) {
  policy::Quota quota = quota_of(2);
  const policy::Principal ann = user("ann", 1001);
  {
    TopicClaims claims(quota);
    EXPECT_TRUE(claims.claim(ann, "default", "orders"));
  }
  EXPECT_EQ(quota.in_use_by_all().topics, 0U);
}

}  // namespace
}  // namespace kfast::daemon::shard
