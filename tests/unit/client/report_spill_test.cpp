#include "report_spill.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

namespace kfast::client {
namespace {

kfast_report_t report_at(std::int64_t position) {
  return {position, position + 1, 0, 0, KFAST_DELIVERED, 0};
}

TEST(ReportSpill, IsAQueueOutOfWhoseMiddleOneCanTake) {
  ReportSpill spill;
  std::deque<std::int64_t> model;
  std::minstd_rand random(7);
  std::int64_t position = 0;
  kfast_report_t out[8];
  for (int round = 0; round < 200'000; ++round) {
    // More comes than goes, and later the other way.
    const bool grows = round % 40'000 < 20'000;
    const auto chance = random() % 10;
    if (chance < (grows ? 6U : 3U)) {
      ASSERT_TRUE(spill.reserve_one());
      position += 8 * static_cast<std::int64_t>(1 + random() % 5);
      spill.push(report_at(position));
      model.push_back(position);
    } else if (chance == 9) {
      const std::size_t wanted = random() % 8;
      const std::size_t count = spill.pop(out, wanted);
      ASSERT_EQ(count, std::min(wanted, model.size()));
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(out[i].position, model.front());
        model.pop_front();
      }
    } else if (!model.empty()) {
      const auto at = model.begin() + static_cast<std::ptrdiff_t>(
                                          chance == 8 ? model.size() - 1 : random() % model.size());
      ASSERT_TRUE(spill.take(*at, out[0]));
      ASSERT_EQ(out[0].offset, *at + 1);
      ASSERT_FALSE(spill.take(*at, out[0]));
      model.erase(at);
    }
    ASSERT_FALSE(spill.take(position + 8, out[0]));
    ASSERT_FALSE(spill.take(-1, out[0]));
    ASSERT_EQ(spill.size(), model.size());
  }
}

}  // namespace
}  // namespace kfast::client
