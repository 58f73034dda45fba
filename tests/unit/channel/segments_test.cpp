#include "channel/segments.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "channel_fixture.hpp"

namespace kfast::daemon::channel::test {
namespace {

constexpr int kAllSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

class SegmentsTest : public ChannelTest {
 protected:
  void SetUp() override { open(); }
  [[nodiscard]] const Segments& segments() const { return channel_->segments(); }

  static void* map(const ipc::Fd& fd, std::uint64_t size, int protection) {
    return ::mmap(nullptr, size, protection, MAP_SHARED, fd.get(), 0);
  }

  /// A d2c as a previous daemon would leave it, but for what `change` does; sealed with `seals`.
  [[nodiscard]] ipc::Fd forged_d2c(const std::function<void(ipc::D2cHeader&)>& change,
                                   int seals = kAllSeals) const {
    ipc::Fd fd(::memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    const std::uint64_t size = segments().geometry.d2c_bytes;
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
    void* memory = map(fd, size, PROT_READ | PROT_WRITE);
    EXPECT_NE(memory, MAP_FAILED);
    std::memcpy(memory, segments().d2c_at(0), size);
    change(*static_cast<ipc::D2cHeader*>(memory));
    ::munmap(memory, size);
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return fd;
  }
  [[nodiscard]] std::string why_not_adopted(ipc::Fd c2d, ipc::Fd d2c) const {
    const auto adopted = adopt_segments(segments().geometry, std::move(c2d), std::move(d2c), 8, 2);
    if (adopted.ok()) {
      return "adopted";
    }
    EXPECT_FALSE(adopted.error().resources) << "the client's fault, not the system's";
    return adopted.error().text;
  }
  [[nodiscard]] std::string why_not_adopted(
      const std::function<void(ipc::D2cHeader&)>& change) const {
    return why_not_adopted(copy_of(segments().c2d_fd), forged_d2c(change));
  }
};

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

TEST_F(SegmentsTest, TheClientCannotMapTheDaemonsSegmentWritable) {
  EXPECT_EQ(map(segments().d2c_fd, 4096, PROT_READ | PROT_WRITE), MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::pwrite(segments().d2c_fd.get(), "x", 1, 0), -1);
  void* readable = map(segments().d2c_fd, 4096, PROT_READ);
  ASSERT_NE(readable, MAP_FAILED);
  EXPECT_NE(::mprotect(readable, 4096, PROT_READ | PROT_WRITE), 0);
  ::munmap(readable, 4096);
}

TEST_F(SegmentsTest, NobodyCanResizeOrSealASegmentAnew) {
  for (const ipc::Fd* fd : {&segments().c2d_fd, &segments().d2c_fd}) {
    EXPECT_EQ(::ftruncate(fd->get(), 4096), -1);
    EXPECT_EQ(::ftruncate(fd->get(), 1 << 20), -1);
    EXPECT_EQ(::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST_F(SegmentsTest, AHoleThatTheClientPunchesIsAViolationAndNoLoop) {
  client_->send({});
  client_->send({});
  ASSERT_EQ(::fallocate(segments().c2d_fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        static_cast<off_t>(segments().geometry.c2d_ring), 4096),
            0);
  const TakeResult result = take();
  EXPECT_NE(result.violation, nullptr);
  EXPECT_EQ(result.records, 0U);
  EXPECT_TRUE(sink_->values.empty());
}

TEST_F(SegmentsTest, TheIdentitySaysWhatTheSegmentIs) {
  const ipc::SegmentIdentity& identity = client_->daemon_words().identity;
  EXPECT_EQ(identity.magic, ipc::kSegmentMagic);
  EXPECT_EQ(identity.channel, 7U);
  EXPECT_EQ(identity.daemon_epoch, 1U);
  EXPECT_TRUE(identity.geometry == segments().geometry);
}

TEST_F(SegmentsTest, WhatAPreviousDaemonLeftIsAdopted) {
  const auto adopted = adopt_copies(segments());
  ASSERT_TRUE(adopted.ok()) << adopted.error().text;
  EXPECT_EQ(adopted->segments.c2d_inode, segments().c2d_inode);
  EXPECT_NE(inode_of(adopted->segments.d2c_fd), inode_of(segments().d2c_fd));
  EXPECT_EQ(adopted->segments.d2c_header().identity.daemon_epoch, 2U);
}

TEST_F(SegmentsTest, AFileThatCanShrinkUnderUsIsNotAdopted) {
  char path[] = "/tmp/kfast-segment-XXXXXX";
  ipc::Fd file(::mkstemp(path));
  ASSERT_TRUE(file.valid());
  ::unlink(path);
  ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(segments().geometry.c2d_bytes)), 0);
  const std::string why = why_not_adopted(std::move(file), copy_of(segments().d2c_fd));
  EXPECT_TRUE(contains(why, "not on tmpfs") || contains(why, "seals")) << why;
}

TEST_F(SegmentsTest, AMemfdWithoutTheSealsIsNotAdopted) {
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE}) {
    const auto why =
        why_not_adopted(copy_of(segments().c2d_fd), forged_d2c([](auto&) {}, kAllSeals & ~missing));
    EXPECT_TRUE(contains(why, "seals")) << why;
  }
  ipc::Fd bare(::memfd_create("bare", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(bare.get(), static_cast<off_t>(segments().geometry.c2d_bytes)), 0);
  EXPECT_TRUE(contains(why_not_adopted(std::move(bare), copy_of(segments().d2c_fd)), "seals"));
}

TEST_F(SegmentsTest, AnotherSizeIsNotAdopted) {
  const auto sealed = [](std::uint64_t size) {
    ipc::Fd fd(::memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, kAllSeals), 0);
    return fd;
  };
  for (const std::uint64_t off : {std::uint64_t{4096}, std::uint64_t{1}, UINT64_MAX}) {
    EXPECT_TRUE(contains(
        why_not_adopted(sealed(segments().geometry.c2d_bytes + off), copy_of(segments().d2c_fd)),
        "size"));
    EXPECT_TRUE(contains(
        why_not_adopted(copy_of(segments().c2d_fd), sealed(segments().geometry.d2c_bytes + off)),
        "size"));
  }
  EXPECT_TRUE(contains(why_not_adopted(sealed(0), sealed(0)), "size"));
}

TEST_F(SegmentsTest, AnotherLayoutIsNotAdopted) {
  EXPECT_TRUE(contains(why_not_adopted([](auto& d2c) { d2c.identity.magic ^= 1; }), "layout"));
  EXPECT_TRUE(contains(why_not_adopted([](auto& d2c) { ++d2c.identity.layout_major; }), "layout"));
  EXPECT_TRUE(contains(why_not_adopted([](auto& d2c) { ++d2c.identity.layout_minor; }), "layout"));
  EXPECT_TRUE(contains(why_not_adopted([](auto& d2c) { d2c.identity.geometry.d2c_ring += 8; }),
                       "geometry"));
}

TEST_F(SegmentsTest, ImpossiblePositionsAreNotAdopted) {
  EXPECT_TRUE(contains(why_not_adopted([](auto& d2c) { d2c.head = 4; }), "positions"));
  EXPECT_TRUE(contains(why_not_adopted([](auto& d2c) { d2c.head = 8; }), "positions"))
      << "taken behind the head";
  EXPECT_TRUE(contains(why_not_adopted([](auto& d2c) { d2c.taken = 4104; }), "positions"))
      << "more taken than the ring has";
  EXPECT_EQ(why_not_adopted([](auto& d2c) { d2c.taken = 4096; }), "adopted");
}

TEST_F(SegmentsTest, NothingButADescriptorOfMemoryIsAdopted) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const ipc::Fd write_end(ends[1]);
  EXPECT_NE(why_not_adopted(ipc::Fd(ends[0]), copy_of(segments().d2c_fd)), "adopted");
  EXPECT_NE(why_not_adopted(ipc::Fd(), copy_of(segments().d2c_fd)), "adopted");
}

TEST_F(SegmentsTest, AHeadThatOnlyTheLiarSuffersFromEndsItsChannelAtTheFirstLook) {
  auto adopted =
      adopt_segments(segments().geometry, copy_of(segments().c2d_fd), forged_d2c([](auto& d2c) {
                       d2c.head = std::uint64_t{1} << 40U;
                       d2c.taken = std::uint64_t{1} << 40U;
                     }),
                     8, 2);
  ASSERT_TRUE(adopted.ok());
  channel_ = std::make_unique<ProducerChannel>(std::move(adopted->segments), settings_,
                                               adopted->inheritance);
  EXPECT_STREQ(take().violation, "an impossible tail");
}

}  // namespace
}  // namespace kfast::daemon::channel::test
