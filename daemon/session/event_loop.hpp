// The main thread's loop: sockets, signals and messages from other threads.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "config/result.hpp"
#include "kfast/ipc/fd.hpp"

namespace kfast::daemon::session {

/// One thread runs it; only post() may be called from others.
class EventLoop {
 public:
  using Callback = std::function<void(std::uint32_t events)>;

  [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop() = default;

  /// Calls `callback` when `fd` has one of `events` (level-triggered). False when the kernel
  /// refuses.
  [[nodiscard]] bool add(int fd, std::uint32_t events, Callback callback);
  /// Forgets `fd`; its callback will not be called again, not even for events already fetched.
  /// Before the fd is closed.
  void remove(int fd);

  /// Runs `task` on the loop's thread, soon.
  void post(std::function<void()> task);

  /// Until stop().
  void run();
  void stop() { stopped_ = true; }

 private:
  EventLoop() = default;
  void run_tasks();

  struct Watch {
    int fd;
    Callback callback;
  };

  ipc::Fd epoll_;
  ipc::Fd task_fd_;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, Watch> watches_;  // by an id that is never used again
  std::unordered_map<int, std::uint64_t> ids_;        // by fd
  bool stopped_ = false;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;  // guarded by mutex_
};

}  // namespace kfast::daemon::session
