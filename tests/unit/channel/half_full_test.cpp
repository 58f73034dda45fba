// When records may wait in a ring no longer, since there would be no room for more of them.
#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

constexpr std::uint64_t kLarge = 65536;
constexpr std::uint64_t kSmall = 4096;      // room for 64 reports
constexpr std::uint64_t kRecordBytes = 32;  // of the ring, for "value"

class HalfFullTest : public ChannelTest {
 protected:
  void send(int count, const std::string& value = "value") {
    for (int i = 0; i < count; ++i) {
      client_->send(record(value));
    }
  }
};

TEST_F(HalfFullTest, HalfOfTheRingsBytes) {
  open(kSmall, kLarge);
  const std::string quarter(1000, 'v');  // with its head
  send(1, quarter);
  EXPECT_FALSE(channel_->half_full(1024));
  send(1, quarter);
  EXPECT_TRUE(channel_->half_full(1024));
}

TEST_F(HalfFullTest, BytesOfRecordsInFlightCount) {
  open(kSmall, kLarge);
  send(2, std::string(1000, 'v'));
  take();
  EXPECT_TRUE(channel_->half_full(1024));
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_FALSE(channel_->half_full(1024));
}

TEST_F(HalfFullTest, HalfOfTheClientsCredit) {
  open(kLarge, kSmall);
  send(31);
  EXPECT_FALSE(channel_->half_full(kRecordBytes));
  send(1);
  EXPECT_TRUE(channel_->half_full(kRecordBytes));
  take(16);
  EXPECT_TRUE(channel_->half_full(kRecordBytes)) << "what is in flight has no report yet";
  deliver(0);
  ASSERT_TRUE(channel_->finish_round());
  EXPECT_FALSE(channel_->half_full(kRecordBytes));
}

TEST_F(HalfFullTest, WithoutReportsThereIsNoCredit) {
  settings_.reports = ipc::ReportsMode::none;
  open(kLarge, kSmall);
  send(100);
  EXPECT_FALSE(channel_->half_full(kRecordBytes));
}

TEST_F(HalfFullTest, AnImpossibleTailDoesNotWait) {
  open();
  client_->words().tail.store(std::uint64_t{1} << 60U);
  EXPECT_TRUE(channel_->half_full(kRecordBytes));
}

}  // namespace
}  // namespace kfast::daemon::channel::test
