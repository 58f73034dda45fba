#include "kafka/plain_batch.hpp"

#include <utility>

namespace kfast::daemon::kafka {
namespace {

constexpr bool young(std::int64_t sent_ms, std::int64_t now_ms) noexcept {
  return sent_ms >= now_ms - PlainBatch::kLateMs && sent_ms <= now_ms + PlainBatch::kLateMs;
}

}  // namespace

rd_kafka_resp_err_t PlainBatch::produce_alone(Instance& instance, std::size_t i) const {
  ProduceRequest request;
  request.topic = topic_;
  request.timestamp_ms = sent_ms_[i];
  request.key = messages_[i].key;
  request.key_size = messages_[i].key_len;
  request.value = messages_[i].payload;
  request.value_size = messages_[i].len;
  request.opaque = reinterpret_cast<std::uint64_t>(messages_[i]._private);
  return instance.produce(std::move(request));
}

void PlainBatch::submit(Instance& instance, std::int64_t now_ms) {
  for (std::size_t i = 0; i < count_;) {
    std::size_t end = i;
    while (end < count_ && young(sent_ms_[end], now_ms)) {
      ++end;
    }
    if (end == i) {
      messages_[i].err = produce_alone(instance, i);
      ++i;
    } else {
      instance.produce_batch(topic_, {messages_.data() + i, end - i});
      i = end;
    }
  }
}

}  // namespace kfast::daemon::kafka
