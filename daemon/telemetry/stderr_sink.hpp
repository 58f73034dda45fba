// The log's way to stderr, which holds nobody up.
#pragma once

#include <poll.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

namespace kfast::daemon::telemetry {

/// Writes each line to a descriptor that it does not own. Where that takes nothing now, since the
/// reader of a pipe hangs, the line is lost and counted, and the next one that gets through is
/// preceded by their number: a log must not stop the thread that moves records. Other errors (a full
/// disk, a reader that is gone) lose lines, too.
class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StderrSink(int fd = STDERR_FILENO) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (lost_ != 0 && takes_more()) {
      const std::string text =
          std::to_string(lost_) + " lines of the log were lost here: its reader did not take them";
      lost_ = 0;
      write_line({message.time, {}, message.logger_name, spdlog::level::warn, text});
    }
    write_line(message);
  }
  void flush_() override {}

 private:
  [[nodiscard]] bool takes_more() const {
    pollfd entry{fd_, POLLOUT, 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
  }

  void write_line(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    // A pipe that can be written takes that much without blocking.
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t part = std::min<std::size_t>(line.size() - at, PIPE_BUF);
      if (!takes_more()) {
        ++lost_;
        return;
      }
      const ssize_t written = ::write(fd_, line.data() + at, part);
      if (written <= 0) {
        return;
      }
      at += static_cast<std::size_t>(written);
    }
  }

  const int fd_;
  std::uint64_t lost_ = 0;
};

}  // namespace kfast::daemon::telemetry
