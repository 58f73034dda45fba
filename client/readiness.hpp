// The one file descriptor that a worker's event loop watches for the whole life of a producer.
#pragma once

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cstdint>

#include "kfast/ipc/fd.hpp"

namespace kfast::client {

/// An epoll set with the session socket of the day and a timer in it. One thread; not to be used in
/// a forked child, which shares the set with its parent.
class Readiness {
 public:
  /// False, with errno: no descriptor left.
  [[nodiscard]] bool open() noexcept {
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    return epoll_.valid() && timer_.valid() && add(timer_.get());
  }

  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

  /// False, with errno: the kernel's limit of watches.
  [[nodiscard]] bool watch(int socket) noexcept { return add(socket); }

  /// Before the socket is closed: a forked child may hold a copy, which would keep it in the set.
  void unwatch(int socket) noexcept { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr); }

  /// Becomes readable in `ms` milliseconds, 0 at once; replaces what was set before.
  void ring_in(std::int64_t ms) noexcept {
    itimerspec when{};
    when.it_value.tv_sec = ms / 1000;
    when.it_value.tv_nsec = ms % 1000 * 1'000'000 + 1;  // zero would disarm it
    ::timerfd_settime(timer_.get(), 0, &when, nullptr);
    ringing_ = true;
  }

  /// Takes the timer back, also when it has already rung.
  void quiet() noexcept {
    if (ringing_) {
      const itimerspec never{};
      ::timerfd_settime(timer_.get(), 0, &never, nullptr);
      ringing_ = false;
    }
  }

 private:
  bool add(int fd) noexcept {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  ipc::Fd epoll_;
  ipc::Fd timer_;
  bool ringing_ = false;
};

}  // namespace kfast::client
