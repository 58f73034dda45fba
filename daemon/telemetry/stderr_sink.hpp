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

/// Writes each line to a descriptor that it does not own. Where that takes nothing, since the reader
/// of a pipe hangs or is gone, or a disk is full, the line is lost and counted, and the next one that
/// gets through is preceded by their number: a log must not stop the thread that moves records.
class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StderrSink(int fd = STDERR_FILENO) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (lost_ != 0) {
      const std::string text = std::to_string(lost_) +
                               " lines of the log were lost here: its reader or its disk did not "
                               "take them";
      if (!write_line({message.time, {}, message.logger_name, spdlog::level::warn, text})) {
        ++lost_;
        return;
      }
      lost_ = 0;
    }
    if (!write_line(message)) {
      ++lost_;
    }
  }
  void flush_() override {}

 private:
  [[nodiscard]] bool takes_more() const {
    pollfd entry{fd_, POLLOUT, 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
  }

  [[nodiscard]] bool write_line(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    if (torn_) {
      line.push_back('\n');
    }
    formatter_->format(message, line);
    // A pipe that can be written takes that much without blocking.
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t part = std::min<std::size_t>(line.size() - at, PIPE_BUF);
      const ssize_t written = takes_more() ? ::write(fd_, line.data() + at, part) : 0;
      if (written <= 0) {
        torn_ = torn_ || at != 0;
        return false;
      }
      at += static_cast<std::size_t>(written);
    }
    torn_ = false;
    return true;
  }

  const int fd_;
  std::uint64_t lost_ = 0;
  bool torn_ = false;  // the last line that was lost is there in part, without its end
};

}  // namespace kfast::daemon::telemetry
