#include "channel.hpp"

namespace kfast::bench {

Channel::Channel(const std::string& topic, const char* ring_bytes, std::uint32_t value_bytes)
    : value_(value_bytes, 'v'), producer_(ring_bytes), topic_(producer_.topic(topic)) {}

bool Channel::send() {
  const bool accepted = producer_.accepted(
      kfast_send(producer_.get(), topic_, nullptr, 0, value_.data(), value_.size()));
  sent_ += accepted ? 1 : 0;
  return accepted;
}

void Channel::read_reports() {
  producer_.read_reports([this](const auto& run) { reported_ += run.size(); });
}

void Channel::wait_reported(std::uint64_t count) {
  for (read_reports(); reported_ < count; read_reports()) {
    producer_.wait();
  }
}

}  // namespace kfast::bench
