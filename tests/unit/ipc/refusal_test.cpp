#include "kfast/ipc/refusal.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

namespace kfast::ipc {
namespace {

std::string read(const Refusal& refusal) {
  char text[kRefusalText];
  get_refusal(refusal, text);
  return text;
}

void write(Refusal& refusal, const std::string& text) {
  put_refusal(refusal, text.data(), text.size());
}

TEST(Refusal, ZerosAreNoWords) {
  const auto refusal = std::make_unique<Refusal>();
  EXPECT_EQ(read(*refusal), "");
}

TEST(Refusal, TheLastWordsStand) {
  const auto refusal = std::make_unique<Refusal>();
  write(*refusal, "a longer sentence");
  EXPECT_EQ(read(*refusal), "a longer sentence");
  write(*refusal, "short");
  EXPECT_EQ(read(*refusal), "short");
}

TEST(Refusal, TooManyWordsAreCut) {
  const auto refusal = std::make_unique<Refusal>();
  write(*refusal, std::string(1000, 'x'));
  EXPECT_EQ(read(*refusal), std::string(kRefusalText - 1, 'x'));
}

TEST(Refusal, AWriterThatDiedAtItLeavesNoWords) {
  const auto refusal = std::make_unique<Refusal>();
  write(*refusal, "words");
  refusal->version.fetch_add(1);
  EXPECT_EQ(read(*refusal), "");
}

TEST(Refusal, IsNeverReadHalfWritten) {
  const auto refusal = std::make_unique<Refusal>();
  std::atomic<bool> ended{false};
  std::thread writer([&] {
    for (int n = 0; n < 20'000; ++n) {
      write(*refusal, std::string(kRefusalText - 1, static_cast<char>('a' + n % 26)));
    }
    ended = true;
  });
  while (!ended) {
    const std::string text = read(*refusal);
    EXPECT_EQ(text.find_first_not_of(text.empty() ? 'a' : text[0]), std::string::npos);
  }
  writer.join();
}

}  // namespace
}  // namespace kfast::ipc
