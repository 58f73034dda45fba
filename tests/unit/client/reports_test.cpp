// What kfast_reports makes of the report ring.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "fake_daemon.hpp"

namespace kfast::test {
namespace {

TEST_F(OpenProducer, ReadsWhatBecameOfARecord) {
  open();
  ASSERT_EQ(send_frame(32), 0);
  ASSERT_EQ(send_frame(32), 32);
  ASSERT_EQ(send_frame(32), 64);
  EXPECT_TRUE(all_reports().empty());
  channel->report({32}, 100);
  channel->report({0}, -1, ipc::Outcome::failed, 10, 0, -1);
  channel->report({64}, -1, ipc::Outcome::unknown, -192, 0, 5);
  const auto reports = all_reports();
  ASSERT_EQ(reports.size(), 3U);
  EXPECT_EQ(reports[0].position, 32);
  EXPECT_EQ(reports[0].offset, 100);
  EXPECT_EQ(reports[0].topic, 0);
  EXPECT_EQ(reports[0].partition, 3);
  EXPECT_EQ(reports[0].outcome, KFAST_DELIVERED);
  EXPECT_EQ(reports[0].error, 0);
  EXPECT_EQ(reports[1].position, 0);
  EXPECT_EQ(reports[1].outcome, KFAST_FAILED);
  EXPECT_STREQ(kfast_kafka_error(reports[1].error), "MSG_SIZE_TOO_LARGE");
  EXPECT_EQ(reports[1].offset, -1);
  EXPECT_EQ(reports[2].outcome, KFAST_UNKNOWN);
  EXPECT_STREQ(kfast_kafka_error(reports[2].error), "_MSG_TIMED_OUT");
}

TEST_F(OpenProducer, GoesOnInTheMiddleOfAFrame) {
  open(65536);
  std::vector<std::uint64_t> positions;
  for (int i = 0; i < 20; ++i) {
    positions.push_back(
        static_cast<std::uint64_t>(send_frame(24 + static_cast<std::size_t>(i) * 40)));
  }
  channel->report(positions, 1000);
  kfast_report_t report;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    // The frame's room is kfastd's again only when its last report is read.
    EXPECT_EQ(channel->c2d().d2c_head.load(), 0U);
    ASSERT_EQ(kfast_reports(producer, &report, 1), 1);
    EXPECT_EQ(report.position, static_cast<std::int64_t>(positions[i]));
    EXPECT_EQ(report.offset, 1000 + static_cast<std::int64_t>(i));
  }
  EXPECT_EQ(channel->c2d().d2c_head.load(), channel->d2c().tail.load());
  EXPECT_EQ(kfast_reports(producer, &report, 1), 0);
}

TEST_F(OpenProducer, ReportsOfEarlierLapsAreReadLate) {
  // One place in the record ring, several records of which none was read: every report arrives,
  // once.
  open(4096, 4096);
  std::vector<std::int64_t> positions;
  for (int i = 0; i < 20; ++i) {
    positions.push_back(send_frame(1024));
    ASSERT_EQ(positions.back(), i * 1024);
    channel->report({static_cast<std::uint64_t>(positions.back())}, i);
    channel->move_head(channel->c2d().tail.load());
  }
  const auto reports = all_reports();
  ASSERT_EQ(reports.size(), positions.size());
  for (std::size_t i = 0; i < reports.size(); ++i) {
    EXPECT_EQ(reports[i].position, positions[i]);
  }
}

TEST_F(OpenProducer, RefusesNullAndTakesZero) {
  open();
  EXPECT_EQ(kfast_reports(producer, nullptr, 1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_reports(producer, nullptr, 0), 0);
}

TEST_F(OpenProducer, DescriptorAsksForAFirstLookSoThatNobodyWaitsForEver) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  EXPECT_TRUE(fd_is_readable());
  kfast_report_t report;
  EXPECT_EQ(kfast_reports(producer, &report, 1), 0);
  EXPECT_FALSE(fd_is_readable());
  channel->report({0}, 1);
  session.wake();
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(kfast_reports(producer, &report, 1), 1);
}

TEST_F(OpenProducer, DescriptorIsReadableWhenThereAreReports) {
  open();
  const int fd = kfast_fd(producer);
  ASSERT_GE(send_frame(24), 0);
  EXPECT_TRUE(all_reports().empty());
  EXPECT_FALSE(fd_is_readable());
  EXPECT_EQ(channel->c2d().waiting.load(), 1U);
  channel->report({0});
  channel->move_head(24);
  session.wake();
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(all_reports().size(), 1U);
  EXPECT_FALSE(fd_is_readable());
  // It asks for the next one only after the last was served.
  EXPECT_EQ(channel->c2d().waiting.load(), 2U);
  EXPECT_TRUE(all_reports().empty());
  EXPECT_EQ(channel->c2d().waiting.load(), 2U);
  EXPECT_EQ(kfast_fd(producer), fd);
}

TEST_F(OpenProducer, AWakeUpThatFlushTakesIsPassedOn) {
  open();
  ASSERT_GE(send_frame(24), 0);
  EXPECT_TRUE(all_reports().empty());
  channel->report({0});
  channel->move_head(24);
  session.wake();
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_OK);
  EXPECT_TRUE(fd_is_readable());
  EXPECT_EQ(all_reports().size(), 1U);
  EXPECT_FALSE(fd_is_readable());
}

struct Malformed {
  const char* name;
  void (*spoil)(ipc::ReportHead&);
};

class MalformedReports : public OpenProducer, public testing::WithParamInterface<Malformed> {};

TEST_P(MalformedReports, EndTheChannelWithWords) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  ASSERT_EQ(send_frame(24), 24);
  // A sound frame of two records, then spoilt.
  std::byte frame[64] = {};
  ipc::ReportHead head{sizeof(ipc::ReportHead) + 1,
                       ipc::FrameKind::report,
                       ipc::Outcome::delivered,
                       0,
                       0,
                       2,
                       0,
                       0,
                       0};
  GetParam().spoil(head);
  std::memcpy(frame, &head, sizeof head);
  frame[sizeof head] = std::byte{3};
  channel->report_raw(frame, sizeof(ipc::ReportHead) + 1);
  kfast_report_t reports[4];
  int count = 0;
  while ((count = kfast_reports(producer, reports, 4)) > 0) {
  }
  EXPECT_EQ(count, KFAST_ERR_CLOSED);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "makes no sense"), nullptr);
  EXPECT_EQ(send_frame(24), KFAST_ERR_CLOSED);
  EXPECT_EQ(kfast_flush(producer, -1), KFAST_ERR_CLOSED);
}

INSTANTIATE_TEST_SUITE_P(
    EveryField, MalformedReports,
    testing::Values(Malformed{"zeros", [](ipc::ReportHead& h) { h = {}; }},
                    Malformed{"size_zero", [](ipc::ReportHead& h) { h.size = 0; }},
                    Malformed{"size_small", [](ipc::ReportHead& h) { h.size = 31; }},
                    Malformed{"size_beyond_tail", [](ipc::ReportHead& h) { h.size = 64; }},
                    Malformed{"size_huge", [](ipc::ReportHead& h) { h.size = 0xFFFFFFFFU; }},
                    Malformed{"kind", [](ipc::ReportHead& h) { h.kind = ipc::FrameKind::record; }},
                    Malformed{"outcome_none",
                              [](ipc::ReportHead& h) { h.outcome = static_cast<ipc::Outcome>(0); }},
                    Malformed{"outcome_new",
                              [](ipc::ReportHead& h) { h.outcome = static_cast<ipc::Outcome>(4); }},
                    Malformed{"topic", [](ipc::ReportHead& h) { h.topic = 1; }},
                    Malformed{"count_zero", [](ipc::ReportHead& h) { h.count = 0; }},
                    Malformed{"count_without_distances", [](ipc::ReportHead& h) { h.count = 3; }},
                    Malformed{"count_huge", [](ipc::ReportHead& h) { h.count = 1025; }},
                    Malformed{"partition", [](ipc::ReportHead& h) { h.partition = -2; }},
                    Malformed{"offset", [](ipc::ReportHead& h) { h.base_offset = -2; }},
                    Malformed{"position_not_sent",
                              [](ipc::ReportHead& h) { h.base_position = 48; }},
                    Malformed{"position_odd", [](ipc::ReportHead& h) { h.base_position = 4; }},
                    Malformed{"position_wrapped",
                              [](ipc::ReportHead& h) { h.base_position = ~std::uint64_t{7}; }}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(OpenProducer, AReportsTextNamesTheErrorAndWhyBrokersRefuse) {
  open();
  const std::string why = "ssl://k1:9093/1: certificate verify failed";
  ipc::put_refusal(channel->d2c().refusal, why.data(), why.size());
  const auto text_of = [&](std::int32_t error, std::size_t size = 512) {
    kfast_report_t report{};
    report.error = error;
    std::string text(size, 'x');
    EXPECT_EQ(kfast_report_text(producer, &report, text.data(), size), KFAST_OK);
    return std::string(text.c_str());
  };
  EXPECT_EQ(text_of(-181), "_SSL: " + why);
  EXPECT_EQ(text_of(-169), "_AUTHENTICATION: " + why);
  EXPECT_EQ(text_of(31), "CLUSTER_AUTHORIZATION_FAILED: " + why);
  EXPECT_EQ(text_of(-192), "_MSG_TIMED_OUT");
  EXPECT_EQ(text_of(0), "");
  EXPECT_EQ(text_of(-181, 9), "_SSL: ss");
  char text[8];
  kfast_report_t report{};
  EXPECT_EQ(kfast_report_text(producer, nullptr, text, sizeof text), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_report_text(producer, &report, nullptr, sizeof text), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_report_text(producer, &report, text, 0), KFAST_ERR_INVALID);
}

TEST_F(OpenProducer, ATailThatCannotBeEndsTheChannel) {
  open();
  ASSERT_EQ(send_frame(24), 0);
  channel->d2c().tail.store(4096 + 8);
  kfast_report_t report;
  EXPECT_EQ(kfast_reports(producer, &report, 1), KFAST_ERR_CLOSED);
}

}  // namespace
}  // namespace kfast::test
