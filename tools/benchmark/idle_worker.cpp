// The worker process of `idle`: forks the workers, each of which opens a producer and waits.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "idle.hpp"
#include "kfast/ipc/fd.hpp"
#include "topic_sender.hpp"
#include "worker.hpp"
#include "worker_process.hpp"

namespace kfast::bench {
namespace {

/// Two hundred of them are far below what kfastd allows one user.
constexpr const char* kRingBytes = "1m";

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      give_up("no pipe could be made: too many open files?");
    }
    from = ipc::Fd(ends[0]);
    to = ipc::Fd(ends[1]);
  }
  ipc::Fd from;
  ipc::Fd to;
};

/// As in an event loop: asleep until a descriptor is ready. Returns when the pipe `end` is closed.
void wait_for_events(TopicSender& sender, int end) {
  std::array<pollfd, 2> fds{{{end, POLLIN, 0}, {sender.fd(), POLLIN, 0}}};
  while (::poll(fds.data(), fds.size(), -1) >= 0 && fds[0].revents == 0) {
    sender.read_reports();
  }
}

/// In a forked child.
void be_idle(const SenderSettings& settings, int ready, int end) {
  const std::unique_ptr<TopicSender> sender = make_topic_sender(settings);
  if (!sender->send(0)) {
    give_up("there is no room for one record");
  }
  sender->wait_reported(1);
  if (::write(ready, "r", 1) != 1) {
    give_up("the process that looks after the idle workers has ended");
  }
  wait_for_events(*sender, end);
}

/// It has no thread but this one, so the child may do anything.
pid_t fork_worker(const SenderSettings& settings, Pipe& ready, Pipe& end) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    give_up("no process could be forked");
  }
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    end.to.reset();  // or it would never be closed
    if (::getppid() == parent) {
      be_idle(settings, ready.to.get(), end.from.get());
    }
    ::_exit(EXIT_SUCCESS);
  }
  return pid;
}

void wait_ready(Pipe& ready, std::size_t workers) {
  ready.to.reset();  // so that a worker that fails is not waited for
  std::array<char, 64> buffer{};
  while (workers > 0) {
    const ssize_t n = ::read(ready.from.get(), buffer.data(), buffer.size());
    if (n <= 0) {
      give_up("idle workers have ended; the lines above say why");
    }
    workers -= static_cast<std::size_t>(n);
  }
}

}  // namespace

void look_after_idle_workers() {
  const nlohmann::json task = hear_parent();
  SenderSettings settings;
  settings.side = task.at("side");
  settings.topics = {task.at("topic").get<std::string>()};
  settings.ring_bytes = kRingBytes;
  settings.brokers = task.at("brokers");
  Pipe ready;
  Pipe end;
  std::vector<pid_t> pids;
  for (int i = 0; i < task.at("workers").get<int>(); ++i) {
    pids.push_back(fork_worker(settings, ready, end));
  }
  wait_ready(ready, pids.size());
  tell_parent(pids);
  static_cast<void>(hear_parent());
  end.to.reset();
  for (const pid_t pid : pids) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      give_up("an idle worker failed; the lines above say why");
    }
  }
}

}  // namespace kfast::bench
