#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "kfastctl/snapshot.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::telemetry {
namespace {

constexpr int kWriters = 2;
constexpr std::uint64_t kSightings = 5000;

/// A topic name whose bytes all tell the same number, so that a mixture of two names shows.
std::string name_of(std::uint64_t number) {
  return std::string(200 + number % 50, static_cast<char>('a' + number % 26));
}

constexpr std::uint32_t kTextBytes = 1024;

/// A block outside of any segment, with one long text and no values.
struct LooseBlock {
  ipc::stats::BlockHead head;
  ipc::stats::Word text[kTextBytes / sizeof(ipc::stats::Word)];

  void relabel(std::string_view label) {
    ipc::stats::begin_change(head);
    ipc::stats::store_text(text, kTextBytes, label);
    head.state.store(static_cast<std::uint64_t>(ipc::stats::BlockState::used));
    ipc::stats::end_change(head);
  }
  [[nodiscard]] auto read() const {
    ipc::stats::ScopeInfo scope{};
    scope.text_count = 1;
    scope.texts[0] = {"text", offsetof(LooseBlock, text), kTextBytes, ipc::stats::TextRole::label,
                      0};
    return ipc::stats::read_block(scope, reinterpret_cast<const std::byte*>(this));
  }
};

TEST(ReadBlock, ABlockThatIsBeingChangedIsNotRead) {
  LooseBlock block{};
  block.relabel("a");
  EXPECT_TRUE(block.read());
  ipc::stats::begin_change(block.head);
  EXPECT_FALSE(block.read());
  ipc::stats::end_change(block.head);
  EXPECT_TRUE(block.read());
}

const std::string kBefore(kTextBytes - 1, 'a');
const std::string kAfter(kTextBytes - 1, 'b');
constexpr std::size_t kPageBytes = 4096;
LooseBlock* changed_while_read = nullptr;
std::byte* second_page = nullptr;

/// The reader has come to the block's second page: the block changes at exactly that moment.
void change_block(int) {
  ::mprotect(second_page, kPageBytes, PROT_READ | PROT_WRITE);
  changed_while_read->relabel(kAfter);
}

TEST(ReadBlock, ABlockThatChangesInTheMiddleOfAReadIsReadAgain) {
  void* pages =
      ::mmap(nullptr, 2 * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  second_page = static_cast<std::byte*>(pages) + kPageBytes;
  changed_while_read = new (second_page - kTextBytes / 2) LooseBlock{};
  changed_while_read->relabel(kBefore);
  struct sigaction action {};
  struct sigaction earlier {};
  action.sa_handler = change_block;
  ASSERT_EQ(::sigaction(SIGSEGV, &action, &earlier), 0);
  ASSERT_EQ(::mprotect(second_page, kPageBytes, PROT_NONE), 0);

  const auto copy = changed_while_read->read();
  EXPECT_EQ(::sigaction(SIGSEGV, &earlier, nullptr), 0);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->texts[0], kAfter);
  EXPECT_EQ(::munmap(pages, 2 * kPageBytes), 0);
}

TEST(StatsConcurrency, AReaderNeverSeesAMixtureOfTwoBlocksWhileWritersChurn) {
  constexpr auto kTopic = static_cast<std::uint32_t>(Scope::topic);
  StatsSegment::Options options;
  options.blocks[kTopic] = 2;  // "(other)" and one that is reused all the time
  options.cool_off = std::chrono::milliseconds(0);
  const auto created = StatsSegment::create(std::move(options));
  ASSERT_TRUE(created.segment) << created.error;
  StatsSegment& stats = *created.segment;

  std::atomic<bool> enough{false};
  std::atomic<std::uint64_t> lives{0};
  std::vector<std::jthread> writers;
  for (std::uint64_t writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      for (std::uint64_t number = writer; !enough.load(); number += kWriters) {
        TopicBlock block = stats.topic_block(name_of(number).substr(0, 40), name_of(number), "p");
        block.add(TopicCounter::taken_messages, 2);
        block.add(TopicCounter::delivered);
        lives.fetch_add(1);
      }
    });
  }
  const std::byte* base = stats.bytes().data();
  const auto& header = *reinterpret_cast<const ipc::stats::Header*>(base);
  const ipc::stats::ScopeInfo& scope =
      reinterpret_cast<const ipc::stats::ScopeInfo*>(base + header.scopes_offset)[kTopic];
  const std::byte* reused = base + scope.blocks_offset + scope.block_bytes;
  std::string mixture;
  for (std::uint64_t seen = 0; seen < kSightings && mixture.empty();) {
    const auto copy = ipc::stats::read_block(scope, reused);
    if (!copy) {
      continue;
    }
    ++seen;
    const std::string& cluster = copy->texts[0];
    const std::string& topic = copy->texts[1];
    const std::uint64_t taken =
        copy->values[static_cast<std::uint32_t>(TopicCounter::taken_messages)];
    if (topic.size() < 200 || cluster != topic.substr(0, 40) ||
        topic != std::string(topic.size(), topic[0]) || taken > 2) {
      mixture = cluster + " " + topic + " " + std::to_string(taken);
    }
  }
  enough = true;
  writers.clear();
  EXPECT_EQ(mixture, "");
  // Every count of every life is in the total.
  const auto parsed = ctl::parse_snapshot(stats.bytes(), true, 0);
  ASSERT_TRUE(parsed.snapshot) << parsed.error;
  std::uint64_t taken = 0;
  for (const ctl::Metric& metric : parsed.snapshot->metrics) {
    taken += metric.name == "kfast_produce_taken_messages_total" ? metric.value : 0;
  }
  EXPECT_EQ(taken, 2 * lives.load());
}

TEST(StatsConcurrency, ThreadsThatShareOtherLoseNoCount) {
  StatsSegment::Options options;
  options.blocks[static_cast<std::uint32_t>(Scope::topic)] = 1;
  const auto created = StatsSegment::create(std::move(options));
  ASSERT_TRUE(created.segment) << created.error;
  constexpr std::uint64_t kAdds = 20000;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&] {
      TopicBlock block = created.segment->topic_block("main", "orders", "p");
      for (std::uint64_t add = 0; add < kAdds; ++add) {
        block.add(TopicCounter::taken_messages);
      }
    });
  }
  threads.clear();
  const auto parsed = ctl::parse_snapshot(created.segment->bytes(), true, 0);
  ASSERT_TRUE(parsed.snapshot);
  for (const ctl::Metric& metric : parsed.snapshot->metrics) {
    if (metric.name == "kfast_produce_taken_messages_total") {
      EXPECT_EQ(metric.value, 2 * kAdds);
    }
  }
}

}  // namespace
}  // namespace kfast::daemon::telemetry
