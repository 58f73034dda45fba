// What a record is sent with comes back with its report, once.
#include "opaques.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "fake_daemon.hpp"

namespace kfast::test {
namespace {

void* number(std::int64_t n) {
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(n));
}

TEST(Opaques, GivesEachBackOnceInAnyOrder) {
  client::Opaques opaques;
  std::map<std::int64_t, void*> out;
  std::minstd_rand random(1);
  std::int64_t position = 0;
  for (int round = 0; round < 50'000; ++round) {
    if (random() % 2 == 0) {
      ASSERT_TRUE(opaques.reserve_one());
      position += 8 * static_cast<std::int64_t>(1 + random() % 9);
      opaques.push(position, number(position + 1));
      out[position] = number(position + 1);
    } else if (!out.empty()) {
      auto at = random() % 4 == 0 ? out.lower_bound(static_cast<std::int64_t>(
                                        random() % static_cast<std::uint64_t>(position)))
                                  : out.begin();
      at = at == out.end() ? out.begin() : at;
      EXPECT_EQ(opaques.take(at->first), at->second);
      EXPECT_EQ(opaques.take(at->first), nullptr);
      EXPECT_EQ(opaques.take(at->first + 1), nullptr);
      out.erase(at);
    }
    ASSERT_EQ(opaques.empty(), out.empty());
  }
}

TEST(Opaques, OneThatStaysLongDoesNotKeepThoseBehindIt) {
  client::Opaques opaques;
  ASSERT_TRUE(opaques.reserve_one());
  opaques.push(0, number(1));
  for (std::int64_t position = 8; position < 8'000'000; position += 8) {
    ASSERT_TRUE(opaques.reserve_one());
    opaques.push(position, number(position));
    ASSERT_EQ(opaques.take(position), number(position));
  }
  EXPECT_EQ(opaques.take(0), number(1));
  EXPECT_TRUE(opaques.empty());
}

class OpaqueRecords : public OpenProducer {
 protected:
  std::int64_t send_with(void* opaque, std::size_t size = 24) {
    const std::string value(size - sizeof(ipc::RecordHead), 'v');
    kfast_record_t record = KFAST_RECORD_INIT;
    record.topic = topic;
    record.value = value.data();
    record.value_size = value.size();
    record.opaque = opaque;
    return kfast_send_one(producer, &record, 0);
  }

  std::vector<void*> all_opaques() {
    std::vector<void*> all;
    kfast_report_t reports[3];
    void* opaques[3];
    int count = 0;
    while ((count = kfast_reports_opaque(producer, reports, opaques, 3)) > 0) {
      all.insert(all.end(), opaques, opaques + count);
    }
    EXPECT_EQ(count, 0) << kfast_last_error(producer);
    return all;
  }
};

TEST_F(OpaqueRecords, ComeBackWithTheirReportsAndOthersHaveNone) {
  open();
  ASSERT_EQ(send_with(number(1)), 0);
  ASSERT_EQ(send_frame(24), 24);
  ASSERT_EQ(send_with(number(2)), 48);
  ASSERT_EQ(send_with(nullptr), 72);
  ASSERT_EQ(send_with(number(3)), 96);
  channel->report({48, 72}, 1);
  channel->report({0, 24, 96}, 1);
  EXPECT_EQ(all_opaques(), (std::vector<void*>{number(2), nullptr, number(1), nullptr, number(3)}));
}

TEST_F(OpaqueRecords, AreDroppedByTheOtherCallsThatGiveTheirReports) {
  open();
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(send_with(number(i + 1)), i * 24);
  }
  channel->report({0, 24, 48, 72}, 1);
  kfast_report_t report;
  ASSERT_EQ(kfast_wait(producer, 48, 0, &report), KFAST_OK);
  ASSERT_EQ(kfast_reports(producer, &report, 1), 1);
  EXPECT_EQ(all_opaques(), (std::vector<void*>{number(2), number(4)}));
}

TEST_F(OpaqueRecords, ReportsThatAreReadLapsLaterFindTheirs) {
  open();
  std::vector<void*> sent;
  for (int i = 0; i < 40; ++i) {
    sent.push_back(i % 3 == 0 ? nullptr : number(i));
    ASSERT_EQ(send_with(sent.back(), 1024), i * 1024);
    channel->report({static_cast<std::uint64_t>(i) * 1024}, i);
    channel->move_head(channel->c2d().tail.load());
  }
  EXPECT_EQ(all_opaques(), sent);
}

TEST_F(OpaqueRecords, ARefusedRecordLeavesNothingBehind) {
  open();
  ASSERT_EQ(send_with(number(1), 1025), KFAST_ERR_TOO_LARGE);
  ASSERT_EQ(send_with(number(2)), 0);
  channel->report({0}, 1);
  EXPECT_EQ(all_opaques(), std::vector<void*>{number(2)});
  kfast_report_t report;
  EXPECT_EQ(kfast_reports_opaque(producer, &report, nullptr, 1), KFAST_ERR_INVALID);
  EXPECT_EQ(kfast_reports_opaque(producer, nullptr, nullptr, 0), 0);
}

TEST_F(OpaqueRecords, OfBatchesAndReservationsComeBackToo) {
  open();
  kfast_record_t batch[3] = {KFAST_RECORD_INIT, KFAST_RECORD_INIT, KFAST_RECORD_INIT};
  for (int i = 0; i < 3; ++i) {
    batch[i].topic = topic;
    batch[i].opaque = i == 1 ? nullptr : number(i + 1);
  }
  ASSERT_EQ(kfast_send_batch(producer, batch, 3, 0), 3);
  void* value = nullptr;
  batch[0].opaque = number(9);
  ASSERT_EQ(kfast_reserve(producer, batch, &value), KFAST_OK);
  ASSERT_EQ(kfast_cancel(producer), KFAST_OK);
  batch[0].opaque = number(4);
  ASSERT_EQ(kfast_reserve(producer, batch, &value), KFAST_OK);
  ASSERT_EQ(kfast_commit(producer, 0), 72);
  channel->report({0, 24, 48, 72}, 1);
  EXPECT_EQ(all_opaques(), (std::vector<void*>{number(1), nullptr, number(3), number(4)}));
}

TEST_F(OpaqueRecords, NeedAllReports) {
  open(4096, 4096, 16, "errors");
  EXPECT_EQ(send_with(number(1)), KFAST_ERR_INVALID);
  EXPECT_NE(std::strstr(kfast_last_error(producer), "reports=all"), nullptr);
  EXPECT_EQ(send_with(nullptr), 0);
}

}  // namespace
}  // namespace kfast::test
