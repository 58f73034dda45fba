#include "channel.hpp"

#include <poll.h>

#include "worker.hpp"

namespace kfast::bench {
namespace {

constexpr int kStuckMs = 60'000;

}  // namespace

Channel::Channel(const std::string& topic, const char* ring_bytes, std::uint32_t value_bytes)
    : value_(value_bytes, 'v') {
  std::array<char, 512> why{};
  kfast_options_t* options = kfast_options_new();
  if (kfast_options_set(options, "ring.bytes", ring_bytes, why.data(), why.size()) != KFAST_OK ||
      kfast_producer_open(options, &producer_, why.data(), why.size()) != KFAST_OK) {
    give_up(why.data());
  }
  kfast_options_free(options);
  topic_ = kfast_topic(producer_, topic.c_str());
  if (topic_ < 0) {
    give_up(kfast_last_error(producer_));
  }
}

Channel::~Channel() {
  kfast_producer_close(producer_);
}

bool Channel::send() {
  const std::int64_t position =
      kfast_send(producer_, topic_, nullptr, 0, value_.data(), value_.size());
  if (position < 0 && position != KFAST_ERR_QUEUE_FULL) {
    give_up(std::string("kfast_send: ") + kfast_last_error(producer_));
  }
  sent_ += position >= 0 ? 1 : 0;
  return position >= 0;
}

void Channel::read_reports() {
  int count = 0;
  do {
    count = kfast_reports(producer_, reports_.data(), reports_.size());
    if (count < 0) {
      give_up(std::string("kfast_reports: ") + kfast_last_error(producer_));
    }
    for (int i = 0; i < count; ++i) {
      if (reports_[static_cast<std::size_t>(i)].outcome != KFAST_DELIVERED) {
        give_up("a record was not delivered");
      }
    }
    reported_ += static_cast<std::uint64_t>(count);
  } while (static_cast<std::size_t>(count) == reports_.size());
}

void Channel::wait_reported(std::uint64_t count) {
  for (read_reports(); reported_ < count; read_reports()) {
    pollfd fd{kfast_fd(producer_), POLLIN, 0};
    if (::poll(&fd, 1, kStuckMs) == 0) {
      give_up("kfast: no report for a minute");
    }
  }
}

}  // namespace kfast::bench
