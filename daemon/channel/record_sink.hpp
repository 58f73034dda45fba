// Where a channel's records go: the shard implements this over its Kafka instances.
#pragma once

#include <cstdint>
#include <string_view>

#include "channel/record_reader.hpp"
#include "channel/report_writer.hpp"
#include "kfast/ipc/layout.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::channel {

/// What the sink says of a topic that a channel names for the first time.
struct OpenedTopic {
  ipc::TopicState state = ipc::TopicState::open;
  void* handle = nullptr;                  // the sink's own, when open
  telemetry::TopicBlock* stats = nullptr;  // never null; outlives the channel
  RecordOutcome refusal;                   // for its records, when not open
  telemetry::FailureReason reason = telemetry::FailureReason::other;
};

struct Submission {
  enum class Kind : std::uint8_t {
    accepted,   // an outcome will come, under the opaque that was given
    refused,    // the outcome is here
    expired,    // the same: its delivery timeout has passed
    later,      // no room now: offer the record again
    malformed,  // the record's bytes break the rules
  };
  Kind kind = Kind::accepted;
  RecordOutcome outcome;
  telemetry::FailureReason reason = telemetry::FailureReason::other;
};

/// What to say of a record whose delivery timeout passed in the ring.
struct Expiry {
  std::int16_t error = 0;
  telemetry::FailureReason reason = telemetry::FailureReason::timed_out;
};

class RecordSink {
 public:
  RecordSink() = default;
  RecordSink(const RecordSink&) = delete;
  RecordSink& operator=(const RecordSink&) = delete;
  virtual ~RecordSink() = default;

  /// Called once for each topic of a channel, before its first record. `name` is a private copy of
  /// any bytes at all.
  [[nodiscard]] virtual OpenedTopic open_topic(std::string_view name) = 0;

  /// Copies the record and takes it on. `opaque` comes back with the outcome.
  [[nodiscard]] virtual Submission submit(void* topic_handle, RecordView& record,
                                          std::uint64_t opaque) = 0;

  /// Why records wait too long now.
  [[nodiscard]] virtual Expiry expiry() const = 0;
};

}  // namespace kfast::daemon::channel
