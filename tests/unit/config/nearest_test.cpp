#include "config/nearest.hpp"

#include <gtest/gtest.h>

namespace kfast::daemon::config {
namespace {

TEST(Nearest, CountsEdits) {
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", "abc"), 0U);
  EXPECT_EQ(edit_distance("abc", "acb"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
}

TEST(Nearest, FindsTheClosestAndNothingFarAway) {
  const std::vector<std::string_view> known{"sessions", "channels", "topics"};
  EXPECT_EQ(nearest("chanels", known), "channels");
  EXPECT_EQ(nearest("topic", known), "topics");
  EXPECT_EQ(nearest("bananas-and-more", known), std::nullopt);
  EXPECT_EQ(nearest(std::string(100'000, 'x'), known), std::nullopt);
}

}  // namespace
}  // namespace kfast::daemon::config
