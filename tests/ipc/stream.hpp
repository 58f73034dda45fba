// A stream of frames through one channel's real memory: what a client writes, and what a shard
// reads, rests for and checks.
#pragma once

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/doorbell.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/hostile.hpp"
#include "kfast/ipc/layout.hpp"
#include "kfast/ipc/ring.hpp"

namespace kfast::ipc::stream {

inline constexpr std::uint64_t kRingBytes = 256 * 1024;
inline constexpr std::uint64_t kMaxFrame = kRingBytes / kMaxFrameShare;  // 64 KiB
inline constexpr Geometry kGeometry = geometry_of(kRingBytes, kMinRingBytes, 1);
/// The stream crosses the end of u64 on its way.
inline constexpr std::uint64_t kStart = std::uint64_t{0} - 64 * kRingBytes;
/// One frame in so many waits until the shard is at rest, so that every kind of rest is met.
inline constexpr std::uint64_t kFramesPerRest = 128;
/// RecordHead::topic of the last frame.
inline constexpr std::uint16_t kLast = 1;

/// One mapping of a segment; unmaps on destruction.
class Mapping {
 public:
  Mapping(int fd, std::size_t size, int protection) : size_(size) {
    void* at = ::mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
      std::abort();
    }
    at_ = static_cast<std::byte*>(at);
  }
  Mapping(Mapping&& other) noexcept : at_(std::exchange(other.at_, nullptr)), size_(other.size_) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (at_ != nullptr) {
      ::munmap(at_, size_);
    }
  }
  [[nodiscard]] std::byte* at(std::uint64_t offset) const { return at_ + offset; }

 private:
  std::byte* at_ = nullptr;
  std::size_t size_;
};

inline Fd make_segment(const char* name, std::uint64_t bytes) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    std::abort();
  }
  return fd;
}

/// The fds of one channel and its shard page, and the words as the daemon sets them up.
struct ChannelFds {
  Fd c2d = make_segment("c2d", kGeometry.c2d_bytes);
  Fd d2c = make_segment("d2c", kGeometry.d2c_bytes);
  Fd shard_page = make_segment("shard", sizeof(ShardPage));
  Fd doorbell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

  ChannelFds() {
    const Mapping c2d_map(c2d.get(), kGeometry.c2d_bytes, PROT_READ | PROT_WRITE);
    const Mapping d2c_map(d2c.get(), kGeometry.d2c_bytes, PROT_READ | PROT_WRITE);
    reinterpret_cast<C2dHeader*>(c2d_map.at(0))->tail.store(kStart);
    auto* header = reinterpret_cast<D2cHeader*>(d2c_map.at(0));
    header->head.store(kStart);
    header->taken.store(kStart);
  }
};

/// One side's view of the channel: it can write only what is its own.
struct View {
  View(const ChannelFds& fds, int c2d_protection, int d2c_protection)
      : c2d_map(fds.c2d.get(), kGeometry.c2d_bytes, c2d_protection),
        d2c_map(fds.d2c.get(), kGeometry.d2c_bytes, d2c_protection),
        shard_map(fds.shard_page.get(), sizeof(ShardPage), d2c_protection),
        c2d(*reinterpret_cast<C2dHeader*>(c2d_map.at(0))),
        d2c(*reinterpret_cast<D2cHeader*>(d2c_map.at(0))),
        shard(*reinterpret_cast<ShardPage*>(shard_map.at(0))),
        ring(c2d_map.at(kGeometry.c2d_ring)) {}
  static View of_client(const ChannelFds& fds) {
    return View(fds, PROT_READ | PROT_WRITE, PROT_READ);
  }
  static View of_daemon(const ChannelFds& fds) {
    return View(fds, PROT_READ, PROT_READ | PROT_WRITE);
  }
  static View of_both(const ChannelFds& fds) {
    return View(fds, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE);
  }

  Mapping c2d_map;
  Mapping d2c_map;
  Mapping shard_map;
  C2dHeader& c2d;
  D2cHeader& d2c;
  ShardPage& shard;
  std::byte* ring;
};

/// The eight bytes that belong at `position`.
inline std::uint64_t word_at(std::uint64_t position) {
  return (position ^ (position >> 29U)) * 0x9E3779B97F4A7C15ULL;
}

/// Frames are aligned, and so are their words. Plain accesses: compilers do not show small copies
/// to ThreadSanitizer.
inline std::uint64_t* word_of(std::byte* at) {
  return reinterpret_cast<std::uint64_t*>(at);
}

/// The client: publishes frames of random sizes until `bytes` of ring are used. Returns how often
/// it rang.
inline std::uint64_t write_stream(View& view, int doorbell, std::uint64_t bytes) {
  RingWriter<HostAtomics> ring(view.c2d.tail, view.d2c.head, kRingBytes, kStart);
  Ringer<HostAtomics> ringer;
  std::minstd_rand random(1);
  std::uint64_t rings = 0;
  for (std::uint32_t ordinal = 0;; ++ordinal) {
    // Small frames and large ones alike: the exponent is uniform.
    const std::uint64_t limit = std::uint64_t{32} << random() % 12;
    const std::uint64_t size =
        std::max<std::uint64_t>(kMinRecordFrame, 1 + random() % std::min(limit, kMaxFrame));
    Reservation room{};
    while (!ring.reserve(align_up(size, kFrameAlign), room)) {
      ::sched_yield();
    }
    RecordHead head{};
    if (room.padding != 0) {
      head.size = static_cast<std::uint32_t>(room.padding);
      head.kind = FrameKind::padding;
      std::memcpy(view.ring + kRingBytes - room.padding, &head,
                  std::min<std::uint64_t>(room.padding, sizeof head));
    }
    const bool last = room.position - kStart >= bytes;
    head.size = static_cast<std::uint32_t>(size);
    head.kind = FrameKind::record;
    head.ordinal = ordinal;
    head.topic = last ? kLast : 0;
    std::memcpy(view.ring + room.offset, &head, sizeof head);
    for (std::uint64_t at = sizeof head; at < size; at += sizeof(std::uint64_t)) {
      *word_of(view.ring + room.offset + at) = word_at(room.position + at);
    }
    ring.publish();
    if (ringer.must_ring(view.d2c.parked, view.shard.state, view.d2c.taken, ring.tail(),
                         kRingBytes)) {
      ++rings;
      const std::uint64_t one = 1;
      if (::write(doorbell, &one, sizeof one) != sizeof one && errno != EAGAIN) {
        std::abort();
      }
    }
    if (last) {
      return rings;
    }
    if (random() % kFramesPerRest == 0) {
      const auto awake = [&] {
        return (view.shard.state.load() & ((1U << kShardStateBits) - 1)) ==
               static_cast<std::uint64_t>(ShardState::awake);
      };
      while (ring.refresh_head() != ring.tail() || awake()) {
        ::sched_yield();
      }
    }
  }
}

/// What the shard saw of a stream.
struct Seen {
  std::uint64_t bytes = 0;  // of ring
  std::uint64_t frames = 0;
  std::uint64_t parks = 0;
  std::uint64_t sleeps = 0;
  std::uint64_t naps = 0;
  std::uint64_t wakes = 0;           // by the doorbell
  std::optional<std::string> wrong;  // the first thing that was not as it should be
};

/// The daemon's side: takes frames, checks every byte of them, and rests in every way there is
/// whenever the ring is empty.
class StreamReader {
 public:
  StreamReader(View& view, int doorbell)
      : view_(view),
        ring_(view.c2d.tail, view.d2c.head, kRingBytes, kStart),
        parking_(view.d2c.parked),
        rest_(view.shard.state),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, doorbell, &event) != 0) {
      std::abort();
    }
  }

  Seen read_all() {
    while (!ended_ && !seen_.wrong) {
      if (parking_.parked() || !take_all()) {
        rest();
      }
    }
    seen_.bytes = ring_.taken() - kStart;
    return seen_;
  }

 private:
  /// False: nothing was there.
  bool take_all() {
    if (!ring_.look()) {
      seen_.wrong = "impossible tail";
      return true;
    }
    if (ring_.unread() == 0) {
      return false;
    }
    while (ring_.unread() != 0 && !seen_.wrong) {
      take_one();
    }
    HostAtomics::store_relaxed(view_.d2c.taken, ring_.taken());
    ring_.release(ring_.taken());
    return true;
  }

  void take_one() {
    const std::uint64_t room = std::min(ring_.unread(), ring_.to_end());
    RecordHead head{};
    if (room >= sizeof head) {
      head = Hostile<RecordHead>(view_.ring + ring_.offset()).fetch();
    } else {  // only padding is as small
      std::memcpy(&head, view_.ring + ring_.offset(), room);
    }
    const std::uint64_t size = align_up(head.size, kFrameAlign);
    if (size == 0 || size > room) {
      fail("size");
    } else if (head.kind == FrameKind::padding) {
      ring_.take(size);
    } else if (head.kind != FrameKind::record || head.ordinal != seen_.frames ||
               head.size < kMinRecordFrame) {
      fail("head");
    } else {
      check_bytes(head.size);
      ring_.take(size);
      ++seen_.frames;
      ended_ = head.topic == kLast;
    }
  }

  void check_bytes(std::uint64_t size) {
    for (std::uint64_t at = sizeof(RecordHead); at < size; at += sizeof(std::uint64_t)) {
      if (*word_of(view_.ring + ring_.offset() + at) != word_at(ring_.taken() + at)) {
        fail("byte " + std::to_string(at));
        return;
      }
    }
  }

  void fail(const std::string& what) {
    seen_.wrong = what + " of frame " + std::to_string(seen_.frames) + " at position " +
                  std::to_string(ring_.taken() - kStart);
  }

  /// Takes the ways to rest in turn: parked and asleep, asleep with the channel active, napping
  /// with the channel active.
  void rest() {
    const bool parks = turn_ == 0;
    if (parks && !parking_.parked()) {
      if (!parking_.park(view_.c2d.tail, ring_.seen())) {
        return;
      }
      ++seen_.parks;
    }
    const bool naps = turn_ == 2 && !parking_.parked();
    if (!rest_.rest(naps ? ShardState::napping : ShardState::asleep, [&] {
          return !parking_.parked() && HostAtomics::load_relaxed(view_.c2d.tail) != ring_.seen();
        })) {
      return;
    }
    ++(naps ? seen_.naps : seen_.sleeps);
    turn_ = (turn_ + 1) % 3;
    epoll_event event{};
    const int events = ::epoll_wait(epoll_.get(), &event, 1, naps ? 1 : -1);
    rest_.wake();
    if (events == 1) {
      ++seen_.wakes;
      if (parking_.parked()) {
        parking_.unpark();
      }
    }
  }

  View& view_;
  RingReader<HostAtomics> ring_;
  Parking<HostAtomics> parking_;
  ShardRest<HostAtomics> rest_;
  Fd epoll_;
  Seen seen_;
  unsigned turn_ = 0;
  bool ended_ = false;
};

}  // namespace kfast::ipc::stream
