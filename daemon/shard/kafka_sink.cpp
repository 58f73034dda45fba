#include "shard/kafka_sink.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "policy/topic_name.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::shard {

using channel::OpenedTopic;
using channel::RecordOutcome;
using channel::RecordView;
using channel::Submission;
using ipc::Outcome;
using ipc::TopicState;
using telemetry::FailureReason;

OpenedTopic KafkaSink::refuse(TopicState state, std::string_view name, rd_kafka_resp_err_t error,
                              FailureReason reason, const std::string& why) {
  telemetry::process_log().log(spdlog::level::warn, "topic_refused:" + principal_.name,
                               "topic refused principal={} topic={}: {}", principal_.name, name,
                               why);
  OpenedTopic opened;
  opened.state = state;
  opened.refusal = RecordOutcome{Outcome::failed, static_cast<std::int16_t>(error), -1, -1};
  opened.reason = reason;
  const bool legal = !policy::illegal_topic_name(name).has_value();
  const std::string_view counted = state == TopicState::limit ? "(refused)" : name;
  opened.stats =
      &stats_.of_refused(instance_.cluster(), legal ? counted : "(illegal)", principal_.name);
  return opened;
}

OpenedTopic KafkaSink::open_topic(std::string_view name) {
  if (const auto why = policy::illegal_topic_name(name)) {
    return refuse(TopicState::not_allowed, name, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
                  FailureReason::invalid, *why);
  }
  if (!access_.may_produce(principal_, name)) {
    return refuse(TopicState::not_allowed, name, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                  FailureReason::not_allowed,
                  "no [[allow]] rule with a matching `produce` pattern; add one to kfastd.toml");
  }
  if (const auto claim = claims_.claim(principal_, instance_.profile(), name); !claim) {
    return refuse(TopicState::limit, name, RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
                  FailureReason::not_allowed, claim.error());
  }
  // Here, since topics are asked for again when the rules have changed.
  trusted_ = access_.trusts(principal_);
  kafka::Topic* handle = instance_.topic(name);
  if (handle == nullptr) {
    return refuse(TopicState::not_allowed, name, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
                  FailureReason::invalid, "librdkafka refuses the name");
  }
  OpenedTopic opened;
  opened.handle = handle;
  opened.stats = &stats_.of(instance_.cluster(), name, principal_.name);
  return opened;
}

namespace {

// With sizes, never as C strings: librdkafka copies exactly these bytes, once. False: the headers'
// lengths do not add up.
bool copy_headers(RecordView& record, kafka::Headers& to) {
  to.reset(rd_kafka_headers_new(record.extension.header_count));
  channel::HeaderWalk walk(std::move(record.headers), record.extension.header_count);
  channel::HeaderView header;
  while (walk.next(header)) {
    std::move(header.name).read_once([&](const std::byte* name, std::size_t name_size) {
      std::move(header.value).read_once([&](const std::byte* value, std::size_t value_size) {
        static_cast<void>(rd_kafka_header_add(to.get(), reinterpret_cast<const char*>(name),
                                              static_cast<ssize_t>(name_size), value,
                                              static_cast<ssize_t>(value_size)));
      });
    });
  }
  return walk.ok();
}

}  // namespace

Submission KafkaSink::submit(void* topic_handle, RecordView& record, std::uint64_t opaque) {
  kafka::ProduceRequest request;
  request.topic = static_cast<kafka::Topic*>(topic_handle);
  request.partition = record.extension.partition;
  request.timestamp_ms =
      record.extension.timestamp_ms >= 0 ? record.extension.timestamp_ms : record.head.sent_ms;
  request.opaque = opaque;
  if ((record.extension.header_count != 0 || record.headers.size() != 0) &&
      !copy_headers(record, request.headers)) {
    return {Submission::Kind::malformed, {}, {}};
  }
  // The reader of both is produce(), which copies; or, where the client is trusted not to write over
  // it, librdkafka, until the report. The ring is there so long: a channel ends when all that was
  // taken has its outcome.
  request.in_place = trusted_;
  std::move(record.key).read_once([&](const std::byte* at, std::size_t size) {
    request.key = at;
    request.key_size = size;
  });
  std::move(record.value).read_once([&](const std::byte* at, std::size_t size) {
    request.value = at;
    request.value_size = size;
  });
  const rd_kafka_resp_err_t error = instance_.produce(std::move(request));
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return {};
  }
  if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL || error == RD_KAFKA_RESP_ERR__FATAL) {
    return {Submission::Kind::later, {}, {}};
  }
  return {Submission::Kind::refused,
          {Outcome::failed, static_cast<std::int16_t>(error), -1, -1},
          kafka::failure_reason(error)};
}

channel::Expiry KafkaSink::expiry() const {
  const rd_kafka_resp_err_t login = instance_.login_error();
  const rd_kafka_resp_err_t why =
      login != RD_KAFKA_RESP_ERR_NO_ERROR ? login : RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
  return {static_cast<std::int16_t>(why), kafka::failure_reason(why)};
}

}  // namespace kfast::daemon::shard
