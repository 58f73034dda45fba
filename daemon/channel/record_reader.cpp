#include "channel/record_reader.hpp"

namespace kfast::daemon::channel {
namespace {

using ipc::FrameKind;
using ipc::Hostile;
using ipc::RecordExtension;
using ipc::RecordHead;

// What every frame starts with; padding may be no longer than this.
struct Preamble {
  std::uint32_t size;
  FrameKind kind;
  std::uint8_t flags;
  std::uint16_t topic;
};
static_assert(sizeof(Preamble) == ipc::kMinPaddingFrame);

// Checks the record whose head was already copied, and finds its parts.
FrameCheck check_record(const std::byte* at, RecordView& view, const char*& why) {
  const RecordHead& head = view.head;
  std::uint64_t left = head.size - sizeof(RecordHead);
  const std::byte* next = at + sizeof(RecordHead);
  constexpr unsigned known = ipc::kHasKey | ipc::kHasValue | ipc::kHasExtension;
  if ((head.flags & ~known) != 0) {
    why = "unknown record flags";
    return FrameCheck::violation;
  }
  if ((head.flags & ipc::kHasExtension) != 0) {
    if (left < sizeof(RecordExtension)) {
      why = "extension cut off";
      return FrameCheck::violation;
    }
    view.extension = Hostile<RecordExtension>(next).fetch();
    next += sizeof(RecordExtension);
    left -= sizeof(RecordExtension);
    if (view.extension.headers_size > left || view.extension.header_count > ipc::kMaxHeaders ||
        view.extension.partition < ipc::kAnyPartition) {
      why = "extension out of range";
      return FrameCheck::violation;
    }
    view.headers = ipc::HostileBytes(next, view.extension.headers_size);
    next += view.extension.headers_size;
    left -= view.extension.headers_size;
  }
  const bool has_key = (head.flags & ipc::kHasKey) != 0;
  if (head.key_size > left || (!has_key && head.key_size != 0)) {
    why = "key size out of range";
    return FrameCheck::violation;
  }
  if (has_key) {
    view.key = ipc::HostileBytes(next, head.key_size);
  }
  next += head.key_size;
  left -= head.key_size;
  const bool has_value = (head.flags & ipc::kHasValue) != 0;
  if (!has_value && left != 0) {
    why = "bytes behind a null value";
    return FrameCheck::violation;
  }
  if (has_value) {
    view.value = ipc::HostileBytes(next, left);
  }
  return FrameCheck::record;
}

}  // namespace

FrameCheck check_frame(const std::byte* at, std::uint64_t available, std::uint64_t max_frame,
                       RecordView& view, std::uint64_t& aligned, const char*& why) {
  if (available < sizeof(RecordHead)) {
    // Only padding is this short: read no more than is there.
    const Preamble preamble = Hostile<Preamble>(at).fetch();
    aligned = preamble.size;
    if (preamble.kind != FrameKind::padding || preamble.size != available) {
      why = "a short frame that is not padding to the ring's end";
      return FrameCheck::violation;
    }
    return FrameCheck::padding;
  }
  const RecordHead head = Hostile<RecordHead>(at).fetch();
  if (head.size > available || head.size < ipc::kMinPaddingFrame) {
    why = "frame size out of range";
    return FrameCheck::violation;
  }
  aligned = ipc::align_up(head.size, ipc::kFrameAlign);
  if (head.kind == FrameKind::padding) {
    if (head.size % ipc::kFrameAlign != 0) {
      why = "padding is not aligned";
      return FrameCheck::violation;
    }
    return FrameCheck::padding;
  }
  if (head.kind != FrameKind::record) {
    why = "unknown frame kind";
    return FrameCheck::violation;
  }
  if (head.size < sizeof(RecordHead) || head.size > max_frame) {
    why = "record size out of range";
    return FrameCheck::violation;
  }
  view = RecordView{};
  view.head = head;
  return check_record(at, view, why);
}

bool HeaderWalk::next(HeaderView& header) {
  if (count_ == 0 || broken_) {
    return false;
  }
  if (left_ < sizeof(ipc::HeaderHead)) {
    broken_ = true;
    return false;
  }
  const ipc::HeaderHead head = ipc::Hostile<ipc::HeaderHead>(at_).fetch();
  at_ += sizeof(ipc::HeaderHead);
  left_ -= static_cast<std::uint32_t>(sizeof(ipc::HeaderHead));
  const bool null = head.value_size == ipc::kNullHeader;
  const std::uint32_t value_size = null ? 0 : head.value_size;
  if (head.name_size > ipc::kMaxHeaderName || head.name_size > left_ ||
      value_size > left_ - head.name_size) {
    broken_ = true;
    return false;
  }
  header.name = ipc::HostileBytes(at_, head.name_size);
  header.value = null ? ipc::HostileBytes() : ipc::HostileBytes(at_ + head.name_size, value_size);
  at_ += head.name_size + value_size;
  left_ -= head.name_size + value_size;
  --count_;
  return true;
}

}  // namespace kfast::daemon::channel
