#include "watchdog.hpp"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace kfast::daemon {
namespace {

/// Two signs of life may be late before the manager's patience ends.
constexpr int kTicks = 3;

std::optional<std::int64_t> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) {
    return std::nullopt;
  }
  const std::string_view view(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  return error == std::errc() && end == view.data() + view.size() ? value : -1;
}

}  // namespace

std::optional<std::chrono::microseconds> watchdog_time() {
  const auto within = number_in("WATCHDOG_USEC");
  if (!within || *within <= 0 || number_in("WATCHDOG_PID").value_or(::getpid()) != ::getpid()) {
    return std::nullopt;
  }
  return std::chrono::microseconds(*within);
}

std::string status_line(const shard::Standing& standing) {
  std::string line = fmt::format("STATUS=serving: {} of {} clusters up, {} records wait",
                                 standing.clusters_up, standing.clusters, standing.waiting.records);
  if (standing.waiting.bytes != 0) {
    line += fmt::format(", {} bytes of rings are not taken yet", standing.waiting.bytes);
  }
  return line;
}

Watchdog::Watchdog(session::EventLoop& loop, shard::Shard& shard,
                   std::function<void(const std::string&)> tell)
    : loop_(loop), shard_(shard), tell_(std::move(tell)) {}

Watchdog::~Watchdog() {
  loop_.remove(timer_.get());
}

void Watchdog::start(std::chrono::microseconds within) {
  const auto every =
      std::max(std::chrono::microseconds(1), within / kTicks);  // 0 would stop the timer
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(every);
  itimerspec when{};
  when.it_interval.tv_sec = static_cast<time_t>(whole.count());
  when.it_interval.tv_nsec = static_cast<long>(std::chrono::nanoseconds(every - whole).count());
  when.it_value = when.it_interval;
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_.valid() || ::timerfd_settime(timer_.get(), 0, &when, nullptr) != 0 ||
      !loop_.add(timer_.get(), EPOLLIN, [this](std::uint32_t) { ask(); })) {
    spdlog::error(
        "no timer for the watchdog ({}): the service manager will take kfastd for hung after {} s",
        std::strerror(errno), std::chrono::duration_cast<std::chrono::seconds>(within).count());
  }
}

void Watchdog::ask() {
  std::uint64_t ticks = 0;
  static_cast<void>(::read(timer_.get(), &ticks, sizeof ticks));
  if (unanswered_ != 0) {
    if (++unanswered_ == 2) {
      spdlog::error(
          "the shard does not answer: no sign of life for the service manager's watchdog");
    }
    return;
  }
  unanswered_ = 1;
  shard_.ask([this](const shard::Standing& standing) {
    loop_.post([this, standing] { on_answer(standing); });
  });
}

void Watchdog::on_answer(const shard::Standing& standing) {
  unanswered_ = 0;
  std::string text = "WATCHDOG=1";
  std::string status = status_line(standing);
  if (tells_status_ && status != status_) {
    text += "\n" + status;
    status_ = std::move(status);
  }
  tell_(text);
}

}  // namespace kfast::daemon
