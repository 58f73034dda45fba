#include "policy/access_list.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::policy {
namespace {

TEST(Pattern, StarMatchesAnyRunAndAllElseIsLiteral) {
  EXPECT_TRUE(matches("logs.*", "logs.web"));
  EXPECT_TRUE(matches("logs.*", "logs."));
  EXPECT_FALSE(matches("logs.*", "logs"));
  EXPECT_FALSE(matches("logs.*", "logsxweb"));
  EXPECT_TRUE(matches("*-dlq", "orders-dlq"));
  EXPECT_FALSE(matches("*-dlq", "orders-dlq2"));
  EXPECT_TRUE(matches("a*b*c", "a--b--b--c"));
  EXPECT_FALSE(matches("a*b*c", "a--c--b"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("**", "anything"));
  EXPECT_FALSE(matches("a?c", "abc"));
  EXPECT_FALSE(matches("[ab]", "a"));
  EXPECT_FALSE(matches("", "a"));
  EXPECT_TRUE(matches("", ""));
}

config::Allow rule_for_user(uid_t uid, std::vector<std::string> produce) {
  config::Allow rule;
  rule.uid = uid;
  rule.produce = std::move(produce);
  return rule;
}

Principal principal(uid_t uid, std::vector<gid_t> gids = {}) {
  return Principal{uid, 1000, std::move(gids), "somebody"};
}

TEST(AccessList, NothingIsAllowedThatNoRuleSays) {
  const AccessList list({rule_for_user(33, {"orders", "logs.*"})});
  EXPECT_TRUE(list.may_produce(principal(33), "orders"));
  EXPECT_TRUE(list.may_produce(principal(33), "logs.web"));
  EXPECT_FALSE(list.may_produce(principal(33), "orders2"));
  EXPECT_FALSE(list.may_produce(principal(33), "payments"));
  EXPECT_FALSE(list.may_produce(principal(34), "orders"));
  EXPECT_FALSE(list.may_consume(principal(33), "orders"));
  EXPECT_FALSE(list.may_join(principal(33), "orders"));
  EXPECT_TRUE(list.knows(principal(33)));
  EXPECT_FALSE(list.knows(principal(34)));
  EXPECT_FALSE(AccessList({}).may_produce(principal(0), "orders"));
}

TEST(AccessList, RulesOfAUserAndItsGroupsAddUp) {
  config::Allow group;
  group.gid = 7;
  group.consume = {"flags"};
  group.groups = {"edge-*"};
  const AccessList list({rule_for_user(33, {"a"}), rule_for_user(33, {"b"}), group});
  const Principal member = principal(33, {5, 7});
  EXPECT_TRUE(list.may_produce(member, "a"));
  EXPECT_TRUE(list.may_produce(member, "b"));
  EXPECT_TRUE(list.may_consume(member, "flags"));
  EXPECT_TRUE(list.may_join(member, "edge-1"));
  EXPECT_TRUE(list.may_consume(principal(99, {7}), "flags"));
  EXPECT_FALSE(list.may_consume(principal(7), "flags")) << "a group's number is no user's";
}

TEST(AccessList, TrustIsAUsersOrAGroups) {
  config::Allow user = rule_for_user(33, {"a"});
  user.trusted = true;
  config::Allow group;
  group.gid = 7;
  group.trusted = true;
  AccessList list({user, group, rule_for_user(33, {"b"}), rule_for_user(34, {"a"})});
  EXPECT_TRUE(list.trusts(principal(33)));
  EXPECT_TRUE(list.trusts(principal(34, {7})));
  EXPECT_FALSE(list.trusts(principal(34)));
  EXPECT_FALSE(list.trusts(principal(0))) << "root is nobody in particular";
  list.replace({rule_for_user(33, {"a"})});
  EXPECT_FALSE(list.trusts(principal(33)));
}

TEST(AccessList, OtherRulesTakeThePlaceOfAllThatWereThere) {
  AccessList list({rule_for_user(33, {"a"})});
  list.replace({rule_for_user(34, {"b"})});
  EXPECT_FALSE(list.knows(principal(33)));
  EXPECT_TRUE(list.may_produce(principal(34), "b"));
}

TEST(AccessList, RuleForAnUnknownUserMatchesNobody) {
  config::Allow unknown;
  unknown.produce = {"*"};
  const AccessList list({unknown});
  EXPECT_FALSE(list.may_produce(principal(0), "a"));
  EXPECT_FALSE(list.knows(principal(0)));
}

}  // namespace
}  // namespace kfast::daemon::policy
