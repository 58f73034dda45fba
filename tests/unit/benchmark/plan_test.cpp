#include "benchmark/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

namespace kfast::bench {
namespace {

Options options() {
  return {};
}
Options quick() {
  Options options;
  options.quick = true;
  return options;
}
Options only(const std::string& title) {
  Options options;
  options.only = title;
  return options;
}

bool has(const Case& c, Variant variant) {
  return std::find(c.variants.begin(), c.variants.end(), variant) != c.variants.end();
}

std::set<std::string> titles(const Options& options) {
  std::set<std::string> all;
  for (const Case& c : plan(options)) {
    all.insert(c.title);
  }
  return all;
}

TEST(Plan, EachCaseHasATitleOfItsOwn) {
  EXPECT_EQ(titles(options()).size(), plan(options()).size());
}

TEST(Plan, EachCaseComparesACopyAndARecordMadeInPlaceWithLibrdkafka) {
  for (const Case& c : plan(options())) {
    EXPECT_TRUE(has(c, c.task.headers ? Variant::send_record : Variant::send)) << c.title;
    EXPECT_TRUE(has(c, Variant::reserve)) << c.title;
    EXPECT_TRUE(has(c, c.task.headers ? Variant::produceva : Variant::produce)) << c.title;
  }
}

TEST(Plan, HasBothSizesFloodingAndAtEachRate) {
  const std::set<std::string> all = titles(options());
  for (const std::string size : {"100 B", "1 KiB"}) {
    for (const std::string how :
         {", flooding", ", paced 1 k/s", ", paced 20 k/s", ", paced 100 k/s"}) {
      EXPECT_TRUE(all.count(size + how)) << size << how;
    }
  }
}

TEST(Plan, HasKeysAndHeadersFloodingAndPaced) {
  const std::set<std::string> all = titles(options());
  for (const std::string with : {"100 B, key", "100 B, 2 headers"}) {
    EXPECT_TRUE(all.count(with + ", flooding")) << with;
    EXPECT_TRUE(all.count(with + ", paced 20 k/s")) << with;
  }
}

TEST(Plan, TheFloorIsMeasuredWhereAGoalIsAboutIt) {
  for (const Case& c : plan(options())) {
    const bool plain_flood = c.task.rate == 0 && !c.task.keys && !c.task.headers && !c.task.made;
    EXPECT_EQ(has(c, Variant::ring), plain_flood) << c.title;
  }
}

TEST(Plan, OnlyTakesTheCasesWhoseTitleContainsIt) {
  EXPECT_EQ(titles(only("1 KiB, paced 1 k/s")), std::set<std::string>{"1 KiB, paced 1 k/s"});
  EXPECT_TRUE(plan(only("no such case")).empty());
}

TEST(Plan, WithTakesOneWayOfSendingAndTheCasesThatHaveIt) {
  Options one = options();
  one.with = "rd_kafka_produce_batch";
  EXPECT_FALSE(plan(one).empty());
  for (const Case& c : plan(one)) {
    EXPECT_EQ(c.variants, std::vector<Variant>{Variant::produce_batch}) << c.title;
  }
}

TEST(Plan, QuickSaysOfEachRowOfTheTableThatItLeavesItOutOrHasIt) {
  std::set<std::pair<std::string, Variant>> measured;
  for (const Case& c : plan(quick())) {
    for (const Variant variant : c.variants) {
      measured.insert({c.title, variant});
    }
  }
  const std::vector<std::string> absent = left_out(quick());
  ASSERT_FALSE(measured.empty());
  ASSERT_FALSE(absent.empty());
  for (const Case& c : plan(options())) {
    const auto about_it = std::find_if(absent.begin(), absent.end(), [&](const std::string& text) {
      return text == c.title || text.rfind(c.title + " with ", 0) == 0;
    });
    for (const Variant variant : c.variants) {
      const bool named =
          about_it != absent.end() &&
          (*about_it == c.title ||
           (*about_it + ' ').find(std::string(" ") + name_of(variant) + ' ') != std::string::npos);
      EXPECT_NE(named, measured.count({c.title, variant}) == 1)
          << c.title << ' ' << name_of(variant);
    }
  }
}

TEST(Plan, QuickHasTheRowsOfEachKindOfGoal) {
  const std::vector<Case> cases = plan(quick());
  const auto any = [&](auto wanted) { return std::any_of(cases.begin(), cases.end(), wanted); };
  EXPECT_TRUE(any([](const Case& c) {
    return c.task.rate == 0 && has(c, Variant::ring) && has(c, Variant::send) &&
           has(c, Variant::produce);
  }));
  EXPECT_TRUE(any([](const Case& c) {
    return c.task.rate != 0 && has(c, Variant::send) && has(c, Variant::produce);
  }));
}

TEST(Plan, QuickSendsFewerRecords) {
  Options quick_one = only("100 B, flooding");
  quick_one.quick = true;
  EXPECT_LT(plan(quick_one).front().task.records,
            plan(only("100 B, flooding")).front().task.records);
}

TEST(Plan, QuickLeavesOutNothingOfACaseThatIsAskedFor) {
  Options one = only("1 KiB, paced 1 k/s");
  one.quick = true;
  ASSERT_EQ(plan(one).size(), 1U);
  EXPECT_EQ(plan(one).front().variants, plan(only("1 KiB, paced 1 k/s")).front().variants);
  EXPECT_TRUE(left_out(one).empty());
}

TEST(Plan, RowsAreMediansOfFiveRunsUnlessAskedOtherwise) {
  EXPECT_EQ(runs(options()), 5);
  Options seven = options();
  seven.runs = 7;
  EXPECT_EQ(runs(seven), 7);
}

}  // namespace
}  // namespace kfast::bench
