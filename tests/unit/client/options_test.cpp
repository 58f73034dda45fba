#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "kfast/kfast.h"

namespace {

struct OptionsTest : testing::Test {
  ~OptionsTest() override { kfast_options_free(options); }
  int set(const char* name, const char* value) {
    why[0] = '\0';
    return kfast_options_set(options, name, value, why, sizeof why);
  }
  kfast_options_t* options = kfast_options_new();
  char why[512] = "";
};

TEST_F(OptionsTest, TakesEveryDocumentedName) {
  EXPECT_EQ(set("profile", "bulk"), KFAST_OK);
  EXPECT_EQ(set("socket.dir", "/run/elsewhere"), KFAST_OK);
  EXPECT_EQ(set("ring.bytes", "8m"), KFAST_OK);
  EXPECT_EQ(set("report.bytes", "64k"), KFAST_OK);
  EXPECT_EQ(set("topics", "32768"), KFAST_OK);
  EXPECT_EQ(set("reports", "errors"), KFAST_OK);
  EXPECT_EQ(set("thread.safe", "true"), KFAST_OK);
  EXPECT_EQ(set("thread.safe", "false"), KFAST_OK);
  EXPECT_EQ(set("program", "shop"), KFAST_OK);
  EXPECT_EQ(set("connect.timeout.ms", "100"), KFAST_OK);
}

TEST_F(OptionsTest, NamesTheNearestOfAnUnknownName) {
  EXPECT_EQ(set("ring.byte", "4m"), KFAST_ERR_UNKNOWN_OPTION);
  EXPECT_STREQ(why, "no option is called \"ring.byte\"; the nearest is \"ring.bytes\"");
  EXPECT_EQ(set("timeout.ms", "4"), KFAST_ERR_UNKNOWN_OPTION);
  EXPECT_NE(std::strstr(why, "\"connect.timeout.ms\""), nullptr) << why;
}

TEST_F(OptionsTest, TakesSizesWithSuffixes) {
  for (const char* good : {"4096", "4k", "4K", "1m", "1024k", "1g", "1G", "1073741824"}) {
    EXPECT_EQ(set("ring.bytes", good), KFAST_OK) << good;
  }
}

TEST_F(OptionsTest, RefusesSizesThatAreNoRing) {
  for (const char* bad : {"", "k", "4095", "2k", "3m", "2g", "4mb", "-4k", " 4k", "4 k", "0",
                          "99999999999999999999", "9223372036854775808g"}) {
    EXPECT_EQ(set("ring.bytes", bad), KFAST_ERR_INVALID) << bad;
    EXPECT_NE(std::strstr(why, "power of two"), nullptr) << why;
  }
}

TEST_F(OptionsTest, RefusesNumbersOutOfRange) {
  EXPECT_EQ(set("topics", "0"), KFAST_ERR_INVALID);
  EXPECT_EQ(set("topics", "32769"), KFAST_ERR_INVALID);
  EXPECT_STREQ(why, "topics: \"32769\" is not a number from 1 to 32768");
  EXPECT_EQ(set("topics", "1k"), KFAST_ERR_INVALID);
  EXPECT_EQ(set("connect.timeout.ms", "0"), KFAST_ERR_INVALID);
  EXPECT_EQ(set("reports", "some"), KFAST_ERR_INVALID);
  EXPECT_STREQ(why, "reports: \"some\" is not one of all, errors, none");
  EXPECT_EQ(set("thread.safe", "yes"), KFAST_ERR_INVALID);
  EXPECT_STREQ(why, "thread.safe: \"yes\" is not one of false, true");
}

TEST_F(OptionsTest, RefusesTextThatDoesNotFit) {
  EXPECT_EQ(set("profile", ""), KFAST_ERR_INVALID);
  EXPECT_EQ(set("profile", std::string(63, 'p').c_str()), KFAST_OK);
  EXPECT_EQ(set("profile", std::string(64, 'p').c_str()), KFAST_ERR_INVALID);
  EXPECT_EQ(set("socket.dir", std::string(200, 'd').c_str()), KFAST_ERR_INVALID);
  EXPECT_NE(std::strstr(why, "200 characters"), nullptr) << why;
}

TEST_F(OptionsTest, RefusesNullAndCutsTheSentence) {
  EXPECT_EQ(set(nullptr, "x"), KFAST_ERR_INVALID);
  EXPECT_EQ(set("profile", nullptr), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_options_set(nullptr, "profile", "x", nullptr, 0), KFAST_ERR_INVALID);
  char small[8] = "";
  EXPECT_EQ(kfast_options_set(options, "nope", "x", small, sizeof small), KFAST_ERR_UNKNOWN_OPTION);
  EXPECT_STREQ(small, "no opti");
}

}  // namespace
