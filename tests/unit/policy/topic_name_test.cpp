#include "policy/topic_name.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::policy {
namespace {

TEST(TopicName, LegalOnesPass) {
  for (const char* name : {"a", "orders", "logs.web-1_x", "...", "A9"}) {
    EXPECT_EQ(illegal_topic_name(name), std::nullopt) << name;
  }
  EXPECT_EQ(illegal_topic_name(std::string(249, 'x')), std::nullopt);
}

TEST(TopicName, IllegalOnesSayWhy) {
  EXPECT_EQ(illegal_topic_name(""), "the topic's name is empty");
  EXPECT_EQ(illegal_topic_name(std::string(250, 'x')),
            "the topic's name has 250 bytes; Kafka allows 249");
  EXPECT_EQ(illegal_topic_name("."), "'.' is not a topic's name in Kafka; choose another");
  EXPECT_NE(illegal_topic_name(".."), std::nullopt);
  EXPECT_EQ(illegal_topic_name("a b"),
            "the topic's name 'a b' has an illegal byte at 1; Kafka allows letters, digits, '.', "
            "'_' and '-'");
}

TEST(TopicName, UnprintableBytesDoNotReachTheMessage) {
  const auto why = illegal_topic_name(std::string_view("a\n\0\x1b\xff", 5));
  ASSERT_TRUE(why.has_value());
  EXPECT_NE(why->find("'a" + std::string(4, '?') + "'"), std::string::npos) << *why;
}

}  // namespace
}  // namespace kfast::daemon::policy
