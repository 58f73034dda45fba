#include "channel/report_writer.hpp"

#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

class ReportWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = create_segments(ipc::geometry_of(1 << 20, 4096, 4), 1, 1);
    ASSERT_TRUE(made.ok());
    segments_ = made.take();
    client_ = std::make_unique<RawClient>(segments_);
    writer_ = std::make_unique<ReportWriter>(segments_);
  }
  void add(const ReadReport& report) {
    ASSERT_TRUE(writer_->add(report.position, report.topic,
                             {report.outcome, report.error, report.partition, report.offset}));
    expected_.push_back(report);
  }
  void publish() {
    bool published = false;
    ASSERT_TRUE(writer_->publish(published));
    ASSERT_TRUE(published);
  }
  /// Reads all and says in how many frames it came.
  std::size_t read_all() {
    const ReadReports read = client_->read_reports();
    EXPECT_TRUE(read.well_formed);
    EXPECT_EQ(read.records, expected_);
    expected_.clear();
    padding_ += read.padding;
    return read.frames;
  }
  static ReadReport delivered(std::uint64_t position, std::int64_t offset,
                              std::int32_t partition = 0, std::uint16_t topic = 0) {
    return {position, topic, ipc::Outcome::delivered, 0, partition, offset};
  }

  Segments segments_;
  std::unique_ptr<RawClient> client_;
  std::unique_ptr<ReportWriter> writer_;
  std::vector<ReadReport> expected_;
  std::size_t padding_ = 0;
};

TEST_F(ReportWriterTest, ARunOfOnePartitionIsOneFrame) {
  for (int i = 0; i < 500; ++i) {
    add(delivered(static_cast<std::uint64_t>(i) * 48, 1000 + i));
  }
  publish();
  EXPECT_EQ(read_all(), 1U);
}

TEST_F(ReportWriterTest, NothingIsVisibleBeforeItIsPublished) {
  add(delivered(0, 0));
  add(delivered(8, 0, 1));
  EXPECT_TRUE(client_->read_reports().records.empty());
  publish();
  EXPECT_EQ(read_all(), 2U);
  bool published = true;
  EXPECT_TRUE(writer_->publish(published));
  EXPECT_FALSE(published) << "there was nothing new";
}

TEST_F(ReportWriterTest, AFrameSplitsWhereAnythingButTheOffsetChanges) {
  add(delivered(0, 10));
  add(delivered(24, 11, 1));     // partition
  add(delivered(48, 12, 1, 2));  // topic
  add(delivered(72, 14, 1, 2));  // a gap in the offsets
  add({96, 2, ipc::Outcome::failed, 10, 1, -1});
  add({120, 2, ipc::Outcome::failed, 29, 1, -1});   // error
  add({144, 2, ipc::Outcome::unknown, 29, 1, -1});  // outcome
  add({48, 2, ipc::Outcome::unknown, 29, 1, -1});   // backwards
  publish();
  EXPECT_EQ(read_all(), 8U);
}

TEST_F(ReportWriterTest, RecordsWithoutOffsetsRunTogether) {
  for (std::uint64_t i = 0; i < 5; ++i) {
    add({i * 24, 0, ipc::Outcome::failed, 10, -1, -1});
  }
  publish();
  EXPECT_EQ(read_all(), 1U);
}

TEST_F(ReportWriterTest, AnOffsetDoesNotRunOnFromNoOffset) {
  add(delivered(0, -1));
  add(delivered(24, 0));
  publish();
  EXPECT_EQ(read_all(), 2U);
}

TEST_F(ReportWriterTest, GapsOfEveryVarintLengthComeBack) {
  std::uint64_t position = 0;
  std::int64_t offset = 0;
  for (const std::uint64_t gap : {1ULL, 0x7FULL, 0x80ULL, 0x3FFFULL, 0x4000ULL, 0x1FFFFFULL,
                                  0x200000ULL, 0xFFFFFFFULL, 0x10000000ULL, 0xFFFFFFFFULL}) {
    add(delivered(position, offset++));
    position += gap * ipc::kFrameAlign;
  }
  add(delivered(position, offset++));
  publish();
  EXPECT_EQ(read_all(), 1U);
  position += 0x1'0000'0000ULL * ipc::kFrameAlign;  // more than a gap can say
  add(delivered(position, offset++));
  add(delivered(position + 0x1'0000'0000ULL * ipc::kFrameAlign, offset));
  publish();
  EXPECT_EQ(read_all(), 2U);
}

TEST_F(ReportWriterTest, AFrameHasNoMoreRecordsThanItMay) {
  for (std::uint64_t i = 0; i <= ipc::kMaxReportRecords; ++i) {
    add(delivered(i * 8, static_cast<std::int64_t>(i)));
  }
  publish();
  EXPECT_EQ(read_all(), 2U);
}

TEST_F(ReportWriterTest, FramesThatDoNotFitBeforeTheRingsEndArePaddedAround) {
  std::uint64_t position = 0;
  for (int round = 0; round < 500; ++round) {
    for (int i = 0; i < round % 37 + 1; ++i, position += 24) {
      add(delivered(position, static_cast<std::int64_t>(position / 24)));
    }
    publish();
    read_all();
  }
  EXPECT_GT(padding_, 0U);
}

// The credit rule at its edge: as many records as it allows, and each needs a frame of its own.
TEST_F(ReportWriterTest, WhatTheCreditAllowsAlwaysFits) {
  std::uint64_t position = 0;
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t credit = ipc::report_credit(4096, 0);
    ASSERT_GT(credit, 0U);
    for (std::uint64_t i = 0; i < credit; ++i, position += 24) {
      add(delivered(position, 0, static_cast<std::int32_t>(i % 2)));
    }
    publish();
    read_all();
    // Shifts the next round against the ring's end.
    add(delivered(position, 0, 5));
    add(delivered(position + 24, 1, 5));
    position += 48;
    publish();
    read_all();
  }
}

TEST_F(ReportWriterTest, AClientThatDoesNotReadGetsNoMoreThanTheRingHolds) {
  std::uint64_t written = 0;
  while (writer_->add(written * 24, 0,
                      {ipc::Outcome::delivered, 0, static_cast<std::int32_t>(written % 2), 0})) {
    ++written;
    ASSERT_LE(written, 4096 / sizeof(ipc::ReportHead) + 1);
  }
  EXPECT_EQ(written, 4096 / sizeof(ipc::ReportHead) + 1) << "all that fit, and the open one";
  bool published = false;
  EXPECT_FALSE(writer_->publish(published));
}

TEST_F(ReportWriterTest, ALieAboutWhatWasReadStaysInsideTheRing) {
  const std::vector<std::byte> before(segments_.d2c_at(0),
                                      segments_.d2c_at(segments_.geometry.d2c_ring));
  std::uint64_t position = 0;
  for (const std::uint64_t lie :
       {std::uint64_t{1} << 63U, UINT64_MAX, std::uint64_t{4096}, std::uint64_t{5}}) {
    client_->words().d2c_head = lie;
    for (int i = 0; i < 1000; ++i, position += 24) {
      if (!writer_->add(position, 0, {ipc::Outcome::delivered, 0, i % 2, 0})) {
        break;
      }
    }
  }
  EXPECT_TRUE(std::equal(before.begin(), before.end(), segments_.d2c_at(0)))
      << "nothing before the ring has changed";
}

}  // namespace
}  // namespace kfast::daemon::channel::test
