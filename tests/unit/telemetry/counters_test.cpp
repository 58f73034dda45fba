#include "telemetry/counters.hpp"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <string>

#include "telemetry/reference.hpp"

namespace kfast::daemon::telemetry {
namespace {

using ipc::stats::Descriptor;
using ipc::stats::Kind;

TEST(Counters, FollowPrometheusNamingAndFitTheDescriptor) {
  const std::regex name_rule("kfast(_[a-z]+)+");
  for (const ScopeDeclaration& scope : scopes()) {
    for (const CounterDeclaration& counter : scope.counters) {
      const std::string name = counter.name;
      EXPECT_TRUE(std::regex_match(name, name_rule)) << name;
      EXPECT_EQ(name.ends_with("_total"), counter.kind == Kind::counter) << name;
      EXPECT_LT(name.size(), sizeof Descriptor::name) << name;
      EXPECT_LT(std::string(counter.label).size(), sizeof Descriptor::label) << name;
      EXPECT_LT(std::string(counter.label_value).size(), sizeof Descriptor::label_value) << name;
      EXPECT_LT(std::string(counter.unit).size(), sizeof Descriptor::unit) << name;
      EXPECT_LT(std::string(counter.help).size(), sizeof Descriptor::help) << name;
      EXPECT_FALSE(std::string(counter.help).empty()) << name;
    }
  }
}

TEST(Counters, AFamilyLivesInOneScopeAndItsMembersDiffer) {
  std::map<std::string, std::string> scope_of;
  std::set<std::string> members;
  for (const ScopeDeclaration& scope : scopes()) {
    for (const CounterDeclaration& counter : scope.counters) {
      EXPECT_EQ(scope_of.emplace(counter.name, scope.name).first->second, scope.name)
          << counter.name;
      EXPECT_TRUE(members.insert(std::string(counter.name) + counter.label_value).second)
          << counter.name << " " << counter.label_value;
    }
  }
}

TEST(Counters, EveryFailureReasonHasItsCounter) {
  for (std::uint32_t at = 0; at <= static_cast<std::uint32_t>(FailureReason::other); ++at) {
    const auto reason = static_cast<FailureReason>(at);
    const auto index = static_cast<std::uint32_t>(discarded(reason));
    const CounterDeclaration& counter =
        scopes()[static_cast<std::uint32_t>(Scope::topic)].counters[index];
    EXPECT_STREQ(counter.name, "kfast_discarded_messages_total");
    EXPECT_STREQ(counter.label_value, to_string(reason));
  }
}

TEST(Counters, AChannelOrPidIsNeverALabelOfWhatPrometheusSees) {
  for (const ScopeDeclaration& scope : scopes()) {
    for (const TextDeclaration& text : scope.texts) {
      const std::string name = text.name;
      if (name == "pid" || name == "channel") {
        EXPECT_FALSE(scope.keeps_totals) << scope.name;
      }
    }
  }
}

TEST(MetricsReference, NamesEveryCounterWithItsMeaning) {
  const std::string page = metrics_reference();
  for (const ScopeDeclaration& scope : scopes()) {
    EXPECT_NE(page.find(std::string("\n## ") + scope.name + "\n"), std::string::npos);
    for (const CounterDeclaration& counter : scope.counters) {
      EXPECT_NE(page.find(std::string("`") + counter.name), std::string::npos) << counter.name;
      EXPECT_NE(page.find(std::string("| ") + counter.help + " |\n"), std::string::npos)
          << counter.name;
    }
  }
}

}  // namespace
}  // namespace kfast::daemon::telemetry
