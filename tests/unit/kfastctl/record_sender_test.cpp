#include "kfastctl/record_sender.hpp"

#include <gtest/gtest.h>

#include "fake_libkfast.hpp"

namespace kfast::ctl {
namespace {

class RecordSenderTest : public ::testing::Test {
 protected:
  RecordSenderTest() {
    fake() = {};
    options_.topic = "packages";
    options_.delimiter = "\n";
  }
  /// Opens, sends the values, finishes; returns what was printed to stdout.
  std::string send_all(RecordSender& sender, const std::vector<std::string>& values) {
    EXPECT_EQ(sender.open("/some/dir"), "");
    ::testing::internal::CaptureStdout();
    for (const std::string& value : values) {
      sending_goes_on_ = sender.send({std::nullopt, value});
      if (!sending_goes_on_) {
        break;
      }
    }
    sender.finish();
    return ::testing::internal::GetCapturedStdout();
  }

  ProduceOptions options_;
  bool sending_goes_on_ = true;
};

TEST_F(RecordSenderTest, EveryPartOfARecordArrives) {
  options_.key = "fixed";
  options_.headers = {"a=1", "b=", "c"};
  options_.partition = 4;
  options_.profile = "fast";
  options_.properties = {"ring.bytes=16m"};
  RecordSender sender(options_);
  ASSERT_EQ(sender.open("/some/dir"), "");
  EXPECT_TRUE(sender.send({"own", "value"}));
  EXPECT_TRUE(sender.send({std::nullopt, std::string_view("\0\xff", 2)}));
  EXPECT_TRUE(sender.send({"", ""}));
  EXPECT_EQ(fake().topic, "packages");
  EXPECT_EQ(fake().options["profile"], "fast");
  EXPECT_EQ(fake().options["socket.dir"], "/some/dir");
  EXPECT_EQ(fake().options["ring.bytes"], "16m");
  ASSERT_EQ(fake().sent.size(), 3U);
  EXPECT_EQ(fake().sent[0].key, "own");
  EXPECT_EQ(fake().sent[0].value, "value");
  EXPECT_EQ(fake().sent[0].partition, 4);
  const std::vector<std::pair<std::string, std::optional<std::string>>> headers = {
      {"a", "1"}, {"b", ""}, {"c", std::nullopt}};
  EXPECT_EQ(fake().sent[0].headers, headers);
  EXPECT_EQ(fake().sent[1].key, "fixed");
  EXPECT_EQ(fake().sent[1].value, std::string("\0\xff", 2));
  EXPECT_EQ(fake().sent[2].key, "");
  EXPECT_EQ(fake().sent[2].value, "");
}

TEST_F(RecordSenderTest, EmptyIsNullWhenAskedFor) {
  options_.empty_is_null = true;
  RecordSender sender(options_);
  ASSERT_EQ(sender.open("/some/dir"), "");
  EXPECT_TRUE(sender.send({"", ""}));
  EXPECT_EQ(fake().sent.at(0).key, std::nullopt);
  EXPECT_EQ(fake().sent.at(0).value, std::nullopt);
}

TEST_F(RecordSenderTest, AFullRingLosesNothing) {
  fake().ring_records = 3;
  std::vector<std::string> values;
  for (int number = 0; number < 100; ++number) {
    values.push_back(std::to_string(number));
  }
  RecordSender sender(options_);
  send_all(sender, values);
  ASSERT_EQ(fake().sent.size(), values.size());
  for (std::size_t at = 0; at < values.size(); ++at) {
    EXPECT_EQ(fake().sent[at].value, values[at]);
  }
  EXPECT_TRUE(sender.counts().all_delivered());
  EXPECT_EQ(sender.summary(), "100 records: 100 delivered, 0 failed, 0 unknown\n");
}

TEST_F(RecordSenderTest, ReportsAreCountedAndPrinted) {
  options_.reports = true;
  fake().fails["bad"] = 3;
  fake().unknowns["late"] = -192;
  RecordSender sender(options_);
  const std::string printed = send_all(sender, {"good", "bad", "late", "bad"});
  EXPECT_NE(printed.find("delivered packages [2] @ 0\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("failed packages: UNKNOWN_TOPIC_OR_PART: record 2 "), std::string::npos)
      << printed;
  EXPECT_NE(printed.find("unknown packages: _MSG_TIMED_OUT: record 3 "), std::string::npos)
      << printed;
  EXPECT_FALSE(sender.counts().all_delivered());
  EXPECT_EQ(sender.summary().substr(0, sender.summary().find('\n')),
            "4 records: 1 delivered, 2 failed, 1 unknown");
  EXPECT_NE(sender.summary().find("2 failed: UNKNOWN_TOPIC_OR_PART"), std::string::npos);
}

TEST_F(RecordSenderTest, ARecordThatIsTooLargeIsNamedAndTheNextOneIsSent) {
  fake().refuses["huge"] = KFAST_ERR_TOO_LARGE;
  fake().error_text = "larger than a quarter of the ring: raise ring.bytes";
  RecordSender sender(options_);
  ::testing::internal::CaptureStderr();
  send_all(sender, {"a", "huge", "b"});
  const std::string errors = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(errors.find("record 2 was not accepted: larger than"), std::string::npos) << errors;
  EXPECT_EQ(fake().sent.size(), 2U);
  EXPECT_FALSE(sender.counts().all_delivered());
  EXPECT_EQ(sender.summary(), "3 records: 2 delivered, 0 failed, 0 unknown, 1 not accepted\n");
}

TEST_F(RecordSenderTest, AnErrorThatConcernsEveryRecordEndsSending) {
  fake().refuses["x"] = KFAST_ERR_TOPIC_NOT_ALLOWED;
  RecordSender sender(options_);
  send_all(sender, {"x", "y"});
  EXPECT_FALSE(sending_goes_on_);
  EXPECT_EQ(sender.counts().refused, 1U);
  EXPECT_TRUE(fake().sent.empty());
}

TEST_F(RecordSenderTest, MissingReportsAreCountedOnceTheTimeoutIsOver) {
  options_.timeout_seconds = 0;
  fake().reports_come = false;
  RecordSender sender(options_);
  send_all(sender, {"a", "b"});
  EXPECT_EQ(sender.counts().pending(), 2U);
  EXPECT_NE(sender.summary().find("2 without a report yet"), std::string::npos);
}

TEST_F(RecordSenderTest, AChannelThatIsClosedEndsTheWait) {
  options_.timeout_seconds = -1;
  fake().reports_come = false;
  fake().flush_code = KFAST_ERR_CLOSED;
  RecordSender sender(options_);
  send_all(sender, {"a"});
  EXPECT_EQ(sender.counts().pending(), 1U);
}

TEST_F(RecordSenderTest, OpeningSaysWhatLibkfastSays) {
  fake().open_code = KFAST_ERR_NO_DAEMON;
  fake().error_text = "nobody answers on /some/dir/kfastd.sock: start kfastd";
  RecordSender sender(options_);
  EXPECT_EQ(sender.open("/some/dir"), fake().error_text);
}

TEST_F(RecordSenderTest, BadHeadersAndPropertiesAreNamed) {
  options_.headers = {"=x"};
  EXPECT_NE(RecordSender(options_).open("/d").find("\"=x\""), std::string::npos);
  options_.headers.clear();
  options_.properties = {"no-equals"};
  EXPECT_NE(RecordSender(options_).open("/d").find("\"no-equals\""), std::string::npos);
  options_.properties = {"no.such.option=1"};
  EXPECT_EQ(RecordSender(options_).open("/d"), "no option has the name no.such.option");
}

}  // namespace
}  // namespace kfast::ctl
