// Sending many records at once, and one whose value the caller writes into the ring.
#include <climits>

#include "producer.hpp"

namespace kfast::client {

/// Writes records from `done` on into the ring until one is refused, and publishes them together.
/// That one's code; `refusal` is not 0 where waiting for room may end it.
int Producer::write_some(kfast_record_t* records, std::size_t count, std::size_t& done,
                         std::int64_t& refusal) noexcept {
  const std::int64_t now = wall_ms();
  const std::size_t first = done;
  int code = KFAST_OK;
  refusal = 0;
  for (; done < count; ++done) {
    Record record = record_of(records[done]);
    if (!record.plain()) {
      code = check_headers(record);
      if (code != KFAST_OK) {
        break;
      }
    }
    code = check_opaque(record.opaque);
    if (code != KFAST_OK) {
      break;
    }
    const bool kept = record.opaque == nullptr || opaques_.reserve_one();
    const std::int64_t position =
        kept ? channel_.write_one(record, now) : static_cast<std::int64_t>(Refusal::no_memory);
    if (position < 0) {
      refusal = passes(position) ? position : 0;
      code = refuse(position, record);
      break;
    }
    records[done].position = position;
    if (record.opaque != nullptr) {
      opaques_.push(position, record.opaque);
    }
  }
  if (done != first) {
    channel_.publish_batch();
  }
  return code;
}

int Producer::send_batch(kfast_record_t* records, std::size_t count, int timeout_ms) noexcept {
  if (count == 0) {
    return 0;
  }
  if (records == nullptr) {
    error_.set("records may not be NULL when count is not 0");
    return KFAST_ERR_INVALID;
  }
  count = count > INT_MAX ? INT_MAX : count;
  std::size_t done = 0;
  const int code = !guard_.usable() ? unusable() : write_all(records, count, done, timeout_ms);
  if (done < count) {
    records[done].position = code;
  }
  return done == 0 ? code : static_cast<int>(done);
}

/// Writes records until one is refused for good or for too long: its code.
int Producer::write_all(kfast_record_t* records, std::size_t count, std::size_t& done,
                        int timeout_ms) noexcept {
  look_now_and_then(wall_ms());
  if (barred_) {
    return refuse_barred();
  }
  std::int64_t refusal = 0;
  int code = write_some(records, count, done, refusal);
  if (refusal == 0 || timeout_ms == 0) {
    return code;
  }
  const Deadline deadline(timeout_ms);
  while (refusal != 0) {
    // Ask to be woken, look again, then wait: what came free in between is seen.
    channel_.arm();
    const std::size_t before = done;
    code = write_some(records, count, done, refusal);
    if (refusal == 0 || done != before) {
      continue;
    }
    const bool in_time = wait_for_room(deadline, refusal);
    if (closed_) {
      code = closed();
      break;
    }
    if (!in_time) {
      static_cast<void>(refuse(refusal, record_of(records[done])));
      code = KFAST_ERR_TIMED_OUT;
      break;
    }
  }
  pass_wake_on();
  return code;
}

int Producer::reserve(const kfast_record_t* record, void** value) noexcept {
  if (value != nullptr) {
    *value = nullptr;
  }
  if (!guard_.usable()) {
    return unusable();
  }
  if (record == nullptr || value == nullptr) {
    error_.set("record and value may not be NULL");
    return KFAST_ERR_INVALID;
  }
  if (is_shared()) {
    error_.set(
        "with thread.safe=true a record cannot be made in place, since other threads could send "
        "nothing meanwhile: open a producer for this thread, or send a copy");
    return KFAST_ERR_INVALID;
  }
  Record wanted = record_of(*record);
  wanted.value = "";  // not null
  if (const int code = check_headers(wanted); code != KFAST_OK) {
    return code;
  }
  if (const int code = check_opaque(wanted.opaque); code != KFAST_OK) {
    return code;
  }
  const std::int64_t now = wall_ms();
  look_now_and_then(now);
  if (barred_) {
    return refuse_barred();
  }
  if (wanted.opaque != nullptr && !opaques_.reserve_one()) {
    return refuse(static_cast<std::int64_t>(Refusal::no_memory), wanted);
  }
  if (const std::int64_t refusal = channel_.reserve(wanted, now, *value); refusal != 0) {
    return refuse(refusal, wanted);
  }
  reserved_opaque_ = wanted.opaque;
  reserved_ = barred_ = true;
  return KFAST_OK;
}

std::int64_t Producer::commit(std::size_t value_size) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (!reserved_) {
    return no_reservation();
  }
  if (value_size > channel_.reserved_value_bytes()) {
    error_.format(
        "%zu bytes of value are more than the %zu that were reserved; the reservation is still "
        "open",
        value_size, channel_.reserved_value_bytes());
    return KFAST_ERR_INVALID;
  }
  look_now_and_then(wall_ms());
  reserved_ = false;
  barred_ = closed_;
  if (closed_) {
    channel_.cancel();
    return closed();
  }
  const std::int64_t position = channel_.commit(value_size);
  if (reserved_opaque_ != nullptr) {
    opaques_.push(position, reserved_opaque_);
  }
  return position;
}

int Producer::cancel() noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (!reserved_) {
    return no_reservation();
  }
  reserved_ = false;
  barred_ = closed_;
  channel_.cancel();
  return KFAST_OK;
}

int Producer::no_reservation() noexcept {
  error_.set("no reservation is open: begin one with kfast_reserve");
  return KFAST_ERR_INVALID;
}

}  // namespace kfast::client
