// Where one channel's records go: the Kafka instance of its profile, past the rules of its
// principal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "channel/record_sink.hpp"
#include "kafka/instance.hpp"
#include "policy/access_list.hpp"
#include "policy/principal.hpp"
#include "shard/topic_claims.hpp"
#include "shard/topic_stats.hpp"

namespace kfast::daemon::shard {

/// Used by the shard's thread. Everything it refers to outlives it.
class KafkaSink : public channel::RecordSink {
 public:
  KafkaSink(kafka::Instance& instance, const policy::Principal& principal,
            const policy::AccessList& access, TopicClaims& claims, TopicStats& stats)
      : instance_(instance),
        principal_(principal),
        access_(access),
        claims_(claims),
        stats_(stats) {}

  [[nodiscard]] channel::OpenedTopic open_topic(std::string_view name) override;
  [[nodiscard]] channel::Submission submit(void* topic_handle, channel::RecordView& record,
                                           std::uint64_t opaque) override;
  [[nodiscard]] channel::Expiry expiry() const override;

 private:
  channel::OpenedTopic refuse(ipc::TopicState state, std::string_view name,
                              rd_kafka_resp_err_t error, telemetry::FailureReason reason,
                              const std::string& why);

  kafka::Instance& instance_;
  const policy::Principal principal_;  // a copy: the shard's slots move
  const policy::AccessList& access_;
  TopicClaims& claims_;
  TopicStats& stats_;
  bool trusted_ = false;  // as it was when a topic was opened last
};

}  // namespace kfast::daemon::shard
