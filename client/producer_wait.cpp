// Waiting for the report of one record, and sending what is waited for.
#include "producer.hpp"

namespace kfast::client {

std::int64_t Producer::send_one(const kfast_record_t* record, int timeout_ms,
                                const Deadline* until) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (record == nullptr) {
    error_.set("record may not be NULL");
    return KFAST_ERR_INVALID;
  }
  Record made = record_of(*record);
  return send_record(made, timeout_ms, until);
}

int Producer::send_wait(const kfast_record_t* record, int timeout_ms,
                        kfast_report_t* report) noexcept {
  if (report != nullptr) {
    *report = {-1, -1, record == nullptr ? -1 : record->topic, -1, 0, 0};
  }
  if (!guard_.usable()) {
    return unusable();
  }
  if (const int code = check_wait(report); code != KFAST_OK) {
    return code;
  }
  const Deadline deadline(timeout_ms);
  const std::int64_t position = send_one(record, timeout_ms, &deadline);
  if (position < 0) {
    return static_cast<int>(position);
  }
  report->position = position;
  // Between the two nothing gives the lock up, so no other thread can read the report first.
  return wait_until(position, timeout_ms, deadline, *report);
}

int Producer::wait_report(std::int64_t position, int timeout_ms, kfast_report_t* report) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (const int code = check_wait(report); code != KFAST_OK) {
    return code;
  }
  look_now_and_then(wall_ms());
  return wait_until(position, timeout_ms, Deadline(timeout_ms), *report);
}

int Producer::wait_until(std::int64_t position, int timeout_ms, const Deadline& deadline,
                         kfast_report_t& report) noexcept {
  Awaited awaited(position);
  channel_.begin_wait(awaited);
  const auto outcome = [&]() noexcept -> int {
    bool in_time = timeout_ms != 0;
    for (;;) {
      Arrival arrival = channel_.look_for(awaited);
      if (arrival == Arrival::pending && in_time && !closed_) {
        // Ask to be woken, and look again: what came in between is seen.
        channel_.arm();
        arrival = channel_.look_for(awaited);
      }
      switch (arrival) {
        case Arrival::here:
          report = awaited.report;
          return KFAST_OK;
        case Arrival::pending:
          break;
        case Arrival::never:
          error_.format(
              "no report will come for position %lld: it is not one that a send returned, or its "
              "report was read already",
              static_cast<long long>(position));
          return KFAST_ERR_INVALID;
        case Arrival::no_memory:
          error_.set(
              "no memory to keep the reports that came before the one that is waited for: read "
              "them with kfast_reports, then wait again");
          return KFAST_ERR_NO_MEMORY;
        case Arrival::malformed:
          return malformed();
      }
      if (closed_) {
        return closed();
      }
      if (!in_time) {
        return late(position);
      }
      // Also when the time is over: its last look may have brought the report.
      in_time = wait(deadline, -1);
    }
  };
  const int result = outcome();
  channel_.end_wait(awaited);
  if (result == KFAST_OK && !opaques_.empty()) {
    opaques_.take(position);
  }
  pass_wake_on();
  return result;
}

int Producer::reports_opaque(kfast_report_t* out, void** opaques, std::size_t max) noexcept {
  if (!guard_.usable()) {
    return unusable();
  }
  if (opaques == nullptr && max != 0) {
    error_.set("opaques may not be NULL when max is not 0");
    return KFAST_ERR_INVALID;
  }
  return reports(out, opaques, max);
}

/// `opaques` null: they are dropped.
void Producer::take_opaques(const kfast_report_t* reports, void** opaques,
                            std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    void* opaque = opaques_.take(reports[i].position);
    if (opaques != nullptr) {
      opaques[i] = opaque;
    }
  }
}

// ---- what went wrong ----------------------------------------------------------------------------

int Producer::check_wait(const kfast_report_t* report) noexcept {
  if (report == nullptr) {
    error_.set("report may not be NULL");
    return KFAST_ERR_INVALID;
  }
  if (options_.reports() != ipc::ReportsMode::all) {
    error_.set(
        "waiting for a record's report needs the option reports=all: with errors or none, it may "
        "never come");
    return KFAST_ERR_INVALID;
  }
  return KFAST_OK;
}

int Producer::check_opaque(const void* opaque) noexcept {
  if (opaque != nullptr && options_.reports() != ipc::ReportsMode::all) {
    error_.set(
        "a record's opaque comes back with its report, so it needs the option reports=all: with "
        "errors or none, it may never come");
    return KFAST_ERR_INVALID;
  }
  return KFAST_OK;
}

int Producer::late(std::int64_t position) noexcept {
  const auto record = static_cast<long long>(position);
  if (session_.is_open()) {
    error_.format(
        "kfastd has no outcome yet for the record at position %lld; it stays in the ring and is "
        "still delivered: are the brokers away? See `kfastctl health`",
        record);
  } else {
    error_.format(
        "kfastd is away: the record at position %lld is kept in the ring and delivered when it is "
        "back and this worker calls the library. %.300s",
        record, away_why_.c_str());
  }
  return KFAST_ERR_TIMED_OUT;
}

}  // namespace kfast::client
