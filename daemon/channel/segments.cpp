#include "channel/segments.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>

#include "kfast/ipc/done_bits.hpp"
#include "kfast/ipc/kill_point.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3; older kernels refuse it
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older kernels refuse it and pages fault in one by one
#endif

namespace kfast::daemon::channel {
namespace {

namespace bip = boost::interprocess;

SegmentError system_error(const char* what) {
  const int error = errno;
  std::string text = std::string(what) + ": " + std::strerror(error);
  if (error == EMFILE || error == ENFILE) {
    text += " (kfastd needs 3 descriptors per channel: raise LimitNOFILE or limits.*.channels)";
  } else if (error == ENOMEM || error == ENOSPC) {
    text +=
        " (no memory for rings: lower ring.bytes or limits.*.ring_bytes, or give kfastd more "
        "memory)";
  }
  return {true, text};
}

ipc::Fd make_memfd(const char* name, std::uint64_t bytes) {
  ipc::Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!fd.valid() && errno == EINVAL) {
    fd.reset(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  }
  if (fd.valid() && ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    fd.reset();
  }
  return fd;
}

bool add_seals(const ipc::Fd& fd, int seals) {
  return ::fcntl(fd.get(), F_ADD_SEALS, seals) == 0;
}

// Maps without exceptions escaping: Boost throws when mmap fails.
bool map(bip::mapped_region& region, const ipc::Fd& fd, bip::mode_t mode, std::uint64_t bytes) {
  try {
    bip::mapped_region mapped(MappableFd(fd.get()), mode, 0, bytes);
    region.swap(mapped);
    return true;
  } catch (const bip::interprocess_exception& failure) {
    errno = failure.get_native_error() != 0 ? failure.get_native_error() : ENOMEM;
    return false;
  }
}

// First-touch faults are the p99 of the first lap: take them now, in the process that should be
// charged for the pages.
// Not the report ring: its size is the client's choice, and its pages are touched as reports come.
void populate(const bip::mapped_region& region, std::uint64_t bytes) {
  static_cast<void>(::madvise(region.get_address(), bytes, MADV_POPULATE_WRITE));
}

// Checks what a client handed over before any byte of it is mapped.
std::string check_memfd(const ipc::Fd& fd, std::uint64_t bytes, int required_seals) {
  struct stat status {};
  struct statfs system {};
  if (::fstat(fd.get(), &status) != 0 || ::fstatfs(fd.get(), &system) != 0) {
    return std::strerror(errno);
  }
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY) {
    return "it was opened for writing only";
  }
  if (static_cast<unsigned long>(system.f_type) != TMPFS_MAGIC) {
    return "it is not on tmpfs";
  }
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) != bytes) {
    return "its size is not what its geometry says";
  }
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & required_seals) != required_seals) {
    return "its seals are not those of a kfast segment";
  }
  return {};
}

/// Layouts of one major version differ by words that the older side may leave alone.
bool layout_is_known(const ipc::SegmentIdentity& identity) {
  return identity.layout_major == ipc::kLayoutMajor && identity.layout_minor <= ipc::kLayoutMinor;
}

std::string other_layout(const ipc::SegmentIdentity& identity) {
  return "it has layout " + std::to_string(identity.layout_major) + "." +
         std::to_string(identity.layout_minor) + ", and this kfastd reads " +
         std::to_string(ipc::kLayoutMajor) + "." + std::to_string(ipc::kLayoutMinor);
}

constexpr int kC2dSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr int kD2cSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

std::int64_t wall_ahead_ms() {
  timespec wall{};
  timespec monotonic{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &wall);
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &monotonic);
  return (std::int64_t{wall.tv_sec} - monotonic.tv_sec) * 1000 +
         (wall.tv_nsec - monotonic.tv_nsec) / 1'000'000;
}

/// A former daemon's word of the clocks may be anything: what makes no sense says nothing.
std::int64_t clock_forward_ms(std::int64_t former_ahead_ms, std::int64_t ahead_ms) {
  constexpr std::int64_t kNoise = 1000;
  const bool sense = former_ahead_ms > 0 && former_ahead_ms < ahead_ms - kNoise;
  return sense ? ahead_ms - former_ahead_ms : 0;
}

bool create_d2c(Segments& s, std::uint32_t channel, std::uint64_t epoch,
                const ipc::ChannelOwner& owner) {
  s.d2c_fd = make_memfd("kfast-d2c", s.geometry.d2c_bytes);
  if (!s.d2c_fd.valid() || !map(s.d2c, s.d2c_fd, bip::read_write, s.geometry.d2c_bytes) ||
      !add_seals(s.d2c_fd, kD2cSeals)) {
    return false;
  }
  populate(s.d2c, s.geometry.d2c_ring);
  ipc::SegmentIdentity& identity = s.d2c_header().identity;
  identity.magic = ipc::kSegmentMagic;
  identity.layout_major = ipc::kLayoutMajor;
  identity.layout_minor = ipc::kLayoutMinor;
  identity.channel = channel;
  identity.daemon_epoch = epoch;
  identity.geometry = s.geometry;
  s.d2c_header().owner = owner;
  s.d2c_header().wall_ahead_ms.store(wall_ahead_ms(), std::memory_order_relaxed);
  return true;
}

}  // namespace

SegmentResult<bool> check_c2d(const ipc::Geometry& geometry, const ipc::Fd& c2d) {
  std::string why = check_memfd(c2d, geometry.c2d_bytes, kC2dSeals);
  if (why.empty() && (::fcntl(c2d.get(), F_GETFL) & O_ACCMODE) != O_RDWR) {
    why = "it was opened for reading only";
  }
  if (!why.empty()) {
    return Failure{
        SegmentError{false, "the record segment that was handed back is refused: " + why}};
  }
  return true;
}

SegmentResult<LeftBehind> read_left_behind(const ipc::Fd& d2c) {
  struct Head {
    alignas(ipc::D2cHeader) std::byte bytes[sizeof(ipc::D2cHeader)];
  } head{};
  if (::pread(d2c.get(), head.bytes, sizeof head.bytes, 0) !=
      static_cast<ssize_t>(sizeof head.bytes)) {
    return Failure{SegmentError{false, "it has no first page"}};
  }
  LeftBehind left;
  ipc::SegmentIdentity identity{};
  std::uint64_t retired = 0;
  std::memcpy(&identity, head.bytes + offsetof(ipc::D2cHeader, identity), sizeof identity);
  std::memcpy(&retired, head.bytes + offsetof(ipc::D2cHeader, retired), sizeof retired);
  std::memcpy(&left.owner, head.bytes + offsetof(ipc::D2cHeader, owner), sizeof left.owner);
  const ipc::Geometry& g = identity.geometry;
  if (identity.magic == ipc::kSegmentMagic && !layout_is_known(identity)) {
    return Failure{SegmentError{false, other_layout(identity), true}};
  }
  if (identity.magic != ipc::kSegmentMagic ||
      !ipc::geometry_is_possible(g.c2d_ring_bytes, g.d2c_ring_bytes, g.topic_capacity) ||
      !(g == ipc::geometry_of(g.c2d_ring_bytes, g.d2c_ring_bytes, g.topic_capacity))) {
    return Failure{SegmentError{false, "it has an impossible geometry"}};
  }
  left.owner.user[ipc::kOwnerText - 1] = '\0';
  left.owner.profile[ipc::kOwnerText - 1] = '\0';
  if (left.owner.group_count > ipc::kMaxOwnerGroups || left.owner.profile[0] == '\0') {
    return Failure{SegmentError{false, "it does not say whose channel it is"}};
  }
  left.geometry = g;
  left.channel = identity.channel;
  left.retired = retired != 0;
  return left;
}

bool has_records(const ipc::Fd& c2d) {
  std::uint64_t tail = 0;
  return ::pread(c2d.get(), &tail, sizeof tail, offsetof(ipc::C2dHeader, tail)) ==
             static_cast<ssize_t>(sizeof tail) &&
         tail != 0;
}

std::uint64_t inode_of(const ipc::Fd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 ? status.st_ino : 0;
}

SegmentResult<Segments> create_segments(const ipc::Geometry& geometry, std::uint32_t channel,
                                        std::uint64_t epoch, const ipc::ChannelOwner& owner) {
  Segments s;
  s.geometry = geometry;
  s.c2d_fd = make_memfd("kfast-c2d", geometry.c2d_bytes);
  if (!s.c2d_fd.valid() || !add_seals(s.c2d_fd, kC2dSeals) ||
      !map(s.c2d, s.c2d_fd, bip::read_only, geometry.c2d_bytes)) {
    return Failure{system_error("cannot make the record segment")};
  }
  if (!create_d2c(s, channel, epoch, owner)) {
    return Failure{system_error("cannot make the report segment")};
  }
  s.c2d_inode = inode_of(s.c2d_fd);
  return s;
}

SegmentResult<Adopted> adopt_segments(const ipc::Geometry& geometry, ipc::Fd c2d, ipc::Fd old_d2c,
                                      std::uint32_t channel, std::uint64_t epoch,
                                      const ipc::ChannelOwner& owner) {
  if (auto sound = check_c2d(geometry, c2d); !sound) {
    return Failure{sound.error()};
  }
  if (std::string why = check_memfd(old_d2c, geometry.d2c_bytes, kD2cSeals); !why.empty()) {
    return Failure{
        SegmentError{false, "the report segment that was handed back is refused: " + why}};
  }
  Adopted a;
  a.segments.geometry = geometry;
  a.segments.c2d_fd = std::move(c2d);
  bip::mapped_region old_region;  // read-only: the seal binds us, too
  if (!map(a.segments.c2d, a.segments.c2d_fd, bip::read_only, geometry.c2d_bytes) ||
      !map(old_region, old_d2c, bip::read_only, geometry.d2c_bytes)) {
    return Failure{system_error("cannot map the segments that were handed back")};
  }
  a.segments.c2d_inode = inode_of(a.segments.c2d_fd);

  // Nothing vouches for who wrote the old d2c: everything in it is read once and checked like
  // client memory. A lie in it can harm only the channel of the liar.
  const auto& old = *static_cast<const ipc::D2cHeader*>(old_region.get_address());
  ipc::SegmentIdentity identity{};
  std::memcpy(&identity, &old.identity, sizeof identity);
  if (identity.magic == ipc::kSegmentMagic && !layout_is_known(identity)) {
    return Failure{SegmentError{
        false, "the report segment that was handed back: " + other_layout(identity), true}};
  }
  if (identity.magic != ipc::kSegmentMagic || !(identity.geometry == geometry)) {
    return Failure{SegmentError{
        false, "the report segment that was handed back has another layout or geometry"}};
  }
  a.inheritance.head = old.head.load(std::memory_order_acquire);
  a.inheritance.taken = old.taken.load(std::memory_order_acquire);
  if (a.inheritance.head % ipc::kFrameAlign != 0 ||
      a.inheritance.taken - a.inheritance.head > geometry.c2d_ring_bytes) {
    return Failure{
        SegmentError{false, "the positions in the segment that was handed back are impossible"}};
  }

  KFAST_KILL_POINT("daemon.resume.segments_checked");
  if (!create_d2c(a.segments, channel, epoch, owner)) {
    return Failure{system_error("cannot make the report segment")};
  }
  const auto* from = static_cast<const std::byte*>(old_region.get_address());
  const std::uint64_t bits = ipc::bitmap_bytes(geometry.c2d_ring_bytes);
  std::memcpy(a.segments.d2c_at(geometry.done_bits), from + geometry.done_bits, bits);
  KFAST_KILL_POINT("daemon.resume.done_bits_copied");
  std::memcpy(a.segments.d2c_at(geometry.lost_bits), from + geometry.lost_bits, bits);
  ipc::D2cHeader& fresh = a.segments.d2c_header();
  fresh.head.store(a.inheritance.head, std::memory_order_relaxed);
  // Not back to the head: if this life ends before it has come as far, the next one must still know
  // what may be in Kafka.
  fresh.taken.store(a.inheritance.taken, std::memory_order_relaxed);
  a.inheritance.clock_forward_ms =
      clock_forward_ms(old.wall_ahead_ms.load(std::memory_order_relaxed),
                       fresh.wall_ahead_ms.load(std::memory_order_relaxed));
  KFAST_KILL_POINT("daemon.resume.adopted");
  return a;
}

SegmentResult<std::pair<ipc::Fd, bip::mapped_region>> create_page(const char* name) {
  std::pair<ipc::Fd, bip::mapped_region> page;
  page.first = make_memfd(name, ipc::kPage);
  if (!page.first.valid() || !map(page.second, page.first, bip::read_write, ipc::kPage) ||
      !add_seals(page.first, kD2cSeals)) {
    return Failure{system_error("cannot make a shared page")};
  }
  return page;
}

}  // namespace kfast::daemon::channel
