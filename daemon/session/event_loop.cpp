#include "session/event_loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace kfast::daemon::session {

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  std::unique_ptr<EventLoop> self(new EventLoop);
  self->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  self->task_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  EventLoop* loop = self.get();
  if (!self->epoll_.valid() || !self->task_fd_.valid() ||
      !self->add(self->task_fd_.get(), EPOLLIN, [loop](std::uint32_t) {
        std::uint64_t count = 0;
        static_cast<void>(::read(loop->task_fd_.get(), &count, sizeof count));
        loop->run_tasks();
      })) {
    return Failure{std::string("cannot make an event loop: ") + std::strerror(errno)};
  }
  return self;
}

bool EventLoop::add(int fd, std::uint32_t events, Callback callback) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = next_id_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return false;
  }
  watches_.emplace(next_id_, Watch{fd, std::move(callback)});
  ids_[fd] = next_id_++;
  return true;
}

void EventLoop::remove(int fd) {
  const auto found = ids_.find(fd);
  if (found != ids_.end()) {
    static_cast<void>(::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr));
    watches_.erase(found->second);
    ids_.erase(found);
  }
}

void EventLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  static_cast<void>(::write(task_fd_.get(), &one, sizeof one));
}

void EventLoop::run_tasks() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks) {
    task();
  }
}

void EventLoop::run() {
  std::array<epoll_event, 64> events{};
  while (!stopped_) {
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const std::uint64_t id =
          event.data.u64;  // a copy: the struct is packed, so no reference may bind to it
      const auto found = watches_.find(id);
      if (found != watches_.end()) {
        const Callback callback = found->second.callback;  // a copy: it may remove itself
        callback(event.events);
      }
    }
  }
}

}  // namespace kfast::daemon::session
