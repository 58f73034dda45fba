#include "kfastctl/snapshot.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>

#include "kfast/ipc/stats_layout.hpp"
#include "kfastctl/stats_file.hpp"
#include "segment_fixture.hpp"

namespace kfast::ctl {
namespace {

using ipc::stats::Header;
using ipc::stats::ScopeInfo;

/// A copy of a small sound segment, to be damaged.
class DamagedSegmentTest : public ::testing::Test {
 protected:
  DamagedSegmentTest() {
    daemon::telemetry::StatsSegment::Options options;
    options.blocks.fill(2);
    const auto created = daemon::telemetry::StatsSegment::create(std::move(options));
    size_ = created.segment->bytes().size();
    copy_.reset(new (std::align_val_t{ipc::stats::kLine}) std::byte[size_]);
    std::memcpy(copy_.get(), created.segment->bytes().data(), size_);
  }

  Header& header() { return *reinterpret_cast<Header*>(copy_.get()); }
  ScopeInfo& scope(std::uint32_t index) {
    return reinterpret_cast<ScopeInfo*>(copy_.get() + header().scopes_offset)[index];
  }
  std::string error() { return parse_snapshot({copy_.get(), size_}, true, 0).error; }

  struct AlignedDelete {
    void operator()(std::byte* bytes) const {
      ::operator delete[](bytes, std::align_val_t{ipc::stats::kLine});
    }
  };
  std::size_t size_ = 0;
  std::unique_ptr<std::byte[], AlignedDelete> copy_;
};

TEST_F(DamagedSegmentTest, ASoundCopyIsRead) {
  EXPECT_EQ(error(), "");
}

TEST_F(DamagedSegmentTest, AnotherLayoutIsNamed) {
  header().layout_version = 7;
  EXPECT_NE(error().find("layout 7"), std::string::npos) << error();
}

TEST_F(DamagedSegmentTest, SomethingElseIsNoSegment) {
  header().magic = 0;
  EXPECT_NE(error().find("not a stats segment"), std::string::npos) << error();
}

TEST_F(DamagedSegmentTest, NothingOutsideTheSegmentIsRead) {
  const std::vector<std::function<void()>> damages = {
      [&] { header().segment_bytes += 4096; },
      [&] { header().scope_count = 1000; },
      [&] { header().shard_count = 65; },
      [&] { header().scopes_offset = size_ - 8; },
      [&] { header().descriptors_offset = ~std::uint64_t{63}; },
      [&] { header().descriptor_count = ~0U; },
      [&] { scope(3).blocks_offset = ~std::uint64_t{127}; },
      [&] { scope(3).block_count = ~0U; },
      [&] { scope(3).block_bytes = 0; },
      [&] { scope(3).values_offset = scope(3).block_bytes; },
      [&] { scope(3).text_count = 7; },
      [&] { scope(3).value_count = 257; },
      [&] { scope(3).texts[1].offset = scope(3).block_bytes - 8; },
      [&] { scope(3).texts[1].capacity = 4096; },
      [&] { scope(3).blocks_touched = 3; },
  };
  const std::vector<std::byte> sound(copy_.get(), copy_.get() + size_);
  for (std::size_t at = 0; at < damages.size(); ++at) {
    damages[at]();
    EXPECT_NE(error().find("damaged"), std::string::npos) << at;
    std::memcpy(copy_.get(), sound.data(), size_);
  }
}

TEST_F(DamagedSegmentTest, ATruncatedFileIsDamaged) {
  size_ = sizeof(Header) - 1;
  EXPECT_NE(error().find("damaged"), std::string::npos);
}

class StatsFileOpenTest : public SegmentFixture {};

TEST_F(StatsFileOpenTest, AMissingFileIsAnErrorThatSaysHowToStartKfastd) {
  const auto opened = StatsFile::open(directory_);
  EXPECT_FALSE(opened.file);
  EXPECT_EQ(opened.failure, StatsFile::Failure::absent);
  EXPECT_NE(opened.error.find(directory_ + "/stats"), std::string::npos);
  EXPECT_NE(opened.error.find("systemctl start kfastd"), std::string::npos);
}

TEST_F(StatsFileOpenTest, ADirectoryOrAnEmptyFileInItsPlaceIsRefused) {
  std::filesystem::create_directory(directory_ + "/stats");
  EXPECT_EQ(StatsFile::open(directory_).failure, StatsFile::Failure::other);
  std::filesystem::remove(directory_ + "/stats");
  ASSERT_EQ(::close(::creat((directory_ + "/stats").c_str(), 0644)), 0);
  EXPECT_EQ(StatsFile::open(directory_).failure, StatsFile::Failure::other);
}

TEST_F(StatsFileOpenTest, TheWriterOfALivingProcessIsAliveAndOfAKilledOneIsNot) {
  leave_segment_of_a_dead_process();
  EXPECT_FALSE(StatsFile::open(directory_).file->writer_is_alive());
  const auto stats = make_segment();
  const auto opened = StatsFile::open(directory_);
  EXPECT_TRUE(opened.file->writer_is_alive());
  EXPECT_TRUE(opened.file->writer_is_alive());
}

}  // namespace
}  // namespace kfast::ctl
