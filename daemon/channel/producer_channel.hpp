// One producer's channel as the shard sees it: takes records from c2d, remembers them, reports
// them, moves the head.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "channel/inflight.hpp"
#include "channel/record_sink.hpp"
#include "channel/report_writer.hpp"
#include "channel/segments.hpp"
#include "channel/send_times.hpp"
#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/done_bits.hpp"
#include "kfast/ipc/doorbell.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/refusal.hpp"
#include "kfast/ipc/ring.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::daemon::channel {

/// What a turn of taking did.
struct TakeResult {
  std::uint32_t records = 0;
  std::uint64_t bytes = 0;          // of the ring, padding included
  bool more = false;                // something is left that could be taken now
  bool later = false;               // no room now, in the sink or for more in flight: try again
  const char* violation = nullptr;  // the rule that the client broke: end its session
};

/// Lifecycle: made by the session's thread, then used only by its shard's thread. Alive until
/// everything it has taken has its outcome, also when its worker is long gone (a zombie). Trust:
/// nothing in c2d is believed.
class ProducerChannel {
 public:
  struct Settings {
    std::uint32_t number = 0;  // for people
    ipc::ReportsMode reports = ipc::ReportsMode::all;
    std::int64_t delivery_timeout_ms = 0;  // 0: never expires in the ring
    /// The client still has the d2c segment before this one: see client_has_come().
    bool client_away = false;
  };

  /// `inherited`: where the previous daemon stood, for a channel that was handed back.
  ProducerChannel(Segments segments, const Settings& settings,
                  std::optional<Inheritance> inherited);
  ProducerChannel(const ProducerChannel&) = delete;
  ProducerChannel& operator=(const ProducerChannel&) = delete;
  ~ProducerChannel() = default;

  /// Takes up to `max_records`, and hands them to `sink` under opaques made of `opaque_base` and a
  /// sequence number in the low 32 bits. Bounded work whatever the client writes.
  [[nodiscard]] TakeResult take(RecordSink& sink, std::uint64_t opaque_base,
                                std::uint32_t max_records, std::int64_t now_ms);

  /// Gives the next records that the client has given up (kfast_purge) their outcome, `max_frames`
  /// at most, and hands nothing over. Before each take(), and where nothing can be handed over in
  /// its place.
  [[nodiscard]] TakeResult purge(RecordSink& sink, std::uint32_t max_frames) {
    const std::uint64_t until = segments_.c2d_header().purged_until.load(std::memory_order_acquire);
    return until > reader_.taken() ? purge_until(until, sink, max_frames) : TakeResult{};
  }

  /// The outcome of a record that was submitted. Unknown numbers are ignored: they belong to an
  /// earlier life.
  void resolve(std::uint32_t sequence, const RecordOutcome& outcome,
               telemetry::FailureReason reason);

  /// The Kafka instance behind the sink is another one, and the former gives no outcomes any more:
  /// what it took and has no outcome is taken again, in ring order. Where nothing in the ring can
  /// be trusted any more, its outcome is unknown.
  void take_again();

  /// Why brokers refuse the channel's profile, in words, for the client to read; cut to fit.
  void tell_refusal(std::string_view why) noexcept {
    ipc::put_refusal(segments_.d2c_header().refusal, why.data(), why.size());
  }
  /// What topics are allowed has changed: each is asked for again before its next record, and one
  /// that was refused no longer keeps its worker from sending it.
  void ask_topics_again();

  /// After a batch of take() and resolve(): publishes reports, then moves the head. The order per
  /// record is done bit, report, head. False: the client left no room for a report, which its
  /// credit forbids.
  [[nodiscard]] bool finish_round();

  /// True once when the client asked to be woken and there is something new for it since.
  [[nodiscard]] bool must_wake_client();

  /// Whether the client has asked to be woken and was not since. One that asks in this moment may be
  /// missed: only for what may be late for it.
  [[nodiscard]] bool client_waits() const {
    // The partner is the client's store when it asks; must_wake_client() looks again behind a fence.
    return !client_away_ &&
           segments_.c2d_header().waiting.load(std::memory_order_relaxed) != served_waiting_;
  }

  /// The wall clock was set; it would say `old_now_ms` without that. What was sent before neither
  /// expires for it nor waits for ever.
  void wall_clock_went(std::int64_t old_now_ms, std::int64_t by_ms) {
    send_times_.clock_went(old_now_ms, by_ms,
                           segments_.c2d_header().tail.load(std::memory_order_acquire));
    segments_.d2c_header().wall_ahead_ms.fetch_add(by_ms, std::memory_order_relaxed);
  }

  /// Takes nothing behind what is published now: the daemon is going down, or the worker is gone.
  /// Called again it moves the end forward.
  void stop_at_tail();

  /// The client has gone over to this d2c segment. Until then its words in c2d are about another
  /// one, and it knows of no head but that one's: so the head is not moved, and whatever follows us
  /// finds records and done bits as they were.
  void client_has_come();

  /// True when the client has closed the channel while it was away: it does not come.
  [[nodiscard]] bool client_has_closed() const {
    return client_away_ && segments_.c2d_header().closed.load(std::memory_order_acquire) != 0;
  }

  /// No more reports: nobody reads them.
  void stop_reports() { reports_wanted_ = false; }
  /// Tells whoever follows us that the client does not come back to this channel.
  void retire_for_good() { segments_.d2c_header().retired.store(1, std::memory_order_relaxed); }
  /// Takes nothing further: what was not taken stays in the ring for whoever resumes the channel.
  void stop_here() { stop_at_ = reader_.taken(); }
  /// Nothing in the ring can be trusted any more: takes nothing further.
  void stop_taking() { stopped_ = true; }

  /// Parks when there is nothing to take; then the client rings its eventfd for the next record.
  [[nodiscard]] bool park() {
    return reader_.unread() == 0 && parking_.park(segments_.c2d_header().tail, reader_.seen());
  }
  void unpark() { parking_.unpark(); }
  [[nodiscard]] bool parked() const { return parking_.parked(); }
  /// A look at the client's tail without taking: true when it has moved. Used only to decide
  /// whether to rest.
  [[nodiscard]] bool published() const {
    return !finished_taking() &&
           (reader_.unread() > 0 ||
            segments_.c2d_header().tail.load(std::memory_order_relaxed) != reader_.seen());
  }

  /// Whether half of the ring, or about half of the client's credit, is in use, by the client's
  /// word: more may not wait in it. `record_bytes`: about what a record takes up, not 0.
  [[nodiscard]] bool half_full(std::uint64_t record_bytes) const {
    const std::uint64_t tail = segments_.c2d_header().tail.load(std::memory_order_relaxed);
    if (tail - reader_.head() >= segments_.geometry.c2d_ring_bytes / 2) {
      return true;
    }
    return settings_.reports != ipc::ReportsMode::none &&
           without_outcome_ + (tail - reader_.taken()) / record_bytes >=
               ipc::report_credit(segments_.geometry.d2c_ring_bytes, 0) / 2;
  }

  [[nodiscard]] bool finished_taking() const {
    return stopped_ || (stop_at_.has_value() && reader_.taken() == *stop_at_);
  }
  [[nodiscard]] bool drained() const { return finished_taking() && inflight_.size() == 0; }

  /// Records that were taken and have no outcome.
  [[nodiscard]] std::uint32_t in_flight() const { return without_outcome_; }
  /// Bytes of the ring that are still to be taken, where the end is set.
  [[nodiscard]] std::uint64_t bytes_to_take() const {
    return finished_taking() || !stop_at_ ? 0 : *stop_at_ - reader_.taken();
  }
  /// All records up to the end of taking that have no outcome, those not taken included: it reads
  /// the ring from there on.
  [[nodiscard]] std::uint64_t count_without_outcome() const;
  [[nodiscard]] std::uint64_t used_bytes() const { return reader_.seen() - reader_.head(); }
  [[nodiscard]] std::uint64_t tail() const { return reader_.seen(); }
  [[nodiscard]] std::uint64_t taken() const { return reader_.taken(); }
  [[nodiscard]] std::uint64_t head() const { return reader_.head(); }
  [[nodiscard]] std::uint64_t reports_written() const { return reports_written_; }
  [[nodiscard]] const Segments& segments() const { return segments_; }
  [[nodiscard]] std::uint32_t number() const { return settings_.number; }

 private:
  struct Topic {
    OpenedTopic opened;
    std::uint64_t held_bytes = 0;  // of the ring, by records without an outcome
    bool known = false;
    bool over_budget = false;
  };

  [[nodiscard]] TakeResult purge_until(std::uint64_t until, RecordSink& sink,
                                       std::uint32_t max_frames);
  [[nodiscard]] Topic* topic_of(std::uint16_t index, RecordSink& sink, const char*& violation);
  [[nodiscard]] Submission decide(Topic& topic, RecordView& view, RecordSink& sink,
                                  std::uint64_t opaque, std::int64_t now_ms) const;
  /// Tells the client, and whoever follows us, that everything before `position` may have been
  /// handed over.
  void announce_taken(std::uint64_t position);
  /// Bytes at the reader's place that one frame may have.
  [[nodiscard]] std::uint64_t takeable() const;
  void settle(TakenFrame& frame, RecordOutcome outcome, telemetry::FailureReason reason);
  void mark_done(TakenFrame& frame, bool lost);
  void pass_done(TakenFrame& frame);
  void add_report(const TakenFrame& frame, const RecordOutcome& outcome);
  void set_topic_state(std::uint16_t index, ipc::TopicState state);
  /// A frame without an outcome has been taken; it is about to get one, or to be taken again.
  void hold(const TakenFrame& frame);
  void give_back(const TakenFrame& frame);
  /// Shuts a topic that holds more than its share of the ring, and opens it when that has passed.
  void review_budget(std::uint16_t index);
  /// Finds out which topic's record keeps the head where it is.
  void find_holder();

  Segments segments_;
  Settings settings_;
  ipc::RingReader<ipc::HostAtomics> reader_;
  ipc::Parking<ipc::HostAtomics> parking_;
  ipc::DoneBits done_;
  ipc::DoneBits lost_;  // companion: set where the outcome was not "delivered"
  ReportWriter reports_;
  InflightFifo inflight_;
  std::uint32_t without_outcome_ = 0;  // of the frames in inflight_
  std::vector<Topic> topics_;
  std::uint32_t topics_known_ = 0;
  std::uint64_t held_bytes_ = 0;       // by all topics
  std::uint16_t holder_ = UINT16_MAX;  // the topic of the first record without an outcome
  std::uint32_t topic_count_seen_ = 0;
  std::optional<std::uint64_t>
      maybe_sent_until_;           // not yet passed; frames before it may already be in Kafka
  std::uint64_t reported_until_;   // frames before it were taken in this life, done ones reported
  std::uint64_t handed_over_ = 0;  // the word d2c.taken
  std::uint64_t freed_ =
      0;  // everything before it has its outcome; the head, once the client is here
  std::optional<std::uint64_t> stop_at_;
  SendTimes send_times_;
  std::optional<std::int64_t> clock_forward_ms_;  // before this life, for what was inherited
  std::uint64_t served_waiting_ = 0;
  std::uint64_t reports_written_ = 0;
  bool stopped_ = false;
  bool reports_wanted_ = true;
  bool client_away_ = false;
  bool reports_overflow_ = false;
  bool news_ = false;  // reports or room that the client has not been told of
};

}  // namespace kfast::daemon::channel
