// Sending: the hot call, the one with everything, and the words for a record that was not accepted.
#include <climits>

#include "append.hpp"
#include "producer.hpp"

namespace kfast::client {
namespace {

/// How often a send that waits for its topic's share looks again: a share may come free without a
/// wake-up, when other topics hold up the head.
constexpr int kBudgetLookMs = 20;

constexpr bool is(std::int64_t result, Refusal refusal) noexcept {
  return result == static_cast<std::int64_t>(refusal);
}

}  // namespace

std::int64_t Producer::send(std::int32_t topic, const void* key, std::size_t key_size,
                            const void* value, std::size_t value_size) noexcept {
  const std::int64_t now = wall_ms();
  look_now_and_then(now);
  if (barred_) [[unlikely]] {
    return refuse_barred();
  }
  // Made anew for the words of a refusal, so that the hot path keeps its record in registers.
  const auto record = [&] {
    return Record{
        .topic = topic, .key = key, .key_size = key_size, .value = value, .value_size = value_size};
  };
  const std::int64_t position = channel_.append<false>(record(), now);
  if (position < 0) [[unlikely]] {
    return refuse(position, record());
  }
  return position;
}

std::int64_t Producer::try_append(const Record& record, std::int64_t now_ms) noexcept {
  // Room first: what kfastd has seen cannot be taken back.
  if (record.opaque != nullptr && !opaques_.reserve_one()) {
    return static_cast<std::int64_t>(Refusal::no_memory);
  }
  const std::int64_t position = record.plain() ? channel_.append<false>(record, now_ms)
                                               : channel_.append<true>(record, now_ms);
  if (record.opaque != nullptr && position >= 0) {
    opaques_.push(position, record.opaque);
  }
  return position;
}

std::int64_t Producer::send_record(Record& record, int timeout_ms, const Deadline* until) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (const int code = check_headers(record); code != KFAST_OK) {
    return code;
  }
  if (const int code = check_opaque(record.opaque); code != KFAST_OK) {
    return code;
  }
  std::int64_t now = wall_ms();
  look_now_and_then(now);
  if (barred_) {
    return refuse_barred();
  }
  std::int64_t result = try_append(record, now);
  if (result >= 0 || timeout_ms == 0) {
    return result >= 0 ? result : refuse(result, record);
  }
  const Deadline deadline = until != nullptr ? *until : Deadline(timeout_ms);
  for (;;) {
    if (!passes(result)) {
      result = refuse(result, record);
      break;
    }
    // Ask to be woken, look again, then wait: what came free in between is seen.
    channel_.arm();
    now = wall_ms();
    result = try_append(record, now);
    if (result >= 0) {
      break;
    }
    const bool in_time = wait_for_room(deadline, result);
    if (closed_) {
      result = closed();
      break;
    }
    if (!in_time) {
      static_cast<void>(refuse(result, record));
      result = KFAST_ERR_TIMED_OUT;
      break;
    }
  }
  pass_wake_on();
  return result;
}

/// What keeps records out although their channel has room.
int Producer::refuse_barred() noexcept {
  if (closed_) {
    return closed();
  }
  error_.set(
      "a reservation is open: end it with kfast_commit or kfast_cancel, then send the next record");
  return KFAST_ERR_INVALID;
}

/// True for a refusal that can end while one waits.
bool Producer::passes(std::int64_t refusal) const noexcept {
  return is(refusal, Refusal::over_budget) || is(refusal, Refusal::ring_full) ||
         (is(refusal, Refusal::no_credit) && (is_shared() || channel_.waiting_helps()));
}

/// After channel_.arm(). False: the deadline has passed.
bool Producer::wait_for_room(const Deadline& deadline, std::int64_t refusal) noexcept {
  return wait(deadline, is(refusal, Refusal::over_budget) ? kBudgetLookMs : -1);
}

int Producer::check_headers(Record& record) noexcept {
  if (record.partition < KFAST_ANY_PARTITION) {
    error_.format("partition %d: it is 0 or more, or KFAST_ANY_PARTITION", record.partition);
    return KFAST_ERR_INVALID;
  }
  if (record.timestamp_ms < KFAST_NOW || record.timestamp_ms == 0) {
    error_.format("timestamp_ms %lld: it is 1 or more (librdkafka cannot send 0), or KFAST_NOW",
                  static_cast<long long>(record.timestamp_ms));
    return KFAST_ERR_INVALID;
  }
  if (record.header_count > ipc::kMaxHeaders) {
    error_.format("the record has %zu headers: at most %u are possible", record.header_count,
                  static_cast<unsigned>(ipc::kMaxHeaders));
    return KFAST_ERR_TOO_MANY_HEADERS;
  }
  if (record.header_count != 0 && record.headers == nullptr) {
    error_.set("headers may not be NULL when header_count is not 0");
    return KFAST_ERR_INVALID;
  }
  for (std::size_t i = 0; i < record.header_count; ++i) {
    const kfast_header_t& header = record.headers[i];
    if (header.name_size > ipc::kMaxHeaderName) {
      error_.format("the name of header %zu has %zu bytes: at most %u are possible", i,
                    header.name_size, static_cast<unsigned>(ipc::kMaxHeaderName));
      return KFAST_ERR_TOO_MANY_HEADERS;
    }
    if ((header.name == nullptr && header.name_size != 0) ||
        (header.value == nullptr && header.value_size != 0)) {
      error_.format("header %zu: a NULL name or value must have size 0", i);
      return KFAST_ERR_INVALID;
    }
    if (header.value_size > channel_.max_frame_bytes()) {
      error_.format(
          "the value of header %zu has %zu bytes: with this ring a whole record has at most %llu; "
          "raise ring.bytes",
          i, header.value_size, static_cast<unsigned long long>(channel_.max_frame_bytes()));
      return KFAST_ERR_TOO_LARGE;
    }
    record.headers_size += sizeof(ipc::HeaderHead) + header.name_size + header.value_size;
  }
  return KFAST_OK;
}

/// The public code for a refusal. A full ring is met in loops, so its sentences are literals.
int Producer::refuse(std::int64_t refusal, const Record& record) noexcept {
  switch (static_cast<Refusal>(refusal)) {
    case Refusal::ring_full:
      error_.set(session_.is_open()
                     ? "the ring is full of records without an outcome: send again later, wait "
                       "with kfast_send_record's time-out, or raise ring.bytes; if it stays so, "
                       "the brokers are away or too slow"
                     : "the ring is full and kfastd is away: start it with `systemctl start "
                       "kfastd`; what was accepted is kept and delivered when it is back");
      return KFAST_ERR_QUEUE_FULL;
    case Refusal::no_credit:
      error_.set(session_.is_open()
                     ? "the report ring has no room for one more outcome: read the reports with "
                       "kfast_reports, send again when records have their outcome, raise "
                       "report.bytes, or set the option reports to errors or none"
                     : "kfastd is away, and the report ring has no room for one more outcome: "
                       "start it with `systemctl start kfastd`, or raise report.bytes; what "
                       "was accepted is kept and delivered when it is back");
      return KFAST_ERR_QUEUE_FULL;
    case Refusal::over_budget:
      error_.format(
          "topic \"%s\" holds its whole share of the ring: send again when its records have an "
          "outcome; is the topic in trouble?",
          channel_.topics().name_of(record.topic));
      return KFAST_ERR_QUEUE_FULL;
    case Refusal::not_allowed:
      error_.format(
          "no [[allow]] rule of kfastd.toml lets this user produce to topic \"%s\"; add it to "
          "`produce`",
          channel_.topics().name_of(record.topic));
      return KFAST_ERR_TOPIC_NOT_ALLOWED;
    case Refusal::topic_limit:
      error_.format(
          "topic \"%s\" is one more than kfastd.toml's [limits] let this user have; raise `topics` "
          "there",
          channel_.topics().name_of(record.topic));
      return KFAST_ERR_TOO_MANY_TOPICS;
    case Refusal::too_large:
      return refuse_size(record);
    case Refusal::no_such_topic:
      error_.format("there is no topic number %d: get it from kfast_topic of this producer",
                    record.topic);
      return KFAST_ERR_INVALID;
    case Refusal::null_with_size:
      error_.set("a NULL key or value must have size 0");
      return KFAST_ERR_INVALID;
    case Refusal::no_memory:
      error_.set("no memory to keep the record's opaque: the record was not accepted");
      return KFAST_ERR_NO_MEMORY;
  }
  error_.set("libkfast refused a record and does not know why: report the bug");
  return KFAST_ERR_INVALID;
}

int Producer::refuse_size(const Record& record) noexcept {
  const auto key = static_cast<unsigned long long>(record.key_size);
  const auto value = static_cast<unsigned long long>(record.value_size);
  const auto headers = static_cast<unsigned long long>(record.headers_size);
  const unsigned long long limit = channel_.max_record_bytes();
  if (key > limit || value > limit || key + value + headers > limit) {
    error_.format(
        "the record has %llu bytes of key, %llu of value and %llu of headers, together more than "
        "the %llu that the profile accepts: raise its message.max.bytes (and the topic's "
        "max.message.bytes in Kafka)",
        key, value, headers, limit);
  } else {
    error_.format(
        "the record has %llu bytes of key, %llu of value and %llu of headers; with its own head it "
        "needs more than a quarter of the ring, which is %llu: raise ring.bytes",
        key, value, headers, static_cast<unsigned long long>(channel_.max_frame_bytes()));
  }
  return KFAST_ERR_TOO_LARGE;
}

}  // namespace kfast::client
