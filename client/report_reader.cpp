#include "report_reader.hpp"

#include <cstring>

namespace kfast::client {

NextReport ReportReader::open_frame(std::uint32_t topics) noexcept {
  for (;;) {
    if (reader_.unread() == 0 && !reader_.look()) {
      return NextReport::malformed;
    }
    if (reader_.unread() == 0) {
      return NextReport::none;
    }
    // Every frame has at least kFrameAlign bytes, and `size` and `kind` lie in them.
    const std::byte* at = ring_ + reader_.offset();
    const std::uint64_t room =
        reader_.unread() < reader_.to_end() ? reader_.unread() : reader_.to_end();
    ipc::ReportHead head{};
    std::memcpy(&head, at, room < sizeof head ? ipc::kFrameAlign : sizeof head);
    if (head.size < ipc::kFrameAlign || ipc::align_up(head.size, ipc::kFrameAlign) > room) {
      return NextReport::malformed;
    }
    if (head.kind == ipc::FrameKind::padding) {
      reader_.take(ipc::align_up(head.size, ipc::kFrameAlign));
      continue;
    }
    const bool sound =
        head.kind == ipc::FrameKind::report && head.size >= sizeof head &&
        head.size <= ipc::kMaxReportFrame && head.outcome >= ipc::Outcome::delivered &&
        head.outcome <= ipc::Outcome::unknown && head.topic < topics && head.count >= 1 &&
        head.count <= ipc::kMaxReportRecords && head.partition >= -1 && head.base_offset >= -1;
    if (!sound) {
      return NextReport::malformed;
    }
    head_ = head;
    left_ = head.count;
    first_ = true;
    cursor_ = sizeof head;
    position_ = head.base_position;
    offset_ = head.base_offset;
    return NextReport::report;
  }
}

NextReport ReportReader::next(std::uint64_t records_end, std::uint32_t topics,
                              kfast_report_t& out) noexcept {
  if (left_ == 0) {
    if (const NextReport opened = open_frame(topics); opened != NextReport::report) {
      return opened;
    }
  }
  if (first_) {
    first_ = false;
  } else {
    const std::byte* frame = ring_ + reader_.offset();
    std::uint32_t distance = 0;
    const std::size_t size = ipc::get_varint(frame + cursor_, frame + head_.size, distance);
    if (size == 0 || distance == 0) {
      return NextReport::malformed;
    }
    cursor_ += static_cast<std::uint32_t>(size);
    position_ += distance * ipc::kFrameAlign;
    offset_ += offset_ < 0 ? 0 : 1;
  }
  if (position_ >= records_end || position_ % ipc::kFrameAlign != 0) {
    return NextReport::malformed;
  }
  out.position = static_cast<std::int64_t>(position_);
  out.offset = offset_;
  out.topic = head_.topic;
  out.partition = head_.partition;
  out.outcome = static_cast<std::int32_t>(head_.outcome);
  out.error = head_.error;
  if (--left_ == 0) {
    reader_.take(ipc::align_up(head_.size, ipc::kFrameAlign));
  }
  return NextReport::report;
}

}  // namespace kfast::client
