#include "channel_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "kfast/kfast.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace kfast::client {
namespace {

int broken(const char* what, ErrorText& why) noexcept {
  why.format("kfastd passed memory that does not fit: %s; it is broken, or not kfastd", what);
  return KFAST_ERR_PROTOCOL;
}

int no_memory(const char* what, std::size_t bytes, ErrorText& why) noexcept {
  why.format(
      "cannot map %zu bytes for %s: %s; make ring.bytes smaller, or raise the process's memory "
      "limits",
      bytes, what, std::strerror(errno));
  return KFAST_ERR_NO_MEMORY;
}

/// A mapped file that shrinks turns a load into SIGBUS, so the size is checked and the seal that
/// keeps it.
int check_segment(int fd, std::uint64_t bytes, const char* name, ErrorText& why) noexcept {
  struct stat facts {};
  if (fd < 0 || ::fstat(fd, &facts) != 0 || facts.st_size < 0 ||
      static_cast<std::uint64_t>(facts.st_size) != bytes) {
    return broken(name, why);
  }
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return broken("a segment is not sealed against shrinking", why);
  }
  return KFAST_OK;
}

bool geometry_fits(const ipc::Geometry& g) noexcept {
  return ipc::geometry_is_possible(g.c2d_ring_bytes, g.d2c_ring_bytes, g.topic_capacity) &&
         g == ipc::geometry_of(g.c2d_ring_bytes, g.d2c_ring_bytes, g.topic_capacity);
}

/// First-touch faults belong to the opening, not to a send. Kernels before 5.14 are served by
/// touching each page.
bool populate_writable(std::byte* at, std::size_t size) noexcept {
  if (::madvise(at, size, MADV_POPULATE_WRITE) == 0) {
    return true;
  }
  if (errno != EINVAL) {
    return false;
  }
  for (std::size_t offset = 0; offset < size; offset += ipc::kPage) {
    volatile std::byte* page = at + offset;
    *page = *page;
  }
  return true;
}

void populate_readable(const std::byte* at, std::size_t size) noexcept {
  if (::madvise(const_cast<std::byte*>(at), size, MADV_POPULATE_READ) == 0) {
    return;
  }
  for (std::size_t offset = 0; offset < size; offset += ipc::kPage) {
    static_cast<void>(*static_cast<const volatile std::byte*>(at + offset));
  }
}

/// Maps what the daemon writes: the d2c segment and the shard page.
int map_daemon_side(const ipc::Geometry& geometry, const ChannelFds& fds, Mapping& d2c,
                    Mapping& shard, ErrorText& why) noexcept {
  if (const int code = check_segment(fds.d2c.get(), geometry.d2c_bytes,
                                     "the report segment has another size", why);
      code != KFAST_OK) {
    return code;
  }
  struct stat facts {};
  if (::fstat(fds.shard.get(), &facts) != 0 ||
      facts.st_size < static_cast<off_t>(sizeof(ipc::ShardPage))) {
    return broken("there is no shard page", why);
  }
  d2c = Mapping::shared(fds.d2c.get(), geometry.d2c_bytes, PROT_READ);
  if (!d2c.valid()) {
    return no_memory("reports", geometry.d2c_bytes, why);
  }
  shard = Mapping::shared(fds.shard.get(), sizeof(ipc::ShardPage), PROT_READ);
  if (!shard.valid()) {
    return no_memory("the shard page", sizeof(ipc::ShardPage), why);
  }
  const auto& header = *reinterpret_cast<const ipc::D2cHeader*>(d2c.data());
  if (header.identity.magic != ipc::kSegmentMagic || !(header.identity.geometry == geometry)) {
    return broken("the report segment has no valid header", why);
  }
  const auto& page = *reinterpret_cast<const ipc::ShardPage*>(shard.data());
  if (page.magic != ipc::kShardMagic) {
    return broken("the shard page has no valid header", why);
  }
  if (header.identity.layout_major != ipc::kLayoutMajor || page.layout_major != ipc::kLayoutMajor) {
    why.format(
        "kfastd's memory has layout %u.%u, this libkfast %s knows layout %u.%u: install matching "
        "versions",
        static_cast<unsigned>(header.identity.layout_major),
        static_cast<unsigned>(header.identity.layout_minor), KFAST_VERSION,
        static_cast<unsigned>(ipc::kLayoutMajor), static_cast<unsigned>(ipc::kLayoutMinor));
    return KFAST_ERR_VERSION;
  }
  populate_readable(d2c.data(), d2c.size());
  return KFAST_OK;
}

}  // namespace

int ChannelMemory::map_new(const ipc::Opened& opened, ChannelFds& fds, ErrorText& why) noexcept {
  const ipc::Geometry& geometry = opened.geometry;
  if (!geometry_fits(geometry)) {
    return broken("its geometry is impossible", why);
  }
  if (const int code = check_segment(fds.c2d.get(), geometry.c2d_bytes,
                                     "the record segment has another size", why);
      code != KFAST_OK) {
    return code;
  }
  if (!fds.doorbell.valid()) {
    return broken("there is no doorbell", why);
  }
  Mapping d2c;
  Mapping shard;
  if (const int code = map_daemon_side(geometry, fds, d2c, shard, why); code != KFAST_OK) {
    return code;
  }
  Mapping c2d = Mapping::shared(fds.c2d.get(), geometry.c2d_bytes, PROT_READ | PROT_WRITE);
  if (!c2d.valid()) {
    return no_memory("records", geometry.c2d_bytes, why);
  }
  // The topic table between header and ring fills slowly, or not at all: its pages come when they
  // are needed.
  if (!populate_writable(c2d.data(), sizeof(ipc::C2dHeader)) ||
      !populate_writable(c2d.data() + geometry.c2d_ring, geometry.c2d_ring_bytes)) {
    return no_memory("records", geometry.c2d_bytes, why);
  }
  geometry_ = geometry;
  c2d_fd_ = static_cast<ipc::Fd&&>(fds.c2d);
  d2c_fd_ = static_cast<ipc::Fd&&>(fds.d2c);
  doorbell_ = static_cast<ipc::Fd&&>(fds.doorbell);
  c2d_ = static_cast<Mapping&&>(c2d);
  d2c_ = static_cast<Mapping&&>(d2c);
  shard_ = static_cast<Mapping&&>(shard);
  return KFAST_OK;
}

int ChannelMemory::map_resumed(const ipc::Opened& opened, ChannelFds& fds,
                               ErrorText& why) noexcept {
  if (!(opened.geometry == geometry_)) {
    return broken("the channel came back with another geometry", why);
  }
  if (!fds.doorbell.valid()) {
    return broken("there is no doorbell", why);
  }
  Mapping d2c;
  Mapping shard;
  if (const int code = map_daemon_side(geometry_, fds, d2c, shard, why); code != KFAST_OK) {
    return code;
  }
  d2c_fd_ = static_cast<ipc::Fd&&>(fds.d2c);
  doorbell_ = static_cast<ipc::Fd&&>(fds.doorbell);
  d2c_ = static_cast<Mapping&&>(d2c);
  shard_ = static_cast<Mapping&&>(shard);
  return KFAST_OK;
}

}  // namespace kfast::client
