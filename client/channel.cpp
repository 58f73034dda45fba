#include "channel.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kfast/ipc/kill_point.hpp"

namespace kfast::client {
namespace {

int malformed_reports(ErrorText& why) noexcept {
  why.set(
      "kfastd wrote a report that makes no sense: it is broken; see its log, and report the bug");
  return KFAST_ERR_PROTOCOL;
}

}  // namespace

int Channel::open(const ipc::Opened& opened, ChannelFds& fds, ipc::ReportsMode mode,
                  ErrorText& why) noexcept {
  if (const int code = memory_.map_new(opened, fds, why); code != KFAST_OK) {
    return code;
  }
  const ipc::Geometry& geometry = memory_.geometry();
  ipc::C2dHeader& c2d = memory_.c2d();
  const std::uint64_t start = c2d.tail.load(std::memory_order_relaxed);
  if (opened.position != start || memory_.d2c().head.load(std::memory_order_acquire) != start ||
      start % ipc::kFrameAlign != 0) {
    why.set("kfastd passed a new channel that is not empty: it is broken");
    return KFAST_ERR_PROTOCOL;
  }
  if (!topics_.open(memory_.topic_table(), geometry.topic_capacity, c2d.topic_count) ||
      !seen_.open(geometry.c2d_ring_bytes)) {
    why.format("no memory for the channel's tables: %s", std::strerror(errno));
    return KFAST_ERR_NO_MEMORY;
  }
  ring_ = memory_.c2d_ring();
  reports_wanted_ = mode != ipc::ReportsMode::none;
  max_frame_ = geometry.c2d_ring_bytes / ipc::kMaxFrameShare;
  writer_ = ipc::RingWriter<ipc::HostAtomics>(c2d.tail, memory_.d2c().head, geometry.c2d_ring_bytes,
                                              start);
  bind_daemon_side(opened, start);
  return KFAST_OK;
}

void Channel::bind_daemon_side(const ipc::Opened& opened, std::uint64_t head) noexcept {
  const ipc::D2cHeader& d2c = memory_.d2c();
  number_ = opened.channel;
  max_record_ = opened.max_record_bytes;
  const std::uint64_t in_frame = max_frame_ - sizeof(ipc::RecordHead);
  max_payload_ = max_record_ < in_frame ? max_record_ : in_frame;
  topic_states_ = memory_.topic_states();
  parked_ = &d2c.parked;
  shard_state_ = &memory_.shard().state;
  taken_ = &d2c.taken;
  writer_.bind_head(d2c.head, head);
  ringer_.reset();
  reader_ = ReportReader(d2c.tail, memory_.c2d().d2c_head, memory_.d2c_ring(),
                         memory_.geometry().d2c_ring_bytes);
  armed_ = false;
  credit_ = reports_wanted_ ? 0 : ~std::uint64_t{0};
}

// ---- the cold side of append --------------------------------------------------------------------

Refusal Channel::refusal_of(std::uint8_t state) noexcept {
  switch (static_cast<ipc::TopicState>(state)) {
    case ipc::TopicState::not_allowed:
      return Refusal::not_allowed;
    case ipc::TopicState::limit:
      return Refusal::topic_limit;
    case ipc::TopicState::unseen:
    case ipc::TopicState::open:
    case ipc::TopicState::over_budget:
      break;
  }
  // A state of a later layout is a reason to wait, not to lose.
  return Refusal::over_budget;
}

void Channel::write_padding(std::uint64_t position, std::uint64_t size) noexcept {
  std::byte* at = ring_ + (position & (writer_.capacity() - 1));
  ipc::RecordHead head{};
  head.size = static_cast<std::uint32_t>(size);
  head.kind = ipc::FrameKind::padding;
  head.ordinal = next_ordinal_;
  std::memcpy(at, &head, size < sizeof head ? ipc::kMinPaddingFrame : sizeof head);
}

std::byte* Channel::write_headers(std::byte* at, const Record& record) noexcept {
  for (std::size_t i = 0; i < record.header_count; ++i) {
    const kfast_header_t& header = record.headers[i];
    const bool has_value = header.value != nullptr;
    ipc::HeaderHead head{};
    head.name_size = static_cast<std::uint16_t>(header.name_size);
    head.value_size = has_value ? static_cast<std::uint32_t>(header.value_size) : ipc::kNullHeader;
    std::memcpy(at, &head, sizeof head);
    at += sizeof head;
    if (header.name_size != 0) {
      std::memcpy(at, header.name, header.name_size);
      at += header.name_size;
    }
    if (has_value && header.value_size != 0) {
      std::memcpy(at, header.value, header.value_size);
      at += header.value_size;
    }
  }
  return at;
}

void Channel::ring_doorbell() const noexcept {
  const std::uint64_t one = 1;
  ssize_t written = 0;
  do {
    written = ::write(memory_.doorbell(), &one, sizeof one);
  } while (written < 0 && errno == EINTR);
  // EAGAIN: the counter is full, so it is rung already. Nothing else can happen to an eventfd that
  // we hold.
}

// ---- credit -------------------------------------------------------------------------------------

std::uint32_t Channel::ordinal_at(std::uint64_t position) const noexcept {
  const std::uint64_t capacity = writer_.capacity();
  const std::uint64_t offset = position & (capacity - 1) & ~(ipc::kFrameAlign - 1);
  const std::byte* at = ring_ + offset;
  ipc::RecordHead head{};
  // Padding too small for an ordinal stands at the ring's end: the record that it makes room for is
  // at the start.
  if (capacity - offset < sizeof head) {
    at = ring_;
  }
  std::memcpy(&head, at, sizeof head);
  return head.ordinal;
}

std::uint32_t Channel::in_flight(std::uint64_t head) const noexcept {
  // A frame of a batch is in flight before it is published.
  return head == writer_.reserved_end() ? 0 : next_ordinal_ - ordinal_at(head);
}

std::uint64_t Channel::report_limit() const noexcept {
  return ipc::report_credit(memory_.geometry().d2c_ring_bytes,
                            reader_.used_bytes() + spill_.size() * ipc::kReportBytesPerRecord);
}

bool Channel::refresh_credit() noexcept {
  if (!reports_wanted_) {
    credit_ = ~std::uint64_t{0};
    return true;
  }
  // Head first: a record before it has its report in the ring already, so it is counted on one side
  // or on both.
  const std::uint64_t flying = in_flight(memory_.d2c().head.load(std::memory_order_acquire));
  const std::uint64_t limit = report_limit();
  credit_ = limit > flying ? limit - flying : 0;
  return credit_ != 0;
}

bool Channel::waiting_helps() const noexcept {
  return !reports_wanted_ || report_limit() != 0;
}

// ---- reports ------------------------------------------------------------------------------------

std::ptrdiff_t Channel::read_reports(kfast_report_t* out, std::size_t max) noexcept {
  std::size_t count = spill_.pop(out, max);
  reports_moved_ |= count != 0;
  while (count < max) {
    const NextReport next = reader_.next(writer_.tail(), topics_.count(), out[count]);
    if (next == NextReport::malformed) {
      return -1;
    }
    if (next == NextReport::none) {
      break;
    }
    reports_moved_ = true;
    KFAST_KILL_POINT("client.reports.before_seen");
    if (seen_.is_news(static_cast<std::uint64_t>(out[count].position), writer_.tail()) &&
        !waits_.give(out[count])) {
      ++count;
    }
    KFAST_KILL_POINT("client.reports.after_seen");
  }
  KFAST_KILL_POINT("client.reports.before_release");
  reader_.release();
  KFAST_KILL_POINT("client.reports.after_release");
  return static_cast<std::ptrdiff_t>(count);
}

void Channel::keep(const kfast_report_t& report) noexcept {
  if (seen_.is_news(static_cast<std::uint64_t>(report.position), writer_.tail()) &&
      !waits_.give(report)) {
    spill_.push(report);
  }
}

void Channel::begin_wait(Awaited& awaited) noexcept {
  awaited.here = spill_.take(awaited.position, awaited.report);
  waits_.add(awaited);
}

Arrival Channel::look_for(const Awaited& awaited) noexcept {
  // Head first: the report of a record before it is in the ring by now, or was read.
  const std::uint64_t head = memory_.d2c().head.load(std::memory_order_acquire);
  while (!awaited.here) {
    const ReportReader before = reader_;
    kfast_report_t report;
    const NextReport next = reader_.next(writer_.tail(), topics_.count(), report);
    if (next == NextReport::malformed) {
      return Arrival::malformed;
    }
    if (next == NextReport::none) {
      break;
    }
    // Room only for what has to be kept: a worker that waits for each record needs none.
    if (report.position != awaited.position && !spill_.reserve_one()) {
      reader_ = before;
      reader_.release();
      return Arrival::no_memory;
    }
    reports_moved_ = true;
    keep(report);
  }
  reader_.release();
  if (awaited.here) {
    return Arrival::here;
  }
  return is_pending(static_cast<std::uint64_t>(awaited.position), head) ? Arrival::pending
                                                                        : Arrival::never;
}

/// True for the position of a record without an outcome whose report was not read. The ring's bytes
/// are our own and are not written over before their outcome; that a payload looks like a frame of
/// this very moment is left to a worker that makes it so, and its wait ends with the head.
bool Channel::is_pending(std::uint64_t position, std::uint64_t head) const noexcept {
  const std::uint64_t tail = writer_.tail();
  const std::uint64_t offset = position & (writer_.capacity() - 1);
  ipc::RecordHead frame{};
  if (position % ipc::kFrameAlign != 0 || position - head >= tail - head ||
      writer_.capacity() - offset < sizeof frame) {
    return false;
  }
  std::memcpy(&frame, ring_ + offset, sizeof frame);
  return frame.kind == ipc::FrameKind::record && frame.size >= sizeof frame &&
         frame.size <= tail - position && frame.topic < topics_.count() &&
         frame.ordinal - ordinal_at(head) < next_ordinal_ - ordinal_at(head) &&
         !seen_.has(position);
}

void Channel::arm() noexcept {
  if (!armed_) {
    armed_ = true;
    memory_.c2d().waiting.store(++wanted_wakes_, std::memory_order_relaxed);
  }
  // Pairs with the daemon's fence between publishing (reports, or head) and looking at `waiting`:
  // it sees that we wait, or we see what it published.
  ipc::HostAtomics::fence_seq_cst();
}

std::uint64_t Channel::used_bytes() const noexcept {
  const std::uint64_t used = writer_.tail() - memory_.d2c().head.load(std::memory_order_acquire);
  return used > writer_.capacity() ? writer_.capacity() : used;
}

void Channel::let_go() noexcept {
  if (memory_.is_mapped()) {
    memory_.c2d().closed.store(1, std::memory_order_release);
    ring_doorbell();
  }
}

void Channel::purge() noexcept {
  // What is reserved and not published is not sent yet.
  std::atomic<std::uint64_t>& word = memory_.c2d().purged_until;
  if (word.load(std::memory_order_relaxed) == writer_.tail()) {
    return;  // said and rung for already; a ring without a record would be one too many
  }
  word.store(writer_.tail(), std::memory_order_release);
  // Whatever the shard's page says: it may be that of a daemon that is gone, while another one has
  // the channel already and listens to this eventfd.
  ring_doorbell();
}

// ---- hand-over ----------------------------------------------------------------------------------

int Channel::read_out_reports(ErrorText& why) noexcept {
  for (;;) {
    if (!spill_.reserve_one()) {
      why.set(
          "no memory to keep the reports that kfastd left behind; read reports more often, or free "
          "memory");
      return KFAST_ERR_NO_MEMORY;
    }
    kfast_report_t report;
    const NextReport next = reader_.next(writer_.tail(), topics_.count(), report);
    if (next == NextReport::malformed) {
      return malformed_reports(why);
    }
    if (next == NextReport::none) {
      return KFAST_OK;
    }
    keep(report);
  }
}

int Channel::hand_over(const ipc::Opened& opened, ChannelFds& fds, ErrorText& why) noexcept {
  if (const int code = read_out_reports(why); code != KFAST_OK) {
    return code;
  }
  KFAST_KILL_POINT("client.resume.reports_read_out");
  if (const int code = memory_.map_resumed(opened, fds, why); code != KFAST_OK) {
    return code;
  }
  KFAST_KILL_POINT("client.resume.mapped");
  const std::uint64_t head = memory_.d2c().head.load(std::memory_order_acquire);
  if (opened.position != head || writer_.reserved_end() - head > writer_.capacity()) {
    why.set("kfastd took the channel over at a position that is not in its ring: it is broken");
    return KFAST_ERR_PROTOCOL;
  }
  // The new d2c ring starts at position 0. The daemon reads these words first when it has Confirm,
  // and the system call that sends it comes after.
  memory_.c2d().d2c_head.store(0, std::memory_order_release);
  memory_.c2d().waiting.store(0, std::memory_order_release);
  wanted_wakes_ = 0;
  KFAST_KILL_POINT("client.resume.words_set");
  seen_.hand_over(head, writer_.tail());
  bind_daemon_side(opened, head);
  return KFAST_OK;
}

}  // namespace kfast::client
