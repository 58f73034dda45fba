#include "channel/producer_channel.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "kfast/ipc/kill_point.hpp"

namespace kfast::daemon::channel {
namespace {

using ipc::HostAtomics;
using ipc::Outcome;
using telemetry::FailureReason;
using telemetry::TopicCounter;

// librdkafka's numbers (rd_kafka_resp_err_t), stable by its ABI; this folder does not know
// librdkafka.
constexpr std::int16_t kErrorFatal = -150;           // _FATAL
constexpr std::int16_t kErrorInvalidTimestamp = 32;  // INVALID_TIMESTAMP

// A topic may hold half of a ring that it shares; it is let in again at three eighths, so that it
// does not flicker.
constexpr std::uint64_t budget(std::uint64_t ring_bytes) {
  return ring_bytes / 2;
}
constexpr std::uint64_t budget_reopens(std::uint64_t ring_bytes) {
  return ring_bytes / 8 * 3;
}

// librdkafka and we need about 220 bytes for a record in flight beside its own, however small it
// is. This bounds them by the ring's size. The report credit of a channel with the usual report
// ring is half of it.
constexpr std::uint64_t most_in_flight(std::uint64_t ring_bytes) {
  return std::max<std::uint64_t>(ring_bytes / 64, 1024);
}

std::atomic<std::uint8_t>* bytes_at(std::byte* at) {
  return reinterpret_cast<std::atomic<std::uint8_t>*>(at);
}

}  // namespace

ProducerChannel::ProducerChannel(Segments segments, const Settings& settings,
                                 std::optional<Inheritance> inherited)
    : segments_(std::move(segments)),
      settings_(settings),
      reader_(segments_.c2d_header().tail, segments_.d2c_header().head,
              segments_.geometry.c2d_ring_bytes, inherited ? inherited->head : 0),
      parking_(segments_.d2c_header().parked),
      done_(bytes_at(segments_.d2c_at(segments_.geometry.done_bits)),
            segments_.geometry.c2d_ring_bytes),
      lost_(bytes_at(segments_.d2c_at(segments_.geometry.lost_bits)),
            segments_.geometry.c2d_ring_bytes),
      reports_(segments_, !settings.client_away),
      topics_(segments_.geometry.topic_capacity),
      reported_until_(inherited ? inherited->head : 0),
      handed_over_(inherited ? inherited->taken : 0),
      freed_(inherited ? inherited->head : 0),
      client_away_(settings.client_away) {
  if (inherited) {
    clock_forward_ms_ = inherited->clock_forward_ms;
  }
  if (inherited && inherited->taken != inherited->head) {
    maybe_sent_until_ = inherited->taken;
  }
}

void ProducerChannel::announce_taken(std::uint64_t position) {
  // Never back: behind an earlier life's word, records may be in Kafka that this life has not come
  // to yet.
  if (static_cast<std::int64_t>(position - handed_over_) > 0) {
    handed_over_ = position;
    segments_.d2c_header().taken.store(position, std::memory_order_relaxed);
  }
}

std::uint64_t ProducerChannel::takeable() const {
  const std::uint64_t end = stop_at_.value_or(reader_.seen());
  return std::min(end - reader_.taken(), reader_.to_end());
}

ProducerChannel::Topic* ProducerChannel::topic_of(std::uint16_t index, RecordSink& sink,
                                                  const char*& violation) {
  if (index >= topic_count_seen_) {
    // Acquire pairs with the client's release store of the count: the entry is complete.
    topic_count_seen_ = segments_.c2d_header().topic_count.load(std::memory_order_acquire);
    if (topic_count_seen_ > segments_.geometry.topic_capacity) {
      topic_count_seen_ = 0;
    }
    if (index >= topic_count_seen_) {
      violation = "a topic number that is not in the topic table";
      return nullptr;
    }
  }
  Topic& topic = topics_[index];
  if (!topic.known) {
    const std::byte* at =
        segments_.c2d_at(segments_.geometry.topic_table + index * sizeof(ipc::TopicEntry));
    const auto entry = ipc::Hostile<ipc::TopicEntry>(at).fetch();
    if (entry.size > ipc::kMaxTopicName) {
      violation = "a topic name longer than 249 bytes";
      return nullptr;
    }
    topics_known_ += topic.opened.stats == nullptr ? 1 : 0;
    // Its records that are in flight are counted in the former block.
    auto* const former = topic.held_bytes != 0 ? topic.opened.stats : nullptr;
    topic.opened = sink.open_topic(std::string_view(entry.name, entry.size));
    topic.opened.stats = former != nullptr ? former : topic.opened.stats;
    topic.known = true;
    topic.over_budget = topic.over_budget && topic.opened.state == ipc::TopicState::open;
    set_topic_state(index, topic.over_budget ? ipc::TopicState::over_budget : topic.opened.state);
  }
  return &topic;
}

Submission ProducerChannel::decide(Topic& topic, RecordView& view, RecordSink& sink,
                                   std::uint64_t opaque, std::int64_t now_ms) const {
  if (topic.opened.state != ipc::TopicState::open) {
    return {Submission::Kind::refused, topic.opened.refusal, topic.opened.reason};
  }
  const std::int64_t timestamp =
      view.extension.timestamp_ms >= 0 ? view.extension.timestamp_ms : view.head.sent_ms;
  if (!SendTimes::is_for_kafka(timestamp, now_ms)) {
    return {Submission::Kind::refused,
            {Outcome::failed, kErrorInvalidTimestamp, -1, -1},
            FailureReason::invalid};
  }
  if (settings_.delivery_timeout_ms > 0 &&
      send_times_.expired(view.head.sent_ms, now_ms, settings_.delivery_timeout_ms)) {
    const bool maybe_sent = maybe_sent_until_.has_value();
    const Expiry expiry = sink.expiry();
    return {Submission::Kind::expired,
            {maybe_sent ? Outcome::unknown : Outcome::failed, expiry.error, -1, -1},
            expiry.reason};
  }
  return sink.submit(topic.opened.handle, view, opaque);
}

TakeResult ProducerChannel::take(RecordSink& sink, std::uint64_t opaque_base,
                                 std::uint32_t max_records, std::int64_t now_ms) {
  TakeResult result;
  if (finished_taking()) {
    return result;
  }
  if (!reader_.look()) {
    result.violation = "an impossible tail";
    return result;
  }
  KFAST_KILL_POINT("daemon.take.tail_read");
  if (const auto forward_ms = std::exchange(clock_forward_ms_, std::nullopt)) {
    send_times_.inherited(now_ms, *forward_ms, reader_.seen());
  }
  const std::byte* ring = segments_.c2d_at(segments_.geometry.c2d_ring);
  const std::uint64_t max_frame = segments_.geometry.c2d_ring_bytes / ipc::kMaxFrameShare;
  const std::uint64_t before = reader_.taken();
  // Padding counts, too: frames of padding alone must not hold up other channels.
  for (std::uint32_t frames = 0; frames < max_records && reader_.unread() > 0; ++frames) {
    if (finished_taking()) {
      break;
    }
    if (inflight_.size() >= most_in_flight(segments_.geometry.c2d_ring_bytes)) {
      result.later = true;
      break;
    }
    if (maybe_sent_until_ && static_cast<std::int64_t>(reader_.taken() - *maybe_sent_until_) >= 0) {
      maybe_sent_until_.reset();
    }
    RecordView view;
    std::uint64_t aligned = 0;
    const std::byte* at = ring + reader_.offset();
    const FrameCheck check =
        check_frame(at, takeable(), max_frame, view, aligned, result.violation);
    if (check == FrameCheck::violation) {
      break;
    }
    TakenFrame frame{reader_.taken(), static_cast<std::uint32_t>(aligned), 0, false, false};
    if (check == FrameCheck::padding) {
      done_.mark(frame.position, frame.size);
      frame.done = true;
      frame.topic = UINT16_MAX;
      reader_.take(aligned);
      inflight_.push(frame);
      continue;
    }
    frame.topic = view.head.topic;
    Topic* topic = topic_of(frame.topic, sink, result.violation);
    if (topic == nullptr) {
      break;
    }
    const bool again = maybe_sent_until_.has_value();
    const bool known = static_cast<std::int64_t>(frame.position - reported_until_) < 0;
    frame.maybe_sent = again;
    if (again && done_.is_done(frame.position)) {
      pass_done(frame);
    } else {
      const std::uint32_t sequence = inflight_.next_sequence();
      // Before the record can reach Kafka: if we die in between, our successor must know that it
      // may be there.
      announce_taken(frame.position + frame.size);
      KFAST_KILL_POINT("daemon.take.announced");
      const std::uint64_t payload = view.payload_bytes();  // submitting uses the view up
      view.head.sent_ms = send_times_.stamp(view.head.sent_ms, frame.position);
      const Submission submission = decide(*topic, view, sink, opaque_base | sequence, now_ms);
      KFAST_KILL_POINT("daemon.take.handed_over");
      if (submission.kind == Submission::Kind::later) {
        result.later = true;
        break;
      }
      if (submission.kind == Submission::Kind::malformed) {
        result.violation = "record headers whose lengths do not add up";
        break;
      }
      topic->opened.stats->add(TopicCounter::taken_messages, known ? 0 : 1);
      topic->opened.stats->add(TopicCounter::taken_bytes, known ? 0 : payload);
      const bool expired = submission.kind == Submission::Kind::expired;
      if (expired || submission.kind == Submission::Kind::refused) {
        if (submission.outcome.outcome == Outcome::failed) {
          topic->opened.stats->add(expired ? TopicCounter::expired : TopicCounter::refused, 1);
        }
        settle(frame, submission.outcome, submission.reason);
      } else {
        if (again) {
          topic->opened.stats->add(known ? TopicCounter::resubmitted_instance_replaced
                                         : TopicCounter::resubmitted_daemon_restart,
                                   1);
          KFAST_KILL_POINT("daemon.inherited.resubmitted");
        }
      }
    }
    reader_.take(aligned);
    inflight_.push(frame);
    if (!frame.done) {
      hold(frame);
    }
    ++result.records;
  }
  result.bytes = reader_.taken() - before;
  result.more =
      result.violation == nullptr && !result.later && reader_.unread() > 0 && !finished_taking();
  announce_taken(reader_.taken());
  return result;
}

std::uint64_t ProducerChannel::count_without_outcome() const {
  std::uint64_t records = without_outcome_;
  if (finished_taking()) {
    return records;
  }
  const std::uint64_t capacity = segments_.geometry.c2d_ring_bytes;
  const std::uint64_t end = stop_at_.value_or(reader_.seen());
  for (std::uint64_t position = reader_.taken(); position != end;) {
    const std::uint64_t offset = position & (capacity - 1);
    RecordView view;
    std::uint64_t aligned = 0;
    const char* unused = nullptr;
    const FrameCheck check = check_frame(segments_.c2d_at(segments_.geometry.c2d_ring) + offset,
                                         std::min(end - position, capacity - offset),
                                         capacity / ipc::kMaxFrameShare, view, aligned, unused);
    if (check == FrameCheck::violation) {
      break;  // what follows cannot be told apart
    }
    // An earlier life, or an instance that was replaced, may have settled it.
    records += check == FrameCheck::record && !done_.is_done(position) ? 1 : 0;
    position += aligned;
  }
  return records;
}

void ProducerChannel::hold(const TakenFrame& frame) {
  topics_[frame.topic].opened.stats->add(TopicCounter::in_flight_messages, 1);
  ++without_outcome_;
  topics_[frame.topic].held_bytes += frame.size;
  held_bytes_ += frame.size;
  review_budget(frame.topic);
}

void ProducerChannel::give_back(const TakenFrame& frame) {
  Topic& topic = topics_[frame.topic];
  topic.opened.stats->sub(TopicCounter::in_flight_messages, 1);
  --without_outcome_;
  topic.held_bytes -= frame.size;
  held_bytes_ -= frame.size;
  review_budget(frame.topic);
}

void ProducerChannel::review_budget(std::uint16_t index) {
  Topic& topic = topics_[index];
  const std::uint64_t ring = segments_.geometry.c2d_ring_bytes;
  // What has its outcome and cannot leave the ring is held by the record that it waits behind, not
  // by its own topic.
  const std::uint64_t behind =
      index == holder_ ? reader_.taken() - freed_ - held_bytes_ : std::uint64_t{0};
  const std::uint64_t share = topic.held_bytes + behind;
  if (!topic.over_budget && topics_known_ > 1 && share > budget(ring) &&
      topic.opened.state == ipc::TopicState::open) {
    topic.over_budget = true;
    set_topic_state(index, ipc::TopicState::over_budget);
  } else if (topic.over_budget && share < budget_reopens(ring)) {
    topic.over_budget = false;
    set_topic_state(index, ipc::TopicState::open);
  }
}

void ProducerChannel::find_holder() {
  const TakenFrame* front = inflight_.front();
  const std::uint16_t former = holder_;
  holder_ = front != nullptr ? front->topic : UINT16_MAX;
  if (former != holder_ && former != UINT16_MAX) {
    review_budget(former);
  }
  if (holder_ != UINT16_MAX) {
    review_budget(holder_);
  }
}

void ProducerChannel::set_topic_state(std::uint16_t index, ipc::TopicState state) {
  bytes_at(segments_.d2c_at(segments_.geometry.topic_states))[index].store(
      static_cast<std::uint8_t>(state), std::memory_order_relaxed);
}

void ProducerChannel::mark_done(TakenFrame& frame, bool lost) {
  KFAST_KILL_POINT("daemon.settle.begin");
  lost_.put_plain(frame.position, lost);  // first: "done" must never be seen without it
  KFAST_KILL_POINT("daemon.settle.lost_bit_set");
  done_.mark(frame.position, frame.size);
  KFAST_KILL_POINT("daemon.settle.done");
  frame.done = true;
}

void ProducerChannel::settle(TakenFrame& frame, RecordOutcome outcome, FailureReason reason) {
  if (outcome.outcome == Outcome::failed && frame.maybe_sent) {
    outcome.outcome = Outcome::unknown;  // our predecessor's request may have reached Kafka
  }
  if (KFAST_BROKEN("report_before_done")) {
    bool published = false;
    add_report(frame, outcome);
    static_cast<void>(reports_.publish(published));
  }
  mark_done(frame, outcome.outcome != Outcome::delivered);
  telemetry::TopicBlock& stats = *topics_[frame.topic].opened.stats;
  ipc::D2cHeader& d2c = segments_.d2c_header();
  const auto bump = [](std::atomic<std::uint64_t>& word) {
    word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  };
  switch (outcome.outcome) {
    case Outcome::delivered:
      stats.add(TopicCounter::delivered, 1);
      bump(d2c.delivered);
      break;
    case Outcome::failed:
      stats.add(TopicCounter::failed, 1);
      stats.add(telemetry::discarded(reason), 1);
      bump(d2c.failed);
      break;
    case Outcome::unknown:
      stats.add(TopicCounter::unknown, 1);
      bump(d2c.unknown);
      break;
  }
  if (!KFAST_BROKEN("report_before_done")) {
    add_report(frame, outcome);
  }
}

void ProducerChannel::pass_done(TakenFrame& frame) {
  // The previous daemon knew the outcome; whether it still got the report out is not known. So it
  // is reported (again), and the client drops what it has seen. Partition, offset and error are not
  // kept. What we reported ourselves is not.
  const bool lost = lost_.plain(frame.position);
  // It may have died in the middle of marking: bits that it left behind would read as done in the
  // next lap.
  done_.mark(frame.position, frame.size);
  frame.done = true;
  KFAST_KILL_POINT("daemon.inherited.marked");
  if (static_cast<std::int64_t>(frame.position - reported_until_) >= 0) {
    add_report(frame, {lost ? Outcome::unknown : Outcome::delivered, 0, -1, -1});
  }
  KFAST_KILL_POINT("daemon.inherited.reported");
}

void ProducerChannel::add_report(const TakenFrame& frame, const RecordOutcome& outcome) {
  const bool wanted =
      settings_.reports == ipc::ReportsMode::all ||
      (settings_.reports == ipc::ReportsMode::errors && outcome.outcome != Outcome::delivered);
  if (!wanted || !reports_wanted_) {
    return;
  }
  if (!reports_.add(frame.position, frame.topic, outcome)) {
    reports_overflow_ = true;
    return;
  }
  ++reports_written_;
}

void ProducerChannel::resolve(std::uint32_t sequence, const RecordOutcome& outcome,
                              FailureReason reason) {
  TakenFrame* frame = inflight_.find(sequence);
  if (frame != nullptr && !frame->done) {
    give_back(*frame);
    settle(*frame, outcome, reason);
  }
}

void ProducerChannel::take_again() {
  if (stopped_) {
    for (std::uint32_t n = 0; n < inflight_.size(); ++n) {
      TakenFrame* frame = inflight_.find(inflight_.next_sequence() - inflight_.size() + n);
      if (!frame->done) {
        give_back(*frame);
        settle(*frame, {Outcome::unknown, kErrorFatal, -1, -1}, FailureReason::other);
      }
    }
    return;
  }
  holder_ = UINT16_MAX;
  inflight_.drop_all([this](const TakenFrame& frame) {
    if (!frame.done) {
      give_back(frame);
    }
  });
  // Handles are the former instance's. The states that the client sees stay until the next record.
  for (Topic& topic : topics_) {
    topic.known = false;
  }
  reported_until_ = reader_.taken();
  // `handed_over_` is behind everything that any life has taken.
  if (handed_over_ != reader_.head()) {
    maybe_sent_until_ = handed_over_;
  }
  reader_.take_again();
  freed_ = reader_.head();
}

void ProducerChannel::ask_topics_again() {
  for (std::size_t index = 0; index < topics_.size(); ++index) {
    Topic& topic = topics_[index];
    // Also where take_again() has forgotten it: its worker still sees what it was.
    if (topic.opened.state != ipc::TopicState::open) {
      set_topic_state(static_cast<std::uint16_t>(index), ipc::TopicState::unseen);
    }
    topic.known = false;
  }
}

bool ProducerChannel::finish_round() {
  bool published = false;
  KFAST_KILL_POINT("daemon.round.before_reports");
  if (reports_wanted_ && (!reports_.publish(published) || reports_overflow_)) {
    return false;
  }
  KFAST_KILL_POINT("daemon.round.reports_published");
  freed_ = inflight_.drop_done(freed_);
  find_holder();
  const std::uint64_t head = KFAST_BROKEN("head_at_handover") ? reader_.taken() : freed_;
  const bool moved = !client_away_ && head != reader_.head();
  if (moved) {
    reader_.release(head);
    KFAST_KILL_POINT("daemon.round.head_moved");
  }
  news_ = news_ || published || moved;
  return true;
}

void ProducerChannel::client_has_come() {
  client_away_ = false;
  reports_.client_reads();
}

bool ProducerChannel::must_wake_client() {
  if (!news_ || client_away_) {
    return false;
  }
  HostAtomics::fence_seq_cst();  // pairs with the client's fence between asking and looking
  const std::uint64_t waiting = segments_.c2d_header().waiting.load(std::memory_order_relaxed);
  if (waiting == served_waiting_) {
    return false;
  }
  served_waiting_ = waiting;
  news_ = false;
  return true;
}

void ProducerChannel::stop_at_tail() {
  if (reader_.look()) {
    stop_at_ = reader_.seen();  // later than an earlier one: a worker sends on while we drain
  } else {
    stopped_ = true;  // the tail is a lie: nothing behind `taken` can be trusted
  }
}

}  // namespace kfast::daemon::channel
