#include "policy/judge.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::policy {
namespace {

Evidence of(uid_t uid) {
  Evidence evidence;
  evidence.uid = uid;
  evidence.gid = uid;
  evidence.now = ProcessStatus{uid, 1};
  evidence.our_user_namespace = true;
  return evidence;
}

std::string refusal(const Evidence& evidence) {
  const auto principal = judge(evidence);
  return principal.ok() ? "" : principal.error();
}

TEST(Judge, OrdinaryWorkerIsItsUserWithAllItsGroupsOnce) {
  Evidence evidence = of(33);
  evidence.groups = {7, 5, 33, 7};
  const auto principal = judge(evidence);
  ASSERT_TRUE(principal.ok()) << principal.error();
  EXPECT_EQ(principal->uid, 33U);
  EXPECT_EQ(principal->gids, (std::vector<gid_t>{5, 7, 33}));
}

TEST(Judge, OverflowUidsAreNobodys) {
  EXPECT_NE(refusal(of(65534)), "");
  EXPECT_NE(refusal(of(static_cast<uid_t>(-1))), "");
  Evidence configured = of(99);
  configured.overflow_uid = 99;
  EXPECT_NE(refusal(configured).find("uid 99 is nobody's"), std::string::npos);
}

TEST(Judge, OverflowGroupsAreDropped) {
  Evidence evidence = of(33);
  evidence.groups = {65534, 99};
  evidence.overflow_gid = 99;
  EXPECT_EQ(judge(evidence)->gids, std::vector<gid_t>{33});
}

TEST(Judge, ChangeOfUserAfterConnectingIsRefused) {
  Evidence evidence = of(0);
  evidence.now.effective_uid = 33;
  EXPECT_NE(refusal(evidence).find("connected as uid 0 and is uid 33 now"), std::string::npos);
}

TEST(Judge, RootIsRootInOurNamespacesOnly) {
  EXPECT_EQ(refusal(of(0)), "");
  Evidence user_namespace = of(0);
  user_namespace.our_user_namespace = false;
  EXPECT_NE(refusal(user_namespace).find("is not root here"), std::string::npos);
  Evidence pid_namespace = of(0);
  pid_namespace.now.pid_namespaces = 2;
  EXPECT_NE(refusal(pid_namespace).find("is not root here"), std::string::npos);
}

TEST(Judge, GroupRootOfAnotherNamespaceIsDropped) {
  Evidence evidence = of(33);
  evidence.gid = 0;
  evidence.groups = {0, 5};
  EXPECT_EQ(judge(evidence)->gids, (std::vector<gid_t>{0, 5}));
  evidence.now.pid_namespaces = 2;
  EXPECT_EQ(judge(evidence)->gids, std::vector<gid_t>{5});
}

}  // namespace
}  // namespace kfast::daemon::policy
