#include "raw_client.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

namespace kfast::daemon::channel::test {
namespace {

namespace bip = boost::interprocess;

void append_object(std::string& to, const auto& object) {
  to.append(reinterpret_cast<const char*>(&object), sizeof object);
}

}  // namespace

std::string frame_of(const RecordSpec& spec) {
  ipc::RecordHead head{};
  head.kind = ipc::FrameKind::record;
  head.topic = spec.topic;
  head.sent_ms = spec.sent_ms;
  std::string body;
  if (spec.extension) {
    head.flags |= ipc::kHasExtension;
    append_object(body, *spec.extension);
    body += spec.headers;
  }
  if (spec.key) {
    head.flags |= ipc::kHasKey;
    head.key_size = static_cast<std::uint32_t>(spec.key->size());
    body += *spec.key;
  }
  if (spec.value) {
    head.flags |= ipc::kHasValue;
    body += *spec.value;
  }
  head.size = static_cast<std::uint32_t>(sizeof head + body.size());
  std::string frame;
  append_object(frame, head);
  frame += body;
  frame.resize(ipc::align_up(frame.size(), ipc::kFrameAlign));
  return frame;
}

RawClient::RawClient(const Segments& segments, std::uint64_t position)
    : geometry_(segments.geometry),
      c2d_(MappableFd(segments.c2d_fd.get()), bip::read_write, 0, segments.geometry.c2d_bytes),
      d2c_(MappableFd(segments.d2c_fd.get()), bip::read_only, 0, segments.geometry.d2c_bytes),
      writer_(words().tail, daemon_words().head, geometry_.c2d_ring_bytes, position) {}

void RawClient::swap_in(const Segments& segments) {
  bip::mapped_region fresh(MappableFd(segments.d2c_fd.get()), bip::read_only, 0,
                           segments.geometry.d2c_bytes);
  d2c_.swap(fresh);
  words().d2c_head.store(0, std::memory_order_release);
  reports_read_ = 0;
  writer_.bind_head(daemon_words().head, daemon_words().head.load(std::memory_order_acquire));
}

void RawClient::put_topic(std::uint16_t index, std::string_view name) {
  ipc::TopicEntry entry{};
  entry.size = static_cast<std::uint16_t>(name.size());
  std::memcpy(entry.name, name.data(), std::min(name.size(), sizeof entry.name));
  std::memcpy(c2d_bytes() + geometry_.topic_table + index * sizeof entry, &entry, sizeof entry);
  words().topic_count.store(index + 1U, std::memory_order_release);
}

std::optional<std::uint64_t> RawClient::append_bytes(std::string_view frame) {
  ipc::Reservation room{};
  if (!writer_.reserve(frame.size(), room)) {
    return std::nullopt;
  }
  if (room.padding != 0) {
    ipc::RecordHead padding{};
    padding.size = static_cast<std::uint32_t>(room.padding);
    padding.kind = ipc::FrameKind::padding;
    std::memcpy(ring_at(room.position - room.padding), &padding, ipc::kMinPaddingFrame);
  }
  std::memcpy(ring_at(room.position), frame.data(), frame.size());
  return room.position;
}

std::optional<std::uint64_t> RawClient::append(const RecordSpec& spec) {
  return append_bytes(frame_of(spec));
}

std::uint64_t RawClient::send(const RecordSpec& spec) {
  return send_bytes(frame_of(spec));
}

std::uint64_t RawClient::send_bytes(std::string_view frame) {
  const auto position = append_bytes(frame);
  if (!position) {
    std::abort();
  }
  publish();
  return *position;
}

ReadReports RawClient::read_reports() {
  ReadReports all;
  const std::uint64_t tail = daemon_words().tail.load(std::memory_order_acquire);
  const std::uint64_t ring_bytes = geometry_.d2c_ring_bytes;
  while (reports_read_ != tail) {
    const std::uint64_t offset = reports_read_ & (ring_bytes - 1);
    const std::byte* at = d2c_bytes() + geometry_.d2c_ring + offset;
    ipc::ReportHead head{};
    std::memcpy(&head, at, ipc::kFrameAlign);
    const std::uint64_t aligned = ipc::align_up(head.size, ipc::kFrameAlign);
    if (head.size < ipc::kFrameAlign || aligned > ring_bytes - offset ||
        aligned > tail - reports_read_) {
      all.well_formed = false;
      return all;
    }
    reports_read_ += aligned;
    if (head.kind == ipc::FrameKind::padding) {
      ++all.padding;
      continue;
    }
    if (head.kind != ipc::FrameKind::report || head.size < sizeof head) {
      all.well_formed = false;
      return all;
    }
    std::memcpy(&head, at, sizeof head);
    ++all.frames;
    ReadReport one{head.base_position, head.topic,     head.outcome,
                   head.error,         head.partition, head.base_offset};
    all.records.push_back(one);
    const std::byte* gap = at + sizeof head;
    for (std::uint16_t i = 1; i < head.count; ++i) {
      std::uint32_t units = 0;
      const std::size_t used = ipc::get_varint(gap, at + head.size, units);
      if (used == 0) {
        all.well_formed = false;
        return all;
      }
      gap += used;
      one.position += units * ipc::kFrameAlign;
      one.offset += one.offset < 0 ? 0 : 1;
      all.records.push_back(one);
    }
    all.well_formed = all.well_formed && gap == at + head.size && head.count != 0;
  }
  words().d2c_head.store(reports_read_, std::memory_order_release);
  return all;
}

}  // namespace kfast::daemon::channel::test
