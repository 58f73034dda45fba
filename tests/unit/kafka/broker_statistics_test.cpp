// Reading librdkafka's statistics: a document of librdkafka 2.8.0's with two mock brokers.
#include "kafka/broker_statistics.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "kfastctl/brokers_output.hpp"
#include "kfastctl/snapshot.hpp"

namespace kfast::daemon::kafka {
namespace {

using telemetry::BrokerCounter;

std::string document() {
  std::ifstream file(KFAST_STATISTICS);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_GT(text.str().size(), 1000U);
  return text.str();
}

std::uint64_t value(const BrokerFigures& broker, BrokerCounter counter) {
  return broker.values.at(static_cast<std::size_t>(counter));
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(BrokerStatistics, TheFiguresOfEachBrokerAreThere) {
  const auto brokers = brokers_in(document());
  ASSERT_TRUE(brokers);
  ASSERT_EQ(brokers->size(), 2U);
  const BrokerFigures& second = brokers->front();
  EXPECT_EQ(second.name, "127.0.0.1:34891/2");
  EXPECT_EQ(second.state, "UP");
  EXPECT_EQ(value(second, BrokerCounter::up), 1U);
  EXPECT_EQ(value(second, BrokerCounter::rtt_p50), 77U);
  EXPECT_EQ(value(second, BrokerCounter::rtt_p99), 92U);
  EXPECT_EQ(value(brokers->back(), BrokerCounter::rtt_p99), 6911U);
  for (const BrokerFigures& broker : *brokers) {
    EXPECT_GT(value(broker, BrokerCounter::tx_bytes), 0U);
    EXPECT_GT(value(broker, BrokerCounter::rx_bytes), 0U);
    EXPECT_GE(value(broker, BrokerCounter::connects), 1U);
    EXPECT_EQ(value(broker, BrokerCounter::tx_errors), 0U);
  }
}

TEST(BrokerStatistics, WhatFollowsTheBrokersIsNotRead) {
  const std::string text = document();
  const auto topics = text.find("\"topics\":");
  ASSERT_NE(topics, std::string::npos);
  const auto brokers = brokers_in(text.substr(0, topics) + "\"topics\": this is no JSON");
  ASSERT_TRUE(brokers);
  EXPECT_EQ(brokers->size(), 2U);
}

TEST(BrokerStatistics, InternalAndLogicalBrokersAreNotShown) {
  for (const char* source : {"internal", "logical"}) {
    const auto brokers = brokers_in(replaced(document(), "\"source\":\"configured\"",
                                             std::string("\"source\":\"") + source + "\""));
    ASSERT_TRUE(brokers);
    EXPECT_EQ(brokers->size(), 1U) << source;
  }
}

TEST(BrokerStatistics, OddNumbersDoNoHarm) {
  const auto of = [](const std::string& number) {
    const auto brokers =
        brokers_in(R"({"brokers":{"b":{"state":"DOWN","outbuf_cnt":)" + number + "}}}");
    return brokers && brokers->size() == 1 ? value(brokers->front(), BrokerCounter::requests_queued)
                                           : UINT64_MAX;
  };
  EXPECT_EQ(of("7"), 7U);
  EXPECT_EQ(of("-1"), 0U);
  EXPECT_EQ(of("1.5"), 1U);
  EXPECT_EQ(of("-1e300"), 0U);
  EXPECT_EQ(of("1e300"), 0U);
  EXPECT_EQ(of("[1,{\"outbuf_cnt\":3}]"), 0U);
  EXPECT_EQ(of("null"), 0U);
  EXPECT_EQ(of("true"), 0U);
}

TEST(BrokerStatistics, WhatIsNoDocumentIsNothing) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("7"),
        std::string("{\"brokers\":{\"b\":{\"state\":"), document().substr(0, 500)}) {
    EXPECT_FALSE(brokers_in(text)) << text;
  }
  EXPECT_TRUE(brokers_in("{}"));
}

class ShownStatistics : public ::testing::Test {
 protected:
  [[nodiscard]] ctl::Snapshot snapshot() const {
    auto parsed = ctl::parse_snapshot(segment_->bytes(), true, ctl::boottime_ms());
    EXPECT_TRUE(parsed.snapshot) << parsed.error;
    return parsed.snapshot.value_or(ctl::Snapshot{});
  }
  [[nodiscard]] std::map<std::string, std::uint64_t> up() const {
    std::map<std::string, std::uint64_t> found;
    for (const ctl::Metric& metric : snapshot().metrics) {
      if (metric.name == "kfast_broker_up" && metric.labels.at(2).second != "(other)") {
        found[metric.labels.at(2).second] = metric.value;
      }
    }
    return found;
  }

  std::unique_ptr<telemetry::StatsSegment> segment_ =
      telemetry::StatsSegment::create({.version = "test"}).segment;
  BrokerStatistics statistics_{*segment_, "main", "default"};
};

TEST_F(ShownStatistics, ABrokerIsShownForAsLongAsItIsInTheDocument) {
  EXPECT_TRUE(up().empty());
  ASSERT_TRUE(statistics_.show(0, document()));
  EXPECT_EQ(up(), (std::map<std::string, std::uint64_t>{{"127.0.0.1:34891/2", 1},
                                                        {"127.0.0.1:38163/1", 1}}));
  EXPECT_FALSE(statistics_.show(0, "{"));
  EXPECT_EQ(up().size(), 2U);
  ASSERT_TRUE(statistics_.show(0, R"({"brokers":{"127.0.0.1:34891/2":{"state":"DOWN"}}})"));
  EXPECT_EQ(up(), (std::map<std::string, std::uint64_t>{{"127.0.0.1:34891/2", 0}}));
}

TEST(BrokerStatistics, SeveralProducersAreAddedUp) {
  auto one = brokers_in(
      R"({"brokers":{"k1/1":{"state":"UP","connects":1,"waitresp_cnt":2,"rtt":{"p99":7}}}})");
  auto other = brokers_in(
      R"({"brokers":{"k1/1":{"state":"DOWN","connects":3,"waitresp_cnt":4,"rtt":{"p99":5}}}})");
  ASSERT_TRUE(one && other);
  BrokerFigures& sum = one->front();
  add(sum, other->front());
  EXPECT_EQ(value(sum, BrokerCounter::connects), 4U);
  EXPECT_EQ(value(sum, BrokerCounter::requests_waiting), 6U);
  EXPECT_EQ(value(sum, BrokerCounter::rtt_p99), 7U);
  EXPECT_EQ(value(sum, BrokerCounter::up), 0U);
  EXPECT_EQ(sum.state, "DOWN");
}

TEST_F(ShownStatistics, ABrokerIsShownForAsLongAsAnyProducerHasIt) {
  ASSERT_TRUE(statistics_.show(0, document()));
  ASSERT_TRUE(statistics_.show(1, R"({"brokers":{"127.0.0.1:34891/2":{"state":"DOWN"}}})"));
  EXPECT_EQ(up(), (std::map<std::string, std::uint64_t>{{"127.0.0.1:34891/2", 0},
                                                        {"127.0.0.1:38163/1", 1}}));
  statistics_.clear();
  EXPECT_TRUE(up().empty());
}

TEST_F(ShownStatistics, KfastctlMakesATableOfThem) {
  const std::string none = ctl::brokers_text(snapshot());
  EXPECT_NE(none.find("\"statistics.interval.ms\" = 10000"), std::string::npos) << none;
  ASSERT_TRUE(statistics_.show(0, document()));
  const std::string table = ctl::brokers_text(snapshot());
  EXPECT_NE(table.find("broker"), std::string::npos);
  EXPECT_NE(table.find("127.0.0.1:34891/2  UP"), std::string::npos) << table;
  EXPECT_NE(table.find("0.077"), std::string::npos) << "milliseconds\n" << table;
  EXPECT_NE(table.find("6.911"), std::string::npos) << table;
  EXPECT_EQ(table.find("statistics.interval.ms"), std::string::npos) << table;
  EXPECT_EQ(table.find("(other)"), std::string::npos) << table;
}

}  // namespace
}  // namespace kfast::daemon::kafka
