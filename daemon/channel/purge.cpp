// Records that the client gives up before they were handed over.
#include <cstddef>
#include <cstdint>

#include "channel/producer_channel.hpp"

namespace kfast::daemon::channel {
namespace {

using ipc::Outcome;
using telemetry::FailureReason;
using telemetry::TopicCounter;

constexpr std::int16_t kErrorPurged = -152;  // librdkafka's _PURGE_QUEUE

}  // namespace

// `until` is the client's, and may be any number: it decides which of the client's own records are
// given up, and nothing else. What is read, and how far, follows from the tail and from the frames,
// as in take().
//
// Neither the bound of records in flight nor a rate holds this up: nothing goes to Kafka, and the
// FIFO does not grow by frames that are done.
TakeResult ProducerChannel::purge_until(std::uint64_t until, RecordSink& sink,
                                        std::uint32_t max_frames) {
  TakeResult result;
  if (finished_taking()) {
    return result;
  }
  if (!reader_.look()) {
    result.violation = "an impossible tail";
    return result;
  }
  const std::uint64_t before = reader_.taken();
  const std::uint64_t max_frame = segments_.geometry.c2d_ring_bytes / ipc::kMaxFrameShare;
  for (std::uint32_t frames = 0; frames < max_frames && reader_.unread() > 0; ++frames) {
    if (finished_taking() || reader_.taken() >= until) {
      break;
    }
    if (maybe_sent_until_ && static_cast<std::int64_t>(reader_.taken() - *maybe_sent_until_) >= 0) {
      maybe_sent_until_.reset();
    }
    RecordView view;
    std::uint64_t aligned = 0;
    const std::byte* at = segments_.c2d_at(segments_.geometry.c2d_ring) + reader_.offset();
    const FrameCheck check =
        check_frame(at, takeable(), max_frame, view, aligned, result.violation);
    if (check == FrameCheck::violation) {
      break;
    }
    TakenFrame frame{reader_.taken(), static_cast<std::uint32_t>(aligned), UINT16_MAX, false,
                     maybe_sent_until_.has_value()};
    if (check == FrameCheck::padding) {
      done_.mark(frame.position, frame.size);
      frame.done = true;
    } else {
      frame.topic = view.head.topic;
      Topic* topic = topic_of(frame.topic, sink, result.violation);
      if (topic == nullptr) {
        break;
      }
      if (frame.maybe_sent && done_.is_done(frame.position)) {
        pass_done(frame);
      } else {
        // Before the done bit: whoever follows us looks at the bits of what was taken only.
        announce_taken(frame.position + frame.size);
        const bool known = static_cast<std::int64_t>(frame.position - reported_until_) < 0;
        topic->opened.stats->add(TopicCounter::taken_messages, known ? 0 : 1);
        topic->opened.stats->add(TopicCounter::taken_bytes, known ? 0 : view.payload_bytes());
        settle(frame, {Outcome::failed, kErrorPurged, -1, -1}, FailureReason::purged);
      }
      ++result.records;
    }
    reader_.take(aligned);
    inflight_.push_done(frame);
  }
  result.bytes = reader_.taken() - before;
  result.more = result.violation == nullptr && reader_.unread() > 0 && !finished_taking();
  announce_taken(reader_.taken());
  return result;
}

}  // namespace kfast::daemon::channel
