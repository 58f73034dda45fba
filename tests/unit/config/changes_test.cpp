#include "config/changes.hpp"

#include <gtest/gtest.h>

#include <string>

#include "fixture.hpp"

namespace kfast::daemon::config {
namespace {

using Names = std::vector<std::string>;

Config read(const std::string& text) {
  auto loaded = load_text(text, "kfastd.toml", ".");
  EXPECT_TRUE(loaded.ok()) << all_errors(loaded);
  return loaded->config;
}

TEST(Changes, TheSameFileChangesNothing) {
  const Config config = read(file_with("", "\"linger.ms\" = 1\n"));
  const Changes changes = changes_between(config, config);
  EXPECT_EQ(changes.need_restart, Names{});
  EXPECT_TRUE(changes.profiles.empty());
}

TEST(Changes, RulesLimitsLogLevelAndDrainTimeNeedNoRestart) {
  const Changes changes = changes_between(
      read(file_with("", "")),
      read("[daemon]\nlog_level = \"debug\"\ndrain_timeout_ms = 1\n" +
           file_with("", "",
                     "[[allow]]\nuid = 1\nproduce = [\"a\"]\n[limits.default]\nchannels = 1\n")));
  EXPECT_EQ(changes.need_restart, Names{});
  EXPECT_TRUE(changes.profiles.empty());
}

TEST(Changes, WhatASocketIsOnlyAStartChanges) {
  const Changes changes = changes_between(
      read(file_with("", "")),
      read("[daemon]\nsocket_dir = \"/elsewhere\"\nnap_us = 1\n" + file_with("", "")));
  EXPECT_EQ(changes.need_restart, (Names{"daemon.socket_dir", "daemon.nap_us"}));
}

TEST(Changes, ProfilesThatComeOrGoNeedARestart) {
  const std::string other = "[profiles.other]\ncluster = \"main\"\n";
  const Config one = read(file_with("", ""));
  const Config two = read(file_with("", "", other + allow_root));
  EXPECT_EQ(changes_between(one, two).need_restart, Names{"profiles.other"});
  EXPECT_EQ(changes_between(two, one).need_restart, Names{"profiles.other"});
}

TEST(Changes, AProfileWithOtherPropertiesIsNamedAsItShallBe) {
  const std::string other = "[profiles.other]\ncluster = \"main\"\n";
  const Changes changes =
      changes_between(read(file_with("", "\"linger.ms\" = 1\n", other + allow_root)),
                      read(file_with("", "\"linger.ms\" = 2\n", other + allow_root)));
  ASSERT_EQ(changes.profiles.size(), 1U);
  EXPECT_EQ(changes.profiles[0].profile.name, "default");
  EXPECT_EQ(changes.profiles[0].profile.properties[0].value, "2");
}

TEST(Changes, AClustersPropertiesAreThoseOfAllItsProfiles) {
  const std::string other = "[profiles.other]\ncluster = \"main\"\n";
  const Changes changes =
      changes_between(read(file_with("", "", other + allow_root)),
                      read(file_with("\"client.id\" = \"x\"\n", "", other + allow_root)));
  EXPECT_EQ(changes.need_restart, Names{});
  EXPECT_EQ(changes.profiles.size(), 2U);
}

Changes between(const std::string& cluster, const std::string& next) {
  return changes_between(read(file_with(cluster, "")), read(file_with(next, "")));
}

TEST(Changes, OnlyAPasswordIsApart) {
  const std::string user = "\"sasl.username\" = \"u\"\n";
  const Changes changes = between(user + "\"sasl.password\" = \"a\"\n",  //
                                  user + "\"sasl.password\" = \"b\"\n");
  EXPECT_TRUE(changes.profiles.empty());
  ASSERT_EQ(changes.passwords.size(), 1U);
  EXPECT_EQ(changes.passwords[0].cluster.properties.back().value, "b");
}

TEST(Changes, APasswordWithAnotherUserOrAnotherPropertyIsAnotherProducer) {
  const std::string password = "\"sasl.password\" = \"a\"\n";
  const std::string next = "\"sasl.password\" = \"b\"\n";
  for (const char* const other : {"\"sasl.username\" = \"v\"\n", "\"client.id\" = \"v\"\n"}) {
    const Changes changes = between(password, next + other);
    EXPECT_EQ(changes.profiles.size(), 1U);
    EXPECT_TRUE(changes.passwords.empty());
  }
}

}  // namespace
}  // namespace kfast::daemon::config
