#include "config/load.hpp"

#include <unistd.h>

#include "fixture.hpp"

namespace kfast::daemon::config {
namespace {

TEST(Load, WhatIsNotTomlIsAnErrorWithItsPlace) {
  for (const char* text : {"[[[", "[[", "[=", "[.a]", "[[a].b]", "=", "a", "a =", "\"", "[a"}) {
    EXPECT_TRUE(has(errors_of(text), "kfastd.toml:1:")) << text;
  }
}

TEST(Load, ReadsEverySectionOfAFile) {
  const auto loaded = load_text(R"(
[daemon]
socket_dir = "/tmp/kfast"
socket_mode = "0660"
log_level = "debug"
nap_us = 0
[clusters.main]
"bootstrap.servers" = "k1:9092,k2:9092"
[profiles.default]
cluster = "main"
"linger.ms" = 7
"enable.idempotence" = true
[[allow]]
uid = 33
produce = ["orders", "logs.*"]
consume = ["flags"]
groups = ["edge-*"]
[limits.default]
sessions = 3
[limits.www-data]
channels = 9
)",
                                "kfastd.toml", ".");
  ASSERT_TRUE(loaded.ok()) << all_errors(loaded);
  const Config& config = loaded->config;
  EXPECT_EQ(config.daemon.socket_dir, "/tmp/kfast");
  EXPECT_EQ(config.daemon.socket_mode, 0660U);
  EXPECT_EQ(config.daemon.log_level, "debug");
  EXPECT_EQ(config.daemon.nap_us, 0U);
  EXPECT_EQ(config.daemon.drain_timeout_ms, 10'000U);
  EXPECT_EQ(config.clusters.at("main").properties.at(0).value, "k1:9092,k2:9092");
  const Profile& profile = config.profiles.at("default");
  EXPECT_EQ(profile.cluster, "main");
  ASSERT_EQ(profile.properties.size(), 2U);
  EXPECT_EQ(profile.properties[0].name, "linger.ms");
  EXPECT_EQ(profile.properties[0].value, "7");
  EXPECT_EQ(profile.properties[1].value, "true");
  ASSERT_EQ(config.allow.size(), 1U);
  EXPECT_EQ(config.allow[0].uid, 33U);
  EXPECT_EQ(config.allow[0].produce, (std::vector<std::string>{"orders", "logs.*"}));
  EXPECT_EQ(config.allow[0].groups, std::vector<std::string>{"edge-*"});
}

TEST(Load, LimitsOfAUserInheritFromDefaultAndOthersGetDefault) {
  const auto loaded = load_text(
      file_with("", "",
                allow_root + "[limits.www-data]\nchannels = 9\n[limits.default]\nsessions = 3\n"),
      "kfastd.toml", ".");
  ASSERT_TRUE(loaded.ok()) << all_errors(loaded);
  EXPECT_EQ(limits_for(loaded->config, "www-data").channels, 9U);
  EXPECT_EQ(limits_for(loaded->config, "www-data").sessions, 3U);
  EXPECT_EQ(limits_for(loaded->config, "somebody").sessions, 3U);
  EXPECT_EQ(loaded->config.limits.at("total").sessions, default_total_limits().sessions);
}

TEST(Load, PropertiesKeepTheOrderOfTheFile) {
  const auto loaded =
      load_text(file_with("", "\"retry.backoff.ms\" = 9\n\"batch.size\" = 1000\nacks = \"all\"\n"),
                "kfastd.toml", ".");
  ASSERT_TRUE(loaded.ok()) << all_errors(loaded);
  const auto& properties = loaded->config.profiles.at("default").properties;
  ASSERT_EQ(properties.size(), 3U);
  EXPECT_EQ(properties[0].name, "retry.backoff.ms");
  EXPECT_EQ(properties[1].name, "batch.size");
  EXPECT_EQ(properties[2].name, "acks");
}

TEST(Load, UnquotedDottedKeysAreTheSameAsQuotedOnes) {
  const auto loaded = load_text(
      file_with("socket.keepalive.enable = true\n", "linger.ms = 8\nbatch.num.messages = 10\n"),
      "kfastd.toml", ".");
  ASSERT_TRUE(loaded.ok()) << all_errors(loaded);
  EXPECT_EQ(loaded->config.clusters.at("main").properties.at(1).name, "socket.keepalive.enable");
  EXPECT_EQ(loaded->config.profiles.at("default").properties.at(0).name, "linger.ms");
  EXPECT_EQ(loaded->config.profiles.at("default").properties.at(0).value, "8");
}

TEST(Load, UnknownKeyNamesTheNearestAndItsPlace) {
  const std::string errors = errors_of("[daemon]\nsocket_dri = \"/x\"\n" + file_with("", ""));
  EXPECT_TRUE(has(errors, "kfastd.toml:2:1: unknown key 'socket_dri' in [daemon]"));
  EXPECT_TRUE(has(errors, "did you mean 'socket_dir'?"));
}

TEST(Load, UnknownKeysOfEverySectionAreErrors) {
  EXPECT_TRUE(has(errors_of(file_with("", "", "[limits.default]\nsesions = 1\n")),
                  "did you mean 'sessions'?"));
  EXPECT_TRUE(has(errors_of(file_with("", "", "[[allow]]\nuid = 1\nprodce = [\"a\"]\n")),
                  "did you mean 'produce'?"));
  EXPECT_TRUE(has(errors_of("[cluster.main]\nx = 1\n"), "did you mean 'clusters'?"));
  EXPECT_TRUE(has(errors_of("socket_dir = \"/x\"\n"), "write [daemon] above it"));
}

TEST(Load, AKeyOfAHundredThousandPartsIsAnErrorAndNoCrash) {
  std::string key;
  for (int part = 0; part < 100'000; ++part) {
    key += "a.";
  }
  EXPECT_TRUE(has(errors_of("\n" + key + "b = 1\n"), "kfastd.toml:2:1: a key of 32 parts or more"));
  EXPECT_TRUE(has(errors_of("[" + key + "b]\n"), "kfastd.toml:1:1: a key of 32 parts or more"));
}

TEST(Load, DotsInTextAndCommentsAreNoPartsOfKeys) {
  const std::string dots(100, '.');
  EXPECT_EQ(errors_of("# " + dots + "\n" + file_with("\"client.id\" = \"\\\"" + dots + "\"\n", "")),
            "");
  EXPECT_EQ(errors_of(file_with("\"client.id\" = '" + dots + "'\n", "")), "");
}

TEST(Load, KeyThatIsNearNothingListsWhatIsKnown) {
  const std::string errors = errors_of("[daemon]\nzzzzzzzzzz = 1\n" + file_with("", ""));
  EXPECT_TRUE(has(errors, "known are: socket_dir"));
}

TEST(Load, WrongTypesAndRangesSayWhatIsExpected) {
  const auto daemon = [](const std::string& line) {
    return errors_of("[daemon]\n" + line + "\n" + file_with("", ""));
  };
  EXPECT_TRUE(has(daemon("nap_us = 20001"), "'nap_us' in [daemon] is an integer from 0 to 20000"));
  EXPECT_TRUE(has(daemon("nap_us = -1"), "not -1"));
  EXPECT_TRUE(has(daemon("nap_us = \"5\""), "is an integer from 0 to 20000, not this text"));
  EXPECT_TRUE(has(daemon("socket_dir = 5"), "is an absolute path, not 5"));
  EXPECT_TRUE(has(daemon("socket_dir = \"run\""), "is an absolute path"));
  EXPECT_TRUE(has(daemon("socket_mode = \"0999\""), "octal permissions"));
  EXPECT_TRUE(has(daemon("log_level = \"loud\""), "one of trace, debug, info"));
  EXPECT_TRUE(has(daemon("log_level = [\"info\"]"), "not a list"));
  EXPECT_TRUE(has(errors_of("daemon = 5\n"), "'daemon' is a table"));
}

TEST(Load, MoreThanOneShardIsRefusedWithWords) {
  EXPECT_TRUE(has(errors_of("[daemon]\nshards = 2\n" + file_with("", "")),
                  "this version of kfastd runs one shard (set it to 1 or take it out)"));
  EXPECT_TRUE(has(errors_of("[daemon]\nshards = 65\n" + file_with("", "")), "from 1 to 64"));
}

TEST(Load, AllErrorsAreReportedInTheOrderOfTheFile) {
  const auto loaded =
      load_text("[limits.default]\nsessions = 0\n[daemon]\nspin = 1\n" +
                    file_with("\"linger\" = 1\n", "\"linger.ms\" = \"soon\"\n", "[[allow]]\n"),
                "kfastd.toml", ".");
  ASSERT_FALSE(loaded.ok());
  const auto& errors = loaded.error();
  ASSERT_EQ(errors.size(), 5U) << all_errors(loaded);
  for (std::size_t i = 1; i < errors.size(); ++i) {
    EXPECT_LE(errors[i - 1].where.line, errors[i].where.line);
  }
}

TEST(Load, SyntaxErrorNamesItsPlaceAndNeverQuotesTheText) {
  const std::string errors = errors_of("[clusters.main]\n\"sasl.password\" = hunter2\n");
  EXPECT_TRUE(has(errors, "kfastd.toml:2:19"));
  EXPECT_TRUE(has(errors, "text needs quotes"));
  EXPECT_FALSE(has(errors, "hunter"));
  EXPECT_FALSE(has(errors_of("p = 99999999999999999999\n"), "9999"));
  EXPECT_TRUE(has(errors_of("a = 1\na = 2\n"), "keep one of the two"));
}

TEST(Load, MissingFileNamesItAndTheCure) {
  const std::string errors = all_errors(load("/nonexistent/kfastd.toml"));
  EXPECT_TRUE(has(errors, "/nonexistent/kfastd.toml: No such file or directory"));
  EXPECT_TRUE(has(errors, "--config"));
  EXPECT_TRUE(has(all_errors(load("/")), "not a regular file"));
}

TEST(Load, ProfileNeedsAClusterThatExists) {
  EXPECT_TRUE(has(errors_of(cluster_main + "[profiles.p]\nacks = \"all\"\n"),
                  "profile 'p' does not say its cluster (add cluster = \"main\")"));
  const std::string unknown = errors_of(cluster_main + "[profiles.p]\ncluster = \"mian\"\n");
  EXPECT_TRUE(has(unknown, "profile 'p' is on the unknown cluster 'mian'"));
  EXPECT_TRUE(has(unknown, "did you mean 'main'?"));
  EXPECT_TRUE(has(errors_of(cluster_main + "[profiles.p]\ncluster = 5\n"), "is a string"));
}

TEST(Load, ClusterNeedsItsBrokers) {
  EXPECT_TRUE(has(errors_of("[clusters.main]\n" + profile_default),
                  "cluster 'main' does not say its brokers"));
  EXPECT_TRUE(has(errors_of(file_with("", "\"bootstrap.servers\" = \"k:1\"\n")),
                  "'bootstrap.servers' belongs to a cluster"));
}

TEST(Load, FileWithoutClusterOrProfileIsRefused) {
  const std::string errors = errors_of("[daemon]\n");
  EXPECT_TRUE(has(errors, "there is no cluster"));
  EXPECT_TRUE(has(errors, "there is no profile"));
}

TEST(Load, SectionsWithoutANameSayHowToNameThem) {
  EXPECT_TRUE(has(errors_of("[clusters]\n\"bootstrap.servers\" = \"k:1\"\n"), "[clusters.main]"));
  EXPECT_TRUE(has(errors_of(file_with("", "", "[limits]\nsessions = 5\n")),
                  "write [limits.default] above it"));
}

TEST(Load, AllowIsForExactlyOnePrincipal) {
  EXPECT_TRUE(has(errors_of(file_with("", "", "[[allow]]\nproduce = [\"a\"]\n")),
                  "does not say whom it is for"));
  EXPECT_TRUE(has(errors_of(file_with("", "", "[[allow]]\nuid = 1\nuser = \"root\"\n")),
                  "more than one of user, uid, group"));
  EXPECT_TRUE(has(errors_of(file_with("", "", "[allow]\nuid = 1\n")), "two brackets"));
}

TEST(Load, NobodyIsTrustedWhoIsNotSaidToBe) {
  const auto loaded =
      load_text(file_with("", "",
                          "[[allow]]\nuid = 1\nproduce = [\"a\"]\n"
                          "[[allow]]\nuid = 2\nproduce = [\"a\"]\ntrusted = true\n"
                          "[[allow]]\nuid = 3\nproduce = [\"a\"]\ntrusted = false\n"),
                "kfastd.toml", ".");
  ASSERT_TRUE(loaded.ok()) << all_errors(loaded);
  EXPECT_FALSE(loaded->config.allow[0].trusted);
  EXPECT_TRUE(loaded->config.allow[1].trusted);
  EXPECT_FALSE(loaded->config.allow[2].trusted);
  EXPECT_TRUE(has(errors_of(file_with("", "", "[[allow]]\nuid = 1\ntrusted = \"yes\"\n")),
                  "true or false"));
}

TEST(Load, AllowResolvesUsersAndGroupsAndWarnsOfUnknownOnes) {
  const auto loaded =
      load_text(file_with("", "",
                          "[[allow]]\nuser = \"root\"\nproduce = [\"a\"]\n"
                          "[[allow]]\ngroup = \"root\"\nproduce = [\"a\"]\n"
                          "[[allow]]\nuser = \"no-such-user\"\nproduce = [\"a\"]\n"),
                "kfastd.toml", ".");
  ASSERT_TRUE(loaded.ok()) << all_errors(loaded);
  EXPECT_EQ(loaded->config.allow[0].uid, 0U);
  EXPECT_EQ(loaded->config.allow[1].gid, 0U);
  EXPECT_FALSE(loaded->config.allow[2].uid.has_value());
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_TRUE(has(to_text(loaded->warnings[0]), "knows no user 'no-such-user'"));
}

TEST(Load, AllowRefusesNobodyAndPatternsThatMatchNoTopic) {
  EXPECT_TRUE(has(errors_of(file_with("", "", "[[allow]]\nuid = 65534\nproduce = [\"a\"]\n")),
                  "strangers of other namespaces"));
  EXPECT_TRUE(has(errors_of(file_with("", "", "[[allow]]\nuid = 1\nproduce = [\"a b\"]\n")),
                  "'a b' in [[allow]] can match no topic"));
  EXPECT_TRUE(has(errors_of(file_with("", "", "[[allow]]\nuid = 1\nproduce = \"a\"\n")),
                  "a list of names"));
  EXPECT_TRUE(
      has(errors_of(file_with("", "", "[[allow]]\nuid = 1\nproduce = [5]\n")), "quote each name"));
  EXPECT_EQ(errors_of(file_with("", "", "[[allow]]\nuid = 1\ngroups = [\"a b\"]\n")), "");
}

TEST(Load, FileThatAllowsNothingIsNamed) {
  EXPECT_TRUE(has(warnings_of(file_with("", "", "")), "nobody may do anything"));
  EXPECT_TRUE(has(warnings_of(file_with("", "", "[[allow]]\nuid = 1\n")), "allows nothing"));
}

TEST(DevConfig, AllowsEverythingToTheOwnUserOnly) {
  const Config config = dev_config("127.0.0.1:1", "/tmp/kfast-dev");
  EXPECT_EQ(config.daemon.socket_dir, "/tmp/kfast-dev");
  EXPECT_EQ(config.clusters.at("main").properties.at(0).value, "127.0.0.1:1");
  EXPECT_EQ(config.profiles.at("default").cluster, "main");
  ASSERT_EQ(config.allow.size(), 1U);
  EXPECT_EQ(config.allow[0].uid, ::geteuid());
  EXPECT_EQ(config.allow[0].produce, std::vector<std::string>{"*"});
  EXPECT_TRUE(config.limits.contains("default"));
}

}  // namespace
}  // namespace kfast::daemon::config
