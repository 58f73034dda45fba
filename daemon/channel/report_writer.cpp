#include "channel/report_writer.hpp"

#include <cstring>

namespace kfast::daemon::channel {

using ipc::kFrameAlign;
using ipc::Outcome;
using ipc::ReportHead;

namespace {

const std::atomic<std::uint64_t> kNothingRead{0};

}  // namespace

ReportWriter::ReportWriter(const Segments& segments, bool client_reads)
    : client_head_(segments.c2d_header().d2c_head),
      ring_(segments.d2c_header().tail, client_reads ? client_head_ : kNothingRead,
            segments.geometry.d2c_ring_bytes, 0),
      memory_(segments.d2c_at(segments.geometry.d2c_ring)) {}

bool ReportWriter::continues(std::uint64_t position, std::uint16_t topic,
                             const RecordOutcome& outcome) const {
  if (open_.count == 0 || open_.count == ipc::kMaxReportRecords || open_.topic != topic ||
      open_.outcome != outcome.outcome || open_.error != outcome.error ||
      open_.partition != outcome.partition || position <= last_position_ ||
      (position - last_position_) / kFrameAlign > UINT32_MAX ||
      gaps_size_ + ipc::kMaxVarint > gaps_.size()) {
    return false;
  }
  return open_.base_offset < 0 ? outcome.offset < 0
                               : outcome.offset == open_.base_offset + open_.count;
}

bool ReportWriter::add(std::uint64_t position, std::uint16_t topic, const RecordOutcome& outcome) {
  if (continues(position, topic, outcome)) {
    const auto gap = static_cast<std::uint32_t>((position - last_position_) / kFrameAlign);
    gaps_size_ += static_cast<std::uint32_t>(ipc::put_varint(gaps_.data() + gaps_size_, gap));
    ++open_.count;
    last_position_ = position;
    return true;
  }
  if (!close_frame()) {
    return false;
  }
  open_ = ReportHead{0, ipc::FrameKind::report, outcome.outcome, outcome.error, topic,
                     1, outcome.partition,      outcome.offset,  position};
  last_position_ = position;
  return true;
}

bool ReportWriter::close_frame() {
  if (open_.count == 0) {
    return true;
  }
  open_.size = static_cast<std::uint32_t>(sizeof(ReportHead)) + gaps_size_;
  ipc::Reservation room{};
  // The head word that bounds the reservation is the client's. A false one can make us overwrite
  // reports that it has not read, or end its session; it cannot lead us outside the ring, whose
  // offsets follow from our own position alone.
  if (!ring_.reserve(ipc::align_up(open_.size, kFrameAlign), room)) {
    return false;
  }
  if (room.padding != 0) {
    const ReportHead padding{static_cast<std::uint32_t>(room.padding),
                             ipc::FrameKind::padding,
                             Outcome::delivered,
                             0,
                             0,
                             0,
                             0,
                             0,
                             0};
    const std::uint64_t at = (room.position - room.padding) & (ring_.capacity() - 1);
    std::memcpy(memory_ + at, &padding, kFrameAlign);
  }
  std::memcpy(memory_ + room.offset, &open_, sizeof open_);
  std::memcpy(memory_ + room.offset + sizeof open_, gaps_.data(), gaps_size_);
  open_.count = 0;
  gaps_size_ = 0;
  return true;
}

bool ReportWriter::publish(bool& published) {
  if (!close_frame()) {
    return false;
  }
  published = ring_.reserved_end() != ring_.tail();
  if (published) {
    ring_.publish();
  }
  return true;
}

}  // namespace kfast::daemon::channel
