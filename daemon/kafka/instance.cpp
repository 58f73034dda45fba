#include "kafka/instance.hpp"

#include <spdlog/fmt/chrono.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>
#include <utility>

#include "telemetry/limited_log.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::kafka {
namespace {

using ipc::Outcome;
using telemetry::ProfileCounter;

constexpr std::size_t kTopicsOfEach = 125;
constexpr std::size_t kMostProducers = 8;
constexpr std::int64_t kCountEveryMs = 1000;
constexpr int kDebugLevel = 7;  // syslog's

spdlog::level::level_enum level_of(int syslog_level) {
  if (syslog_level <= 3) {
    return spdlog::level::err;
  }
  if (syslog_level == 4) {
    return spdlog::level::warn;
  }
  return syslog_level <= 6 ? spdlog::level::info : spdlog::level::debug;
}

}  // namespace

Instance::Instance(config::ProducerConf conf, std::string cluster, std::string profile,
                   telemetry::ProfileBlock& stats, telemetry::StatsSegment& segment,
                   std::int64_t most_linger_ms)
    : conf_(std::move(conf)),
      cluster_(std::move(cluster)),
      profile_(std::move(profile)),
      stats_(stats),
      brokers_(segment, cluster_, profile_),
      linger_({conf_.linger_ms, most_linger_ms, conf_.message_timeout_ms}) {}

Result<std::unique_ptr<Instance>> Instance::create(config::ProducerConf conf, std::string cluster,
                                                   std::string profile, int wake_fd,
                                                   telemetry::ProfileBlock& stats,
                                                   telemetry::StatsSegment& segment,
                                                   std::int64_t most_linger_ms) {
  std::unique_ptr<Instance> self(new Instance(std::move(conf), std::move(cluster),
                                              std::move(profile), stats, segment, most_linger_ms));
  std::array<char, 512> why{};
  rd_kafka_conf_t* raw = self->conf_.conf.get();
  rd_kafka_conf_set_events(
      raw, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_STATS);
  if (rd_kafka_conf_set(raw, "log.queue", "true", why.data(), why.size()) != RD_KAFKA_CONF_OK) {
    return Failure{std::string(why.data())};
  }
  self->sticky_ =
      StickyPartitioner::create(config::get_property(raw, "partitioner"),
                                static_cast<std::uint32_t>(self->conf_.sticky_linger_ms));
  // Ours takes the place of librdkafka's, which would not ask for a partition otherwise.
  if (self->sticky_ && rd_kafka_conf_set(raw, "sticky.partitioning.linger.ms", "0", why.data(),
                                         why.size()) != RD_KAFKA_CONF_OK) {
    return Failure{std::string(why.data())};
  }
  self->reads_in_place_ = config::get_property(raw, "compression.codec") != "snappy";
  self->wake_fd_ = wake_fd;
  auto first = Producer::create(raw, wake_fd);
  if (!first) {
    return Failure{"profile " + self->profile_ + ": librdkafka says: " + first.error()};
  }
  self->producers_.push_back(first.take());
  return self;
}

Instance::~Instance() {
  for (auto& [name, topic] : topics_) {
    topic.handle.reset();
  }
  producers_.clear();  // what its topics' partitioners look at is still there
}

Producer& Instance::producer_for_topic() {
  const auto least = std::min_element(
      producers_.begin(), producers_.end(),
      [](const Producer& one, const Producer& other) { return one.topics < other.topics; });
  if (least->topics < kTopicsOfEach || producers_.size() == kMostProducers) {
    return *least;
  }
  auto further = Producer::create(conf_.conf.get(), wake_fd_);
  if (!further) {
    telemetry::process_log().log(spdlog::level::warn, "further_producer:" + profile_,
                                 "no further Kafka producer for more topics profile={}: {}; they "
                                 "are added to the others",
                                 profile_, further.error());
    return *least;
  }
  producers_.push_back(further.take());
  return producers_.back();
}

Topic* Instance::topic(std::string_view name) {
  const auto found = topics_.find(std::string(name));
  if (found != topics_.end()) {
    return &found->second;
  }
  std::string copy(name);
  Producer& producer = producer_for_topic();
  Topic topic;
  topic.producer = producer.get();
  rd_kafka_topic_conf_t* conf = nullptr;
  if (sticky_) {
    topic.sticky = std::make_unique<StickyPartitioner::Topic>(*sticky_);
    conf = rd_kafka_default_topic_conf_dup(producer.get());
    StickyPartitioner::install(conf);
    rd_kafka_topic_conf_set_opaque(conf, topic.sticky.get());
  }
  topic.handle.reset(rd_kafka_topic_new(producer.get(), copy.c_str(), conf));
  if (!topic.handle) {
    return nullptr;  // librdkafka has destroyed the configuration
  }
  ++producer.topics;
  return &topics_.emplace(std::move(copy), std::move(topic)).first->second;
}

void Instance::round_took_all() {
  if (!holds_ && linger_.is_over(now_ms_)) {
    linger_.next(now_ms_, partitions_of_each());
    holds_ = linger_.holds(now_ms_);
    show_linger();
  }
}

void Instance::round_begins(std::int64_t now_ms) {
  if (sticky_) {
    sticky_->round_begins(linger_.partition_ms(now_ms));
  }
  now_ms_ = now_ms;
  const bool held = std::exchange(holds_, linger_.holds(now_ms));
  if (held && !holds_) {
    show_linger();
  }
}

void Instance::show_linger() {
  stats_.set(ProfileCounter::ring_linger,
             holds_ ? static_cast<std::uint64_t>(linger_.length_ms()) : 0);
}

std::uint64_t Instance::partitions_of_each() {
  // They change when topics are new, and it is a walk over all of them.
  if (now_ms_ - counted_ms_ >= kCountEveryMs) {
    counted_ms_ = now_ms_;
    partitions_ = 0;
    for (const auto& [name, topic] : topics_) {
      partitions_ += topic.sticky ? topic.sticky->partitions() : 1;
    }
  }
  return partitions_ / producers_.size();
}

rd_kafka_resp_err_t Instance::produce(ProduceRequest request) {
  // Not initialised: 64 bytes of each are reserved, and nobody reads them.
  std::array<rd_kafka_vu_t, 8> vus;
  std::size_t n = 0;
  vus[n].vtype = RD_KAFKA_VTYPE_RKT;
  vus[n++].u.rkt = request.topic->handle.get();
  vus[n].vtype = RD_KAFKA_VTYPE_PARTITION;
  vus[n++].u.i32 = request.partition;
  // A copy, or a client that is not trusted could write over the value while librdkafka sums up a
  // batch.
  vus[n].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  vus[n++].u.i = request.in_place && reads_in_place_ ? 0 : RD_KAFKA_MSG_F_COPY;
  vus[n].vtype = RD_KAFKA_VTYPE_VALUE;
  vus[n].u.mem.ptr = const_cast<void*>(request.value);
  vus[n++].u.mem.size = request.value_size;
  vus[n].vtype = RD_KAFKA_VTYPE_KEY;
  vus[n].u.mem.ptr = const_cast<void*>(request.key);
  vus[n++].u.mem.size = request.key_size;
  vus[n].vtype = RD_KAFKA_VTYPE_TIMESTAMP;
  vus[n++].u.i64 = request.timestamp_ms;
  vus[n].vtype = RD_KAFKA_VTYPE_OPAQUE;
  vus[n++].u.ptr = reinterpret_cast<void*>(request.opaque);
  if (request.headers) {
    vus[n].vtype = RD_KAFKA_VTYPE_HEADERS;
    vus[n++].u.headers = request.headers.get();
  }
  rd_kafka_error_t* error = rd_kafka_produceva(request.topic->producer, vus.data(), n);
  if (error != nullptr) {
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    // After a fatal error it is refused with that error's code, as if the record were at fault.
    note_fatal();
    // The headers are still ours, and freed with the request.
    return fatal_ ? RD_KAFKA_RESP_ERR__FATAL : code;
  }
  static_cast<void>(request.headers.release());
  ++in_flight_;
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool Instance::serve(EventHandler& handler, int max_events) {
  bool more = false;
  for (std::size_t i = 0; i < producers_.size(); ++i) {
    more = serve_one(i, handler, max_events) || more;
  }
  return more;
}

bool Instance::serve_one(std::size_t producer, EventHandler& handler, int max_events) {
  for (int n = 0; n < max_events; ++n) {
    rd_kafka_event_t* event = rd_kafka_queue_poll(producers_[producer].events(), 0);
    if (event == nullptr) {
      return false;
    }
    switch (rd_kafka_event_type(event)) {
      case RD_KAFKA_EVENT_DR:
        on_delivery_event(event, handler);
        break;
      case RD_KAFKA_EVENT_ERROR:
        on_error_event(event, handler);
        break;
      case RD_KAFKA_EVENT_LOG:
        on_log_event(event);
        break;
      case RD_KAFKA_EVENT_STATS:
        on_statistics_event(producer, event);
        break;
      default:
        break;
    }
    rd_kafka_event_destroy(event);
  }
  return true;
}

void Instance::on_delivery_event(rd_kafka_event_t* event, EventHandler& handler) {
  linger_.request_ended();  // librdkafka makes one event of one batch
  std::array<const rd_kafka_message_t*, 256> messages{};
  for (;;) {
    const std::size_t count = rd_kafka_event_message_array(event, messages.data(), messages.size());
    if (count == 0) {
      break;
    }
    in_flight_ -= count;
    const bool proven = is_proven(*messages[0]);
    for (std::size_t i = 0; i < count; ++i) {
      handler.on_delivery(report_of(*messages[i], proven));
    }
  }
}

// Whether librdkafka's word that a batch is delivered can be believed.
//
// Of a batch that a broker refused it says so when a later one of that partition was written, since
// brokers accept sequence numbers in order only. But the first that a broker sees of a producer may
// have any number (KAFKA-15591): where a partition is new, the first batch may come before its leader
// knows of it, and the second after. The first is never written then.
bool Instance::is_proven(const rd_kafka_message_t& message) {
  if (!conf_.idempotent || message.err != RD_KAFKA_RESP_ERR_NO_ERROR || message.partition < 0) {
    return true;
  }
  std::vector<bool>& answered = topics_.at(rd_kafka_topic_name(message.rkt)).answered;
  const auto partition = static_cast<std::size_t>(message.partition);
  if (partition >= answered.size()) {
    answered.resize(partition + 1);
  }
  if (message.offset >= 0) {
    answered[partition] = true;
  }
  return answered[partition];
}

void Instance::publish_gauges() {
  stats_.set(ProfileCounter::in_flight_messages, in_flight_);
  stats_.set(ProfileCounter::topics, topics_.size());
  stats_.set(ProfileCounter::producers, producers_.size());
}

DeliveryReport Instance::report_of(const rd_kafka_message_t& message, bool proven) {
  DeliveryReport report;
  report.opaque = reinterpret_cast<std::uint64_t>(message._private);
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    report.partition = message.partition;
    // librdkafka says -1001, or counts on from it, where it does not know the offset.
    const bool known =
        message.offset >= 0 && rd_kafka_message_status(&message) == RD_KAFKA_MSG_STATUS_PERSISTED;
    report.offset = known ? message.offset : -1;
    if (!proven) {
      report.outcome = Outcome::unknown;
      report.error = RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
      report.reason = failure_reason(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    if (errors_.troubled()) {
      errors_.over();
      all_brokers_down_ = false;
      stats_.set(ProfileCounter::all_brokers_down, 0);
    }
    return report;
  }
  // After a fatal error librdkafka fails everything, the batch that it was found at with Kafka's
  // error for it; none of it is an outcome. Asked here, too, so that nothing hangs on whether the
  // event of the error comes first.
  note_fatal();
  report.purged = fatal_ || message.err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                  message.err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
  const bool never_sent = rd_kafka_message_status(&message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
  report.outcome = never_sent ? Outcome::failed : Outcome::unknown;
  rd_kafka_resp_err_t code = message.err;
  if (never_sent && code == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT &&
      errors_.login_error() != RD_KAFKA_RESP_ERR_NO_ERROR) {
    code = errors_.login_error();  // the cause, where librdkafka only knows that time passed
  }
  if (code == RD_KAFKA_RESP_ERR__DESTROY) {
    // It is the partition that is gone, with a topic that was deleted: we outlive our own reports.
    code = RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
  }
  report.error = static_cast<std::int16_t>(code);
  report.partition = message.partition;
  report.reason = failure_reason(code);
  return report;
}

void Instance::note_fatal() {
  std::array<char, 512> why{};
  if (fatal_) {
    return;
  }
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  for (const Producer& each : producers_) {
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      code = rd_kafka_fatal_error(each.get(), why.data(), why.size());
    }
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return;
  }
  fatal_ = true;
  brokers_.clear();  // those of the instance that follows take their place
  // An instance that ends at once is followed by the next one, which knows what was said.
  if (!errors_.note(code, why.data())) {
    return;
  }
  telemetry::process_log().log(
      spdlog::level::err, "fatal:" + profile_,
      "fatal Kafka error profile={} cluster={}: {}; what has no outcome is taken back from the "
      "rings and sent again by a new producer",
      profile_, cluster_, why.data());
}

void Instance::on_error_event(rd_kafka_event_t* event, EventHandler& handler) {
  const rd_kafka_resp_err_t code = rd_kafka_event_error(event);
  const char* text = rd_kafka_event_error_string(event);
  stats_.add(ProfileCounter::broker_errors, 1);
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    all_brokers_down_ = true;
    stats_.set(ProfileCounter::all_brokers_down, 1);
  }
  note_fatal();
  const bool news = errors_.note(code, text);
  if (errors_.refusal() != told_refusal_) {
    told_refusal_ = errors_.refusal();
    handler.on_refusal(*this);
  }
  // What follows from a refused login must not take the place of why it is refused.
  if (news || errors_.login_error() == RD_KAFKA_RESP_ERR_NO_ERROR ||
      login_error_of(code, text) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    stats_.set_note("last_error",
                    fmt::format("{:%FT%TZ} {}", fmt::gmtime(std::time(nullptr)), text));
  }
  if (news) {
    telemetry::process_log().log(spdlog::level::warn,
                                 "kafka:" + profile_ + ":" + rd_kafka_err2name(code),
                                 "Kafka error profile={} cluster={} error={}: {}", profile_,
                                 cluster_, rd_kafka_err2name(code), text);
  }
}

void Instance::renew_password(const std::string& user, const std::string& password) {
  // For producers that come later. The value was checked where the file was read.
  std::array<char, 512> why{};
  static_cast<void>(rd_kafka_conf_set(conf_.conf.get(), "sasl.password", password.c_str(),
                                      why.data(), why.size()));
  bool taken = true;
  for (const Producer& each : producers_) {
    if (rd_kafka_error_t* error =
            rd_kafka_sasl_set_credentials(each.get(), user.c_str(), password.c_str())) {
      spdlog::error("librdkafka does not take the new password profile={}: {}", profile_,
                    rd_kafka_error_string(error));
      rd_kafka_error_destroy(error);
      taken = false;
    }
  }
  errors_.look_again();
  if (!taken) {
    return;
  }
  spdlog::info("new Kafka password profile={}: used from the next connection on", profile_);
}

void Instance::on_log_event(rd_kafka_event_t* event) {
  const char* facility = nullptr;
  const char* text = nullptr;
  int level = 0;
  if (rd_kafka_event_log(event, &facility, &text, &level) == 0) {
    const std::string_view what = facility;
    if ((what == "FAIL" || what == "FATAL") && level < kDebugLevel) {
      return;  // it comes as an error event, too
    }
    telemetry::process_log().log(level_of(level), "librdkafka:" + profile_ + ":" + facility,
                                 "librdkafka profile={} {}: {}", profile_, facility, text);
  }
}

void Instance::on_statistics_event(std::size_t producer, rd_kafka_event_t* event) {
  if (!fatal_ && !brokers_.show(producer, rd_kafka_event_stats(event))) {
    telemetry::process_log().log(spdlog::level::warn, "statistics:" + profile_,
                                 "librdkafka's statistics are not understood profile={}", profile_);
  }
}

void Instance::hurry() {
  // With delivery events a flush cannot wait for reports; what counts is that linger is ignored
  // while it runs.
  for (const Producer& each : producers_) {
    static_cast<void>(rd_kafka_flush(each.get(), 1));
  }
}

// Without the flag it waits for every broker thread, and one that looks up a name may take long.
void Instance::begin_purge(bool in_requests) {
  for (const Producer& each : producers_) {
    static_cast<void>(
        rd_kafka_purge(each.get(), RD_KAFKA_PURGE_F_NON_BLOCKING | RD_KAFKA_PURGE_F_QUEUE |
                                       (in_requests ? RD_KAFKA_PURGE_F_INFLIGHT : 0)));
  }
}

void Instance::purge() {
  for (const Producer& each : producers_) {
    static_cast<void>(
        rd_kafka_purge(each.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT));
  }
}

}  // namespace kfast::daemon::kafka
