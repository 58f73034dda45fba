// The producer's channel: writes records into the c2d ring, reads reports from the d2c ring,
// survives its daemon.
#pragma once

#include <cstddef>
#include <cstdint>

#include "awaited.hpp"
#include "channel_memory.hpp"
#include "error_text.hpp"
#include "kfast/ipc/atomics.hpp"
#include "kfast/ipc/doorbell.hpp"
#include "kfast/ipc/frame.hpp"
#include "kfast/ipc/ring.hpp"
#include "kfast/ipc/wire.hpp"
#include "kfast/kfast.h"
#include "report_reader.hpp"
#include "report_spill.hpp"
#include "seen_reports.hpp"
#include "topics.hpp"

namespace kfast::client {

/// A record as it was handed to the library. What stands behind `headers_size` is used by
/// append<true> only.
struct Record {
  /// Needs no extension: nothing but a topic, a key and a value.
  [[nodiscard]] bool plain() const noexcept {
    return header_count == 0 && partition == KFAST_ANY_PARTITION && timestamp_ms == KFAST_NOW;
  }

  std::int32_t topic;
  const void* key;
  std::size_t key_size;
  const void* value;
  std::size_t value_size;
  std::uint64_t headers_size = 0;  // bytes of the headers in the frame
  const kfast_header_t* headers = nullptr;
  std::size_t header_count = 0;
  std::int32_t partition = KFAST_ANY_PARTITION;
  std::int64_t timestamp_ms = KFAST_NOW;
  void* opaque = nullptr;  // not in the frame
};

[[nodiscard]] inline Record record_of(const kfast_record_t& given) noexcept {
  return {.topic = given.topic,
          .key = given.key,
          .key_size = given.key_size,
          .value = given.value,
          .value_size = given.value_size,
          .headers_size = 0,
          .headers = given.headers,
          .header_count = given.header_count,
          .partition = given.partition,
          .timestamp_ms = given.timestamp_ms,
          .opaque = given.opaque};
}

/// Why a record was not accepted. Negative, so that one number can be this or a position.
enum class Refusal : std::int64_t {
  ring_full = -1,
  no_credit = -2,
  over_budget = -3,
  not_allowed = -4,
  topic_limit = -5,
  too_large = -6,
  no_such_topic = -7,
  null_with_size = -8,
  no_memory = -9,
};

/// Where the report of a record is.
enum class Arrival {
  here,
  pending,    // its record has no outcome yet
  never,      // its record was not sent, or the report was read already
  no_memory,  // to keep the reports before it; all are still in their places
  malformed,
};

/// A frame whose value is still to be written, or why there is none.
struct Frame {
  ipc::Reservation room;
  std::byte* value;
  Refusal refusal;
};

/// One channel. Its calls make no system call, but for the doorbell of a daemon that rests, which
/// whatever publishes may write, purge() and let_go(). One thread.
class Channel {
 public:
  /// Maps what came with Opened. Returns 0 or a KFAST_ERR.
  [[nodiscard]] int open(const ipc::Opened& opened, ChannelFds& fds, ipc::ReportsMode mode,
                         ErrorText& why) noexcept;

  /// Writes a record and publishes it: its position, or a Refusal. append.hpp.
  template <bool kExtended>
  [[nodiscard]] std::int64_t append(const Record& record, std::int64_t now_ms) noexcept;

  /// Writes a record without publishing it: its position, or a Refusal. Nothing but further writes
  /// may come before publish_batch(), no reading of reports and no hand-over.
  [[nodiscard]] std::int64_t write_one(const Record& record, std::int64_t now_ms) noexcept;
  /// Publishes what was written.
  void publish_batch() noexcept;

  /// Begins a record whose value, of up to `value_size` bytes, the caller writes to `value` later.
  /// Until commit() or cancel() nothing else may be written; everything else may happen, also a
  /// hand-over. 0 or a Refusal.
  [[nodiscard]] std::int64_t reserve(const Record& record, std::int64_t now_ms,
                                     void*& value) noexcept;
  [[nodiscard]] std::size_t reserved_value_bytes() const noexcept { return open_value_size_; }
  /// Publishes it with the first `value_size` bytes of its value, and returns its position.
  [[nodiscard]] std::int64_t commit(std::size_t value_size) noexcept;
  void cancel() noexcept { writer_.abandon(); }

  /// True when waiting for kfastd can end the refusal of a full ring or used up credit; false when
  /// only reading reports can.
  [[nodiscard]] bool waiting_helps() const noexcept;

  /// Reads up to `max` reports that no wait is for. Negative: the ring is malformed.
  [[nodiscard]] std::ptrdiff_t read_reports(kfast_report_t* out, std::size_t max) noexcept;

  /// From now on the report of `awaited`, which stays where it is until end_wait(), is nobody
  /// else's.
  void begin_wait(Awaited& awaited) noexcept;
  void end_wait(const Awaited& awaited) noexcept { waits_.remove(awaited); }
  /// Reads reports until that of `awaited` is here; keeps the others, in order, for
  /// read_reports().
  [[nodiscard]] Arrival look_for(const Awaited& awaited) noexcept;
  /// True when reports were read out of the ring since the last time: others' waits, or their room,
  /// may have come.
  [[nodiscard]] bool reports_moved() noexcept {
    const bool moved = reports_moved_;
    reports_moved_ = false;
    return moved;
  }

  /// Asks kfastd for one wake-up at its next progress, unless one is asked for. What happened
  /// before it is visible after it.
  void arm() noexcept;
  /// The wake-up came.
  void disarm() noexcept { armed_ = false; }

  /// Goes over to the daemon that answered to ResumeProducer, which begins when it has Confirm.
  /// Returns 0 or a KFAST_ERR; after KFAST_ERR_NO_MEMORY the old memory is still in place.
  [[nodiscard]] int hand_over(const ipc::Opened& opened, ChannelFds& fds, ErrorText& why) noexcept;

  /// Tells kfastd that this is the end, also one that is not there yet or does not know whose
  /// channel it is. Nothing is sent afterwards.
  void let_go() noexcept;

  /// Gives up what was sent and is not handed over to Kafka's client yet.
  void purge() noexcept;
  /// Why brokers refuse kfastd, or "".
  void get_refusal(char (&text)[ipc::kRefusalText]) const noexcept {
    ipc::get_refusal(memory_.d2c().refusal, text);
  }

  /// Bytes of the ring that hold records without an outcome.
  [[nodiscard]] std::uint64_t used_bytes() const noexcept;
  /// The end of what was sent.
  [[nodiscard]] std::uint64_t tail() const noexcept { return writer_.tail(); }
  /// Every record before `end`, a former tail(), has its outcome.
  [[nodiscard]] bool has_outcomes_until(std::uint64_t end) const noexcept {
    return used_bytes() <= writer_.tail() - end;
  }

  [[nodiscard]] Topics& topics() noexcept { return topics_; }
  [[nodiscard]] const Topics& topics() const noexcept { return topics_; }
  [[nodiscard]] const ChannelMemory& memory() const noexcept { return memory_; }
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] std::uint64_t ring_bytes() const noexcept { return writer_.capacity(); }
  [[nodiscard]] std::uint64_t max_frame_bytes() const noexcept { return max_frame_; }
  [[nodiscard]] std::uint64_t max_record_bytes() const noexcept { return max_record_; }

 private:
  template <bool kExtended>
  [[nodiscard]] bool begin_frame(const Record& record, std::int64_t now_ms, Frame& frame) noexcept;
  template <bool kExtended>
  [[nodiscard]] bool write(const Record& record, std::int64_t now_ms, Frame& frame) noexcept;
  void count_frame(std::uint64_t position) noexcept;
  void wake_daemon() noexcept;
  void fetch_next(std::uint64_t newest) noexcept;
  void fetch_at(std::uint64_t from, std::uint64_t size) noexcept;
  void bind_daemon_side(const ipc::Opened& opened, std::uint64_t head) noexcept;
  [[nodiscard]] int read_out_reports(ErrorText& why) noexcept;
  void keep(const kfast_report_t& report) noexcept;
  [[nodiscard]] bool is_pending(std::uint64_t position, std::uint64_t head) const noexcept;
  [[nodiscard]] bool refresh_credit() noexcept;
  [[nodiscard]] std::uint64_t report_limit() const noexcept;
  [[nodiscard]] std::uint32_t in_flight(std::uint64_t head) const noexcept;
  [[nodiscard]] std::uint32_t ordinal_at(std::uint64_t position) const noexcept;
  [[nodiscard]] static Refusal refusal_of(std::uint8_t state) noexcept;
  [[nodiscard]] static bool refuse(Refusal why, Frame& frame) noexcept {
    frame.refusal = why;
    return false;
  }
  void write_padding(std::uint64_t position, std::uint64_t size) noexcept;
  static std::byte* write_headers(std::byte* at, const Record& record) noexcept;
  void ring_doorbell() const noexcept;

  // What every send reads, together.
  std::byte* ring_ = nullptr;
  const std::atomic<std::uint8_t>* topic_states_ = nullptr;
  const std::atomic<std::uint64_t>* parked_ = nullptr;
  const std::atomic<std::uint64_t>* shard_state_ = nullptr;
  const std::atomic<std::uint64_t>* taken_ = nullptr;
  std::uint64_t max_payload_ = 0;  // of key and value in a frame without an extension
  std::uint64_t max_frame_ = 0;
  std::uint64_t credit_ =
      0;  // records that may be sent before the d2c ring must be looked at again
  std::uint32_t next_ordinal_ = 0;  // how many records were sent
  bool reports_wanted_ = true;
  bool armed_ = false;
  ipc::RingWriter<ipc::HostAtomics> writer_;
  ipc::Ringer<ipc::HostAtomics> ringer_;
  SeenReports seen_;
  Topics topics_;

  Frame open_{};  // of the open reservation
  std::size_t open_value_size_ = 0;
  std::uint64_t max_record_ = 0;
  std::uint64_t wanted_wakes_ = 0;
  std::uint32_t number_ = 0;
  ReportReader reader_;
  ReportSpill spill_;
  AwaitedList waits_;
  bool reports_moved_ = false;
  ChannelMemory memory_;
};

}  // namespace kfast::client
