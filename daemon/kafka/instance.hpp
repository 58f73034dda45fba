// One profile's producers of librdkafka: their topics, their events, their end.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/kafka_conf.hpp"
#include "config/result.hpp"
#include "kafka/broker_errors.hpp"
#include "kafka/broker_statistics.hpp"
#include "kafka/producer.hpp"
#include "kafka/ring_linger.hpp"
#include "kafka/sticky_partitioner.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/frame.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::kafka {

struct HeadersDelete {
  void operator()(rd_kafka_headers_t* headers) const noexcept { rd_kafka_headers_destroy(headers); }
};
using Headers = std::unique_ptr<rd_kafka_headers_t, HeadersDelete>;

struct TopicDelete {
  void operator()(rd_kafka_topic_t* topic) const noexcept { rd_kafka_topic_destroy(topic); }
};

/// A topic of one instance, which owns it.
struct Topic {
  rd_kafka_t* producer = nullptr;
  std::unique_ptr<rd_kafka_topic_t, TopicDelete> handle;
  std::unique_ptr<StickyPartitioner::Topic> sticky;  // librdkafka holds its address
  std::vector<bool> answered;                        // by partition: a broker has named an offset
};

/// A record as librdkafka takes it. The key is copied during the call, once; so is the value, if it
/// is not to be read in place: then it must be there, unchanged, until its delivery report. A profile
/// that compresses with snappy copies it all the same.
struct ProduceRequest {
  Topic* topic = nullptr;
  std::int32_t partition = RD_KAFKA_PARTITION_UA;
  std::int64_t timestamp_ms = 0;
  const void* key = nullptr;  // nullptr: null key
  std::size_t key_size = 0;
  const void* value = nullptr;  // nullptr: null value
  std::size_t value_size = 0;
  bool in_place = false;
  Headers headers;  // may be empty
  std::uint64_t opaque = 0;
};

/// What became of one record.
struct DeliveryReport {
  std::uint64_t opaque = 0;
  ipc::Outcome outcome = ipc::Outcome::delivered;
  std::int16_t error = 0;
  std::int32_t partition = -1;
  std::int64_t offset = -1;
  telemetry::FailureReason reason = telemetry::FailureReason::other;
  bool purged = false;  // removed by us on the way down: it has no outcome yet
};

class Instance;

/// Where a producer's events go.
class EventHandler {
 public:
  EventHandler() = default;
  EventHandler(const EventHandler&) = delete;
  EventHandler& operator=(const EventHandler&) = delete;
  virtual ~EventHandler() = default;
  virtual void on_delivery(const DeliveryReport& report) = 0;
  /// Brokers refuse this instance's login, or its TLS handshake: instance.refusal() says why.
  virtual void on_refusal(const Instance& instance) = 0;
};

/// It begins with one producer. librdkafka's work for a request grows with the partitions that a
/// producer knows, so another one is made for each 125 topics, up to eight, each with connections to
/// the brokers and threads of its own. A topic stays with its producer, so order is kept.
///
/// Lifecycle: one thread creates it, produces, and serves its events (the shard's). Destruction may
/// block on librdkafka's own threads; purge() and serve() first. Never used across fork().
class Instance {
 public:
  /// `wake_fd` becomes readable when serve() has something to do: non-blocking, written by
  /// librdkafka. It, `stats` and `segment` outlive this. `most_linger_ms`: how long records of many
  /// topics may stay in their rings, 0: not at all. On failure: librdkafka's message.
  [[nodiscard]] static Result<std::unique_ptr<Instance>> create(config::ProducerConf conf,
                                                                std::string cluster,
                                                                std::string profile, int wake_fd,
                                                                telemetry::ProfileBlock& stats,
                                                                telemetry::StatsSegment& segment,
                                                                std::int64_t most_linger_ms);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance();

  /// A topic, made at its first use so that its metadata is on the way before the first record, and
  /// kept until the instance ends: librdkafka frees no topic before, whoever gives its handle back.
  /// Null when librdkafka refuses the name.
  [[nodiscard]] Topic* topic(std::string_view name);

  /// Says what time it is, in ms of a clock that never goes back, before a round's records.
  void round_begins(std::int64_t now_ms);
  /// Whether records for this instance stay in their rings in this round.
  [[nodiscard]] bool holds() const noexcept { return holds_; }
  /// For how long from the beginning of the round, in ms. Only while holds().
  [[nodiscard]] std::int64_t holds_for_ms() const noexcept { return linger_.until_ms() - now_ms_; }
  /// After a round that left nothing to take at once.
  void round_took_all();

  /// Hands a record over. RD_KAFKA_RESP_ERR_NO_ERROR: an outcome will come. Else it was not taken
  /// and the code says why.
  [[nodiscard]] rd_kafka_resp_err_t produce(ProduceRequest request);

  /// Serves the events that are there, at most `max_events`. True when there may be more. Never
  /// blocks.
  bool serve(EventHandler& handler, int max_events);

  /// Lets records go out without waiting for linger. Non-blocking but for librdkafka's locks.
  void hurry();

  /// Takes everything back that has no outcome; serve() then sees it as purged. Blocks on all of
  /// librdkafka's broker threads, which may look up names meanwhile.
  void purge();
  /// The same without blocking, a little later, for what no request holds, and where `in_requests`
  /// for the rest, too.
  void begin_purge(bool in_requests);

  /// Logs in with these from the next connection on; those that are open go on. Nothing is sent
  /// again for it.
  void renew_password(const std::string& user, const std::string& password);

  /// After a fatal error librdkafka takes nothing any more, and of what it has only requests that
  /// are out get an outcome.
  [[nodiscard]] bool fatal() const noexcept { return fatal_; }

  /// Takes the place of `former`, which ended by a fatal error: what that one was refused is no news.
  void follow(const Instance& former) {
    errors_ = former.errors_;
    told_refusal_ = former.told_refusal_;
  }

  /// Another instance is to take its place: from now on it is given nothing.
  void resign() noexcept { resigned_ = true; }
  /// Whether it takes records.
  [[nodiscard]] bool ended() const noexcept { return fatal_ || resigned_; }

  /// Why brokers refused us last, in librdkafka's words; empty where they never did.
  [[nodiscard]] const std::string& refusal() const noexcept { return errors_.refusal(); }
  /// The same as a code, as login_error_of() says it; no error after a delivery.
  [[nodiscard]] rd_kafka_resp_err_t login_error() const noexcept { return errors_.login_error(); }

  /// From when no broker could be reached until the next delivery.
  [[nodiscard]] bool all_brokers_down() const noexcept { return all_brokers_down_; }

  /// Shows how much is in flight; once a round, not once a record.
  void publish_gauges();

  [[nodiscard]] std::size_t producers() const noexcept { return producers_.size(); }
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] std::int64_t linger_ms() const noexcept { return conf_.linger_ms; }
  [[nodiscard]] std::int64_t message_timeout_ms() const noexcept {
    return conf_.message_timeout_ms;
  }
  [[nodiscard]] std::int64_t message_max_bytes() const noexcept { return conf_.message_max_bytes; }
  [[nodiscard]] const std::string& cluster() const noexcept { return cluster_; }
  [[nodiscard]] const std::string& profile() const noexcept { return profile_; }

 private:
  Instance(config::ProducerConf conf, std::string cluster, std::string profile,
           telemetry::ProfileBlock& stats, telemetry::StatsSegment& segment,
           std::int64_t most_linger_ms);

  [[nodiscard]] Producer& producer_for_topic();
  [[nodiscard]] std::uint64_t partitions_of_each();
  void show_linger();
  bool serve_one(std::size_t producer, EventHandler& handler, int max_events);

  void on_delivery_event(rd_kafka_event_t* event, EventHandler& handler);
  void on_error_event(rd_kafka_event_t* event, EventHandler& handler);
  void on_log_event(rd_kafka_event_t* event);
  void on_statistics_event(std::size_t producer, rd_kafka_event_t* event);
  [[nodiscard]] bool is_proven(const rd_kafka_message_t& message);
  [[nodiscard]] DeliveryReport report_of(const rd_kafka_message_t& message, bool proven);
  void note_fatal();

  config::ProducerConf conf_;
  int wake_fd_ = -1;
  std::string cluster_;
  std::string profile_;
  telemetry::ProfileBlock& stats_;
  BrokerStatistics brokers_;
  // librdkafka's snappy compares what it has matched once more, and where that has changed it ends
  // the process, unless it was compiled without assertions, as distributions' is not.
  bool reads_in_place_ = true;
  std::unique_ptr<StickyPartitioner> sticky_;  // null: nothing is sticky
  RingLinger linger_;
  std::int64_t now_ms_ = 0;  // of the round
  bool holds_ = false;
  std::uint64_t partitions_ = 0;  // of all topics, when they were counted
  std::int64_t counted_ms_ = INT64_MIN / 2;
  std::vector<Producer> producers_;
  std::unordered_map<std::string, Topic> topics_;
  std::uint64_t in_flight_ = 0;
  bool fatal_ = false;
  bool resigned_ = false;
  bool all_brokers_down_ = false;
  BrokerErrors errors_;
  std::string told_refusal_;
};

/// The counter that an error of Kafka's or librdkafka's belongs to.
[[nodiscard]] telemetry::FailureReason failure_reason(rd_kafka_resp_err_t error) noexcept;

}  // namespace kfast::daemon::kafka
