// Plain records of one topic on their way to librdkafka, by one call for many where that keeps
// their time.
#pragma once

#include <librdkafka/rdkafka.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "kafka/instance.hpp"

namespace kfast::daemon::kafka {

/// Records without headers, partition or timestamp of their own, in the order of sending.
///
/// rd_kafka_produce_batch takes the topic's lock, reads the clocks and parses its arguments once
/// for all of them; but it stamps them with the time of the call. So a record goes by it while its
/// send is at most kLateMs ago, which is what a timestamp of ours is uncertain by anyway (a coarse
/// clock's tick, and a nap); an older one goes by produce(), with the time of its send.
///
/// Keys and values are pointers into a client's memory until hand_over(), which has librdkafka
/// copy each byte once. One thread.
class PlainBatch {
 public:
  /// More would not fit into the first-level cache beside the rest.
  static constexpr std::size_t kMost = 128;
  static constexpr std::int64_t kLateMs = 10;

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  /// Whether a record of this topic may join: else hand_over() first.
  [[nodiscard]] bool takes(const rd_kafka_topic_t* topic) const noexcept {
    return count_ == 0 || (topic == topic_ && count_ < kMost);
  }

  /// Only `topic`, `key`, `value` and `opaque` of the request are looked at. Needs takes().
  void add(const ProduceRequest& request, std::int64_t sent_ms) noexcept {
    topic_ = request.topic;
    sent_ms_[count_] = sent_ms;
    // By field: the rest is librdkafka's to write, or is not read.
    rd_kafka_message_t& message = messages_[count_++];
    message.payload = const_cast<void*>(request.value);
    message.len = request.value_size;
    message.key = const_cast<void*>(request.key);
    message.key_len = request.key_size;
    message._private = reinterpret_cast<void*>(request.opaque);
  }

  /// Hands everything over. `on_refused(opaque, error)` is called for what librdkafka did not
  /// take; after a fatal error that is nothing at all: the records have no outcome, and the
  /// instance's successor gets them from the ring.
  template <class OnRefused>
  void hand_over(Instance& instance, std::int64_t now_ms, OnRefused&& on_refused) {
    submit(instance, now_ms);
    for (std::size_t n = 0; n < count_; ++n) {
      const rd_kafka_resp_err_t error = messages_[n].err;
      if (error != RD_KAFKA_RESP_ERR_NO_ERROR && error != RD_KAFKA_RESP_ERR__FATAL) [[unlikely]] {
        on_refused(reinterpret_cast<std::uint64_t>(messages_[n]._private), error);
      }
    }
    count_ = 0;
  }

 private:
  void submit(Instance& instance, std::int64_t now_ms);
  [[nodiscard]] rd_kafka_resp_err_t produce_alone(Instance& instance, std::size_t i) const;

  rd_kafka_topic_t* topic_ = nullptr;
  std::size_t count_ = 0;
  std::array<std::int64_t, kMost> sent_ms_;
  std::array<rd_kafka_message_t, kMost> messages_;
};

}  // namespace kfast::daemon::kafka
