#include "kfast/ipc/frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <random>
#include <vector>

#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/ring.hpp"

namespace kfast::ipc {
namespace {

constexpr std::uint32_t kMax32 = std::numeric_limits<std::uint32_t>::max();

// ---- varints

TEST(Varint, EveryLengthComesBack) {
  std::array<std::byte, kMaxVarint> bytes{};
  for (unsigned shift = 0; shift < 32; ++shift) {
    for (const std::uint32_t value : {(1U << shift) - 1, 1U << shift, (1U << shift) + 1, kMax32}) {
      const std::size_t size = put_varint(bytes.data(), value);
      ASSERT_LE(size, kMaxVarint);
      std::uint32_t back = ~value;
      ASSERT_EQ(get_varint(bytes.data(), bytes.data() + size, back), size);
      ASSERT_EQ(back, value);
    }
  }
}

TEST(Varint, LengthGrowsWithEverySevenBits) {
  std::array<std::byte, kMaxVarint> bytes{};
  EXPECT_EQ(put_varint(bytes.data(), 0), 1U);
  EXPECT_EQ(put_varint(bytes.data(), 0x7F), 1U);
  EXPECT_EQ(put_varint(bytes.data(), 0x80), 2U);
  EXPECT_EQ(put_varint(bytes.data(), 0x3FFF), 2U);
  EXPECT_EQ(put_varint(bytes.data(), 0x4000), 3U);
  EXPECT_EQ(put_varint(bytes.data(), 0x1FFFFF), 3U);
  EXPECT_EQ(put_varint(bytes.data(), 0xFFFFFFF), 4U);
  EXPECT_EQ(put_varint(bytes.data(), kMax32), 5U);
}

TEST(Varint, ACutOneIsRefused) {
  std::array<std::byte, kMaxVarint> bytes{};
  for (const std::uint32_t value : {0x80U, 0x4000U, kMax32}) {
    const std::size_t size = put_varint(bytes.data(), value);
    for (std::size_t cut = 0; cut < size; ++cut) {
      std::uint32_t back = 0;
      EXPECT_EQ(get_varint(bytes.data(), bytes.data() + cut, back), 0U);
    }
  }
}

TEST(Varint, OneThatIsTooLongIsRefused) {
  const std::array<std::byte, 6> endless{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF},
                                         std::byte{0xFF}, std::byte{0xFF}, std::byte{0x01}};
  std::uint32_t back = 0;
  EXPECT_EQ(get_varint(endless.data(), endless.data() + endless.size(), back), 0U);
}

TEST(Varint, OneThatDoesNotFitInThirtyTwoBitsIsRefused) {
  std::array<std::byte, 5> wide{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF},
                                std::byte{0x10}};
  std::uint32_t back = 0;
  EXPECT_EQ(get_varint(wide.data(), wide.data() + wide.size(), back), 0U);
  wide[4] = std::byte{0x0F};
  EXPECT_EQ(get_varint(wide.data(), wide.data() + wide.size(), back), 5U);
  EXPECT_EQ(back, kMax32);
}

// ---- credit

TEST(ReportCredit, IsThereInTheSmallestRingAndGoneWhenAFrameMightNotFit) {
  EXPECT_GT(report_credit(kMinRingBytes, 0), 0U);
  EXPECT_EQ(report_credit(kMinRingBytes, kMinRingBytes - kMaxReportFrame), 0U);
  EXPECT_EQ(report_credit(kMinRingBytes, kMinRingBytes), 0U);
  EXPECT_EQ(report_credit(kMinRingBytes, std::numeric_limits<std::uint64_t>::max() / 2), 0U);
}

TEST(ReportCredit, NeverGrowsWithUnreadBytes) {
  std::uint64_t before = report_credit(kMinRingBytes, 0);
  for (std::uint64_t unread = 0; unread <= kMinRingBytes; unread += kFrameAlign) {
    const std::uint64_t now = report_credit(kMinRingBytes, unread);
    ASSERT_LE(now, before);
    before = now;
  }
}

/// How the daemon groups what it has to report.
enum class Grouping { one_by_one, largest_frames, random };

struct CreditCase {
  std::uint64_t ring_bytes;
  std::uint64_t start;
  Grouping grouping;
};

class ReportCreditAt : public testing::TestWithParam<CreditCase> {};

/// The daemon's ring of reports and the client that reads it, which sends whatever its credit
/// allows.
class ReportTraffic {
 public:
  explicit ReportTraffic(const CreditCase& c)
      : case_(c),
        tail_(c.start),
        head_(c.start),
        writer_(tail_, head_, c.ring_bytes, c.start),
        reader_(tail_, head_, c.ring_bytes, c.start) {}

  /// The client sends as much as it may, by a view of the tail that may be old.
  void send_all() {
    const std::uint64_t credit = report_credit(case_.ring_bytes, reader_.unread());
    if (credit > unread_records_ + unreported_) {
      unreported_ += credit - unread_records_ - unreported_;
      full_ = true;
    }
  }

  /// The daemon reports up to `limit` records. False: a report did not fit.
  [[nodiscard]] bool report(std::uint64_t limit) {
    while (limit > 0 && unreported_ > 0) {
      const std::uint64_t wanted = case_.grouping == Grouping::one_by_one ? 1
                                   : case_.grouping == Grouping::random   ? 1 + random_() % 500
                                                                          : kMaxReportRecords;
      // Every distance takes as many bytes as a varint can.
      const std::uint64_t fits = 1 + (kMaxReportFrame - sizeof(ReportHead)) / kMaxVarint;
      const std::uint64_t count = std::min({wanted, fits, limit, unreported_});
      const std::uint64_t size =
          align_up(sizeof(ReportHead) + (count - 1) * kMaxVarint, kFrameAlign);
      Reservation room{};
      if (!writer_.reserve(size, room)) {
        return false;
      }
      frames_.push_back({size, room.padding, count});
      writer_.publish();
      unreported_ -= count;
      unread_records_ += count;
      limit -= count;
    }
    return true;
  }

  void look() { ASSERT_TRUE(reader_.look()); }

  /// The client reads up to `limit` frames.
  void read(std::uint64_t limit) {
    look();
    for (; limit > 0 && reader_.unread() != 0; --limit) {
      const Frame frame = frames_.front();
      frames_.pop_front();
      reader_.take(frame.padding + frame.size);
      unread_records_ -= frame.count;
    }
    reader_.release(reader_.taken());
  }

  [[nodiscard]] std::uint64_t distance() const { return reader_.taken() - case_.start; }
  [[nodiscard]] bool ever_full() const { return full_; }
  std::mt19937_64& random() { return random_; }

 private:
  struct Frame {
    std::uint64_t size;
    std::uint64_t padding;
    std::uint64_t count;
  };
  CreditCase case_;
  std::mt19937_64 random_{11};
  std::atomic<std::uint64_t> tail_;
  std::atomic<std::uint64_t> head_;
  RingWriter<HostAtomics> writer_;
  RingReader<HostAtomics> reader_;
  std::deque<Frame> frames_;
  std::uint64_t unreported_ = 0;
  std::uint64_t unread_records_ = 0;
  bool full_ = false;
};

TEST_P(ReportCreditAt, AReportAlwaysFits) {
  ReportTraffic traffic(GetParam());
  auto& random = traffic.random();
  const std::uint64_t laps = 200;
  while (traffic.distance() < laps * GetParam().ring_bytes) {
    switch (random() % 5) {
      case 0:
      case 1:
        traffic.send_all();
        break;
      case 2:
        ASSERT_TRUE(traffic.report(1 + random() % 64)) << "at " << traffic.distance();
        break;
      case 3:
        ASSERT_TRUE(traffic.report(std::numeric_limits<std::uint64_t>::max()))
            << "at " << traffic.distance();
        break;
      default:
        random() % 4 == 0 ? traffic.look() : traffic.read(1 + random() % 40);
        break;
    }
  }
  EXPECT_TRUE(traffic.ever_full());
}

std::vector<CreditCase> credit_cases() {
  std::vector<CreditCase> cases;
  for (const std::uint64_t ring : {kMinRingBytes, 2 * kMinRingBytes, 16 * kMinRingBytes}) {
    for (const std::uint64_t start :
         {std::uint64_t{0}, 8 * (ring / 16 + 1), std::uint64_t{0} - 5 * ring - 40}) {
      for (const Grouping grouping :
           {Grouping::one_by_one, Grouping::largest_frames, Grouping::random}) {
        cases.push_back({ring, start, grouping});
      }
    }
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Rings, ReportCreditAt, testing::ValuesIn(credit_cases()));

/// Every place at which a burst of reports can meet the ring's end, with frames of every size.
TEST(ReportCredit, AFullBurstFitsFromEveryOffsetWithFramesOfEverySize) {
  for (std::uint64_t offset = 0; offset < kMinRingBytes; offset += kFrameAlign) {
    for (std::uint64_t count = 1; count <= 64; ++count) {
      std::atomic<std::uint64_t> tail{offset};
      std::atomic<std::uint64_t> head{offset};
      RingWriter<HostAtomics> writer(tail, head, kMinRingBytes, offset);
      std::uint64_t left = report_credit(kMinRingBytes, 0);
      while (left > 0) {
        const std::uint64_t together = std::min(count, left);
        const std::uint64_t size =
            align_up(sizeof(ReportHead) + (together - 1) * kMaxVarint, kFrameAlign);
        Reservation room{};
        ASSERT_TRUE(writer.reserve(size, room)) << "offset " << offset << ", by " << count;
        left -= together;
      }
    }
  }
}

}  // namespace
}  // namespace kfast::ipc
