#include "config/secrets.hpp"

#include <cstdlib>
#include <filesystem>

#include "fixture.hpp"

namespace kfast::daemon::config {
namespace {

std::string password_of(const LoadResult& loaded) {
  if (!loaded.ok()) {
    ADD_FAILURE() << all_errors(loaded);
    return "";
  }
  const Property& property = loaded->config.clusters.at("main").properties.at(1);
  EXPECT_TRUE(property.secret);
  EXPECT_EQ(property.shown(), "***");
  return property.value;
}

LoadResult load_password(const std::string& value, const std::string& directory = ".") {
  return load_text(file_with("\"sasl.password\" = " + value + "\n", ""), "kfastd.toml", directory);
}

TEST(Secrets, ComeFromAFileWithoutItsLineEnd) {
  const TemporaryDirectory directory;
  const std::string file = directory.write("password", "hunter2\n");
  EXPECT_EQ(password_of(load_password("{ file = \"" + file + "\" }")), "hunter2");
  EXPECT_EQ(password_of(load_password("{ file = \"password\" }", directory.path())), "hunter2");
}

TEST(Secrets, ComeFromTheEnvironmentAndFromCredentials) {
  const TemporaryDirectory directory;
  EXPECT_EQ(directory.write("kafka", "s3cret"), directory.path() + "/kafka");
  ::setenv("KFAST_TEST_SECRET", "hunter3", 1);
  ::setenv("CREDENTIALS_DIRECTORY", directory.path().c_str(), 1);
  EXPECT_EQ(password_of(load_password("{ env = \"KFAST_TEST_SECRET\" }")), "hunter3");
  EXPECT_EQ(password_of(load_password("{ credential = \"kafka\" }")), "s3cret");
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_TRUE(
      has(all_errors(load_password("{ credential = \"kafka\" }")), "LoadCredential=kafka:/path"));
  EXPECT_TRUE(has(all_errors(load_password("{ credential = \"../kafka\" }")), "without a path"));
}

TEST(Secrets, ThatCannotBeReadSayWhy) {
  const TemporaryDirectory directory;
  const std::string empty = directory.write("empty", "\n");
  EXPECT_TRUE(has(all_errors(load_password("{ file = \"/nonexistent/p\" }")),
                  "'sasl.password': the secret cannot be read: /nonexistent/p: No such file"));
  EXPECT_TRUE(has(all_errors(load_password("{ file = \"" + empty + "\" }")), "is empty"));
  EXPECT_TRUE(has(all_errors(load_password("{ env = \"KFAST_TEST_NOT_SET\" }")),
                  "the environment variable KFAST_TEST_NOT_SET is not set"));
  EXPECT_TRUE(has(all_errors(load_password("{ fiel = \"/p\" }")), "did you mean 'file'?"));
  EXPECT_TRUE(has(all_errors(load_password("{ file = \"a\", env = \"b\" }")), "exactly one of"));
  EXPECT_TRUE(has(all_errors(load_password("{ file = 5 }")), "is a string"));
}

TEST(Secrets, ReadableByEverybodyAreNamed) {
  const TemporaryDirectory directory;
  const std::string file = directory.write("password", "hunter2\n");
  std::filesystem::permissions(file, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  const std::string warnings =
      warnings_of(file_with("\"sasl.password\" = { file = \"" + file + "\" }\n", ""));
  EXPECT_TRUE(has(warnings, "every user of this machine can read the secret in " + file));
}

TEST(Secrets, WrittenIntoAReadableConfigurationAreNamed) {
  const TemporaryDirectory directory;
  const std::string file =
      directory.write("kfastd.toml", file_with("\"sasl.password\" = \"hunter2\"\n", ""));
  auto loaded = load(file);
  ASSERT_TRUE(loaded.ok()) << all_errors(loaded);
  EXPECT_TRUE(loaded->warnings.empty());
  std::filesystem::permissions(file, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  loaded = load(file);
  ASSERT_TRUE(loaded.ok());
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_TRUE(has(to_text(loaded->warnings[0]), "can read 'sasl.password' in this file"));
}

TEST(Secrets, AreNeverInAnErrorEvenWhereLibrdkafkaQuotesThem) {
  ::setenv("KFAST_TEST_SECRET", "hunter2", 1);
  const std::string errors =
      errors_of(file_with("", "\"linger.ms\" = { env = \"KFAST_TEST_SECRET\" }\n"));
  EXPECT_TRUE(has(errors, "librdkafka refuses 'linger.ms'"));
  EXPECT_FALSE(has(errors, "hunter2"));
}

}  // namespace
}  // namespace kfast::daemon::config
