// A child process with exactly one owner.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace kfast::bench {

/// Ends and reaps the child when it goes. The kernel ends it with this process, however that dies.
class ChildProcess {
 public:
  ChildProcess() = default;
  /// Starts `arguments[0]` with these arguments. Its standard output and input; -1: ours.
  ChildProcess(const std::vector<std::string>& arguments, int output_fd, int input_fd = -1);
  ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    return *this;
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  /// Waits for its end; true when it went well.
  [[nodiscard]] bool wait();
  /// True when it has ended by itself.
  [[nodiscard]] bool ended();
  /// SIGTERM, then waits.
  void stop();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
};

}  // namespace kfast::bench
