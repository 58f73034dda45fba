#include "config/check.hpp"

#include <sstream>

#include "fixture.hpp"

namespace kfast::daemon::config {
namespace {

struct Checked {
  int code;
  std::string output;
};

Checked check(const std::string& text) {
  const TemporaryDirectory directory;
  std::ostringstream out;
  const int code = check_config(directory.write("kfastd.toml", text), out);
  return {code, out.str()};
}

TEST(CheckConfig, PrintsWhatTheDaemonWouldRunWithAndItsOrigin) {
  const Checked checked = check(file_with("", "\"linger.ms\" = 20\n"));
  EXPECT_EQ(checked.code, 0);
  EXPECT_TRUE(has(checked.output, "socket_dir = \"/run/kfast\""));
  EXPECT_TRUE(has(checked.output, "linger.ms = 20  (profiles.default)"));
  EXPECT_TRUE(has(checked.output, "bootstrap.servers = k1:9092  (clusters.main)"));
  EXPECT_TRUE(has(checked.output, "acks = all  (default)"));
  EXPECT_TRUE(has(checked.output, "allowed to uid 0:"));
  EXPECT_TRUE(has(checked.output, "ok, 0 warning(s)"));
}

TEST(CheckConfig, SaysWhoIsTrusted) {
  EXPECT_FALSE(has(check(file_with("", "", allow_root)).output, "trusted"));
  EXPECT_TRUE(has(check(file_with("", "", allow_root + "trusted = true\n")).output, "trusted"));
}

TEST(CheckConfig, PrintsSecretsAsStars) {
  const Checked checked =
      check(file_with("\"sasl.password\" = \"hunter2\"\n\"sasl.username\" = \"joe\"\n", ""));
  EXPECT_EQ(checked.code, 0);
  EXPECT_TRUE(has(checked.output, "sasl.password = ***"));
  EXPECT_FALSE(has(checked.output, "hunter2"));
}

TEST(CheckConfig, NamesWeakenedPromisesAndSucceeds) {
  const Checked checked = check(file_with("", "acks = 0\n"));
  EXPECT_EQ(checked.code, 0);
  EXPECT_TRUE(has(checked.output, "warning: "));
  EXPECT_TRUE(has(checked.output, "weakens the promise \"the brokers are away"));
  EXPECT_TRUE(has(checked.output, "enable.idempotence = false"));
}

TEST(CheckConfig, FailsWithEveryError) {
  const Checked checked = check("[daemon]\nx = 1\n" + file_with("", "\"linger.ms\" = \"a\"\n"));
  EXPECT_EQ(checked.code, 1);
  EXPECT_TRUE(has(checked.output, "2 error(s); kfastd would not start"));
}

TEST(CheckConfig, FindsWhatOnlyAProducerFinds) {
  const Checked checked = check(file_with(
      "\"security.protocol\" = \"ssl\"\n\"ssl.ca.location\" = \"/nonexistent/ca.pem\"\n", ""));
  EXPECT_EQ(checked.code, 1);
  EXPECT_TRUE(has(checked.output, "librdkafka makes no producer of profile 'default'"));
}

}  // namespace
}  // namespace kfast::daemon::config
