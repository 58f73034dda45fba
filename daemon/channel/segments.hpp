// A channel's two memory segments on the daemon's side: made, checked, sealed and mapped.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstdint>
#include <string>
#include <utility>

#include "config/result.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/layout.hpp"

namespace kfast::daemon::channel {

/// Lets Boost.Interprocess map a descriptor that we own.
class MappableFd {
 public:
  explicit MappableFd(int fd) noexcept : fd_(fd) {}
  [[nodiscard]] boost::interprocess::mapping_handle_t get_mapping_handle() const noexcept {
    return {fd_, false};
  }

 private:
  int fd_;
};

/// The mapped segments of one channel. The daemon writes only d2c; c2d is read through the Hostile
/// wrappers. Movable, not copyable; used by one thread at a time.
struct Segments {
  ipc::Geometry geometry{};
  ipc::Fd c2d_fd;
  ipc::Fd d2c_fd;
  std::uint64_t c2d_inode = 0;  // identifies the c2d segment for as long as anybody holds it
  boost::interprocess::mapped_region c2d;
  boost::interprocess::mapped_region d2c;

  [[nodiscard]] const std::byte* c2d_at(std::uint64_t offset) const noexcept {
    return static_cast<const std::byte*>(c2d.get_address()) + offset;
  }
  [[nodiscard]] std::byte* d2c_at(std::uint64_t offset) const noexcept {
    return static_cast<std::byte*>(d2c.get_address()) + offset;
  }
  /// The client's words: read-only here, whatever the mapping would allow.
  [[nodiscard]] const ipc::C2dHeader& c2d_header() const noexcept {
    return *static_cast<const ipc::C2dHeader*>(c2d.get_address());
  }
  [[nodiscard]] ipc::D2cHeader& d2c_header() const noexcept {
    return *static_cast<ipc::D2cHeader*>(d2c.get_address());
  }
};

/// What a previous daemon left in a d2c segment.
struct Inheritance {
  std::uint64_t head = 0;
  std::uint64_t taken = 0;
  /// By how much the wall clock was set forward since; 0 where it was not, or that is not known.
  std::int64_t clock_forward_ms = 0;
};

/// What went wrong, in words with cause and cure.
struct SegmentError {
  bool resources =
      false;  // the system has no memory or descriptors left; else the client's segment is bad
  std::string text;
  bool other_layout = false;  // it is one of another version of kfastd
};

template <class T>
using SegmentResult = Result<T, SegmentError>;

/// Makes and maps both segments of a new channel, sealed as the design says. `channel`, `epoch` and
/// `owner` go into its first page.
[[nodiscard]] SegmentResult<Segments> create_segments(const ipc::Geometry& geometry,
                                                      std::uint32_t channel, std::uint64_t epoch,
                                                      const ipc::ChannelOwner& owner = {});

struct Adopted {
  Segments segments;
  Inheritance inheritance;
};

/// Takes over the segments of a channel of a previous daemon: checks seals, file system and sizes
/// of both before mapping them, and makes a new d2c that starts where the old one stood.
[[nodiscard]] SegmentResult<Adopted> adopt_segments(const ipc::Geometry& geometry, ipc::Fd c2d,
                                                    ipc::Fd old_d2c, std::uint32_t channel,
                                                    std::uint64_t epoch,
                                                    const ipc::ChannelOwner& owner = {});

/// What stands in the first page of a d2c segment that no client can have made, because it comes
/// from the descriptor store. Everything in it is in its range, but adopt_segments() has to check
/// the segment.
struct LeftBehind {
  ipc::Geometry geometry{};
  std::uint32_t channel = 0;
  bool retired = false;
  ipc::ChannelOwner owner{};
};
[[nodiscard]] SegmentResult<LeftBehind> read_left_behind(const ipc::Fd& d2c);

/// Whether a descriptor that a client shows can be the c2d segment of a channel, open for writing.
/// Only then its inode_of() says which one it is: other file systems give their files any number.
[[nodiscard]] SegmentResult<bool> check_c2d(const ipc::Geometry& geometry, const ipc::Fd& c2d);

/// Whether a c2d segment, by its first page, was ever used.
[[nodiscard]] bool has_records(const ipc::Fd& c2d);

/// The inode behind a descriptor: tells whether two descriptors are the same segment. 0 when it
/// cannot be read.
[[nodiscard]] std::uint64_t inode_of(const ipc::Fd& fd);

/// A read-write page that clients map read-only (sealed); used for shard pages.
[[nodiscard]] SegmentResult<std::pair<ipc::Fd, boost::interprocess::mapped_region>> create_page(
    const char* name);

}  // namespace kfast::daemon::channel
