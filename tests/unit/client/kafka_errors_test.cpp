#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <set>
#include <string>

#include "kfast/kfast.h"

extern "C" int kfast_header_in_c(void);
bool kfast_header_without_exceptions();

namespace {

TEST(KafkaErrors, AreNamedAsLibrdkafkaNamesThem) {
  const rd_kafka_err_desc* descriptions = nullptr;
  std::size_t count = 0;
  rd_kafka_get_err_descs(&descriptions, &count);
  std::size_t compared = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (descriptions[i].name != nullptr && descriptions[i].desc != nullptr) {
      EXPECT_STREQ(kfast_kafka_error(descriptions[i].code), descriptions[i].name)
          << descriptions[i].code;
      ++compared;
    }
  }
  EXPECT_GT(compared, 150U);
}

TEST(KafkaErrors, AnUnknownNumberHasANameToo) {
  EXPECT_STREQ(kfast_kafka_error(32000), "UNNAMED_ERROR");
  EXPECT_STREQ(kfast_kafka_error(-32000), "UNNAMED_ERROR");
}

TEST(Strerror, HasASentenceOfItsOwnForEveryCode) {
  std::set<std::string> sentences;
  for (int code = KFAST_ERR_CLOSED; code <= KFAST_OK; ++code) {
    sentences.insert(kfast_strerror(code));
  }
  EXPECT_EQ(sentences.size(), static_cast<std::size_t>(KFAST_OK - KFAST_ERR_CLOSED) + 1);
  EXPECT_FALSE(sentences.contains("not an error code of kfast"));
  EXPECT_STREQ(kfast_strerror(1), "not an error code of kfast");
  EXPECT_STREQ(kfast_strerror(KFAST_ERR_CLOSED - 1), "not an error code of kfast");
}

TEST(Headers, CompileAsStrictC11AndWithoutExceptions) {
  EXPECT_TRUE(kfast_header_in_c());
  EXPECT_TRUE(kfast_header_without_exceptions());
  EXPECT_STREQ(kfast_version(), KFAST_VERSION);
}

}  // namespace
