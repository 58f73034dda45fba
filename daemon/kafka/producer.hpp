// One producer of librdkafka's, with the queue of its events.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstddef>
#include <memory>

#include "config/result.hpp"

namespace kfast::daemon::kafka {

/// Owns both. Destruction may block on librdkafka's own threads; handles of its topics are given
/// back before it.
class Producer {
 public:
  /// `conf` is copied. `wake_fd`, non-blocking, is written when the queue goes from empty to not
  /// empty, so the queue must be drained; it outlives this. On failure: librdkafka's message.
  [[nodiscard]] static Result<Producer> create(const rd_kafka_conf_t* conf, int wake_fd);

  [[nodiscard]] rd_kafka_t* get() const noexcept { return handle_.get(); }
  /// Delivery reports, errors, log lines and statistics: one thread sees them all.
  [[nodiscard]] rd_kafka_queue_t* events() const noexcept { return events_.get(); }

  /// How many topics it has; for whoever deals them out.
  std::size_t topics = 0;

 private:
  struct Destroy {
    void operator()(rd_kafka_t* handle) const noexcept { rd_kafka_destroy(handle); }
    void operator()(rd_kafka_queue_t* queue) const noexcept {
      rd_kafka_queue_io_event_enable(queue, -1, nullptr, 0);
      rd_kafka_queue_destroy(queue);
    }
  };
  Producer() = default;

  std::unique_ptr<rd_kafka_t, Destroy> handle_;
  std::unique_ptr<rd_kafka_queue_t, Destroy> events_;  // given back before the producer ends
};

}  // namespace kfast::daemon::kafka
