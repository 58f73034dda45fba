#include "keeper/keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "keeper/kept_set.hpp"
#include "kfast/ipc/fd.hpp"

namespace kfast::daemon::keeper {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFirstListenFd = 3;
constexpr std::size_t kMaxMessage = 4096;
constexpr std::size_t kMaxFdsOfMessage = 64;
/// Descriptors of the keeper that are not kept for kfastd, and of messages.
constexpr std::size_t kOwnDescriptors = 128;
constexpr std::size_t kMostDescriptors = 65536;
constexpr std::chrono::milliseconds kFirstDelay{100};
constexpr std::chrono::milliseconds kLongestDelay{10'000};
/// A child that lived this long did not die of its start.
constexpr std::chrono::seconds kLived{1};

/// A socket in a directory that only this user can enter: whoever may send could have its own
/// descriptors delivered as a worker's records.
class NotifySocket {
 public:
  NotifySocket() = default;
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;
  ~NotifySocket() {
    if (!directory_.empty()) {
      ::unlink(path_.c_str());
      ::rmdir(directory_.c_str());
    }
  }

  [[nodiscard]] bool open() {
    const char* base = "/tmp";
    for (const char* variable : {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "TMPDIR"}) {
      const char* value = std::getenv(variable);
      if (value != nullptr && value[0] == '/' && std::strchr(value, ':') == nullptr &&
          ::access(value, W_OK | X_OK) == 0) {
        base = value;
        break;
      }
    }
    std::string pattern = std::string(base) + "/kfast-keeper-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) {
      std::fprintf(stderr, "kfastd --keeper: cannot make %s: %s (set TMPDIR)\n", pattern.c_str(),
                   std::strerror(errno));
      return false;
    }
    directory_ = pattern;
    path_ = directory_ + "/notify";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) {
      std::fprintf(stderr, "kfastd --keeper: %s is too long for a socket: set TMPDIR\n",
                   path_.c_str());
      return false;
    }
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    const int on = 1;
    fd_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_.valid() || ::setsockopt(fd_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      std::fprintf(stderr, "kfastd --keeper: cannot listen on %s: %s\n", path_.c_str(),
                   std::strerror(errno));
      return false;
    }
    return true;
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string directory_;
  std::string path_;
  ipc::Fd fd_;
};

/// Passes on to the one who started us what is not about the store.
void notify_upwards(const std::string& text) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (text.empty() || path == nullptr || (path[0] != '/' && path[0] != '@') ||
      std::strlen(path) >= sizeof address.sun_path) {
    return;
  }
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') {
    address.sun_path[0] = '\0';
  }
  const ipc::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  static_cast<void>(::sendto(socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address),
                             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)));
}

/// How many descriptors can be kept.
std::size_t most_descriptors() {
  rlimit limit{};
  static_cast<void>(::getrlimit(RLIMIT_NOFILE, &limit));
  return std::clamp<std::size_t>(limit.rlim_cur, kOwnDescriptors + 1, kMostDescriptors) -
         kOwnDescriptors;
}

/// Makes the given descriptors 3, 4, … in their order, without CLOEXEC. Needs one number more than
/// there are: nearly all that the limit allows may be in use.
void put_in_order(std::vector<int>& given) {
  for (std::size_t i = 0; i < given.size(); ++i) {
    const int place = kFirstListenFd + static_cast<int>(i);
    if (given[i] == place) {
      ::fcntl(place, F_SETFD, 0);
      continue;
    }
    const auto there =
        std::find(given.begin() + static_cast<std::ptrdiff_t>(i), given.end(), place);
    if (there != given.end()) {
      *there = ::fcntl(place, F_DUPFD_CLOEXEC, kFirstListenFd);
    }
    // What has no place is passed as nothing: kfastd names it.
    if (given[i] < 0 || ::dup2(given[i], place) < 0) {
      ::close(place);
      continue;
    }
    ::close(given[i]);
  }
}

class Keeper {
 public:
  Keeper(int argc, char** argv) : arguments_(argv, argv + argc) {}
  int run();

 private:
  [[nodiscard]] bool set_up();
  [[nodiscard]] bool start_child();
  [[noreturn]] void become_child(const std::string& names);
  void on_message();
  void on_signal();
  void on_child_ended(int status);

  std::vector<char*> arguments_;
  NotifySocket socket_;
  ipc::Fd signals_;
  sigset_t mask_before_{};
  KeptSet kept_;
  pid_t child_ = 0;
  Clock::time_point started_;
  std::optional<Clock::time_point> start_at_;  // of the next child
  std::chrono::milliseconds delay_{0};
  bool stopping_ = false;
  bool was_ready_ = false;
  std::optional<int> exit_code_;
};

bool Keeper::set_up() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
  }
  sigset_t wanted;
  ::sigemptyset(&wanted);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGCHLD}) {
    ::sigaddset(&wanted, signal);
  }
  ::sigprocmask(SIG_BLOCK, &wanted, &mask_before_);
  signals_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) {
    std::fprintf(stderr, "kfastd --keeper: cannot take signals: %s\n", std::strerror(errno));
    return false;
  }
  // --keeper may stand anywhere among the arguments; the child must not have it.
  std::erase_if(arguments_, [](const char* each) {
    return std::string_view(each) == "--keeper" || std::string_view(each).starts_with("--keeper=");
  });
  arguments_.push_back(nullptr);
  return socket_.open();
}

bool Keeper::start_child() {
  const std::string names = kept_.names();
  started_ = Clock::now();
  start_at_.reset();
  child_ = ::fork();
  if (child_ == 0) {
    become_child(names);
  }
  if (child_ < 0) {
    std::fprintf(stderr, "kfastd --keeper: cannot start kfastd: %s\n", std::strerror(errno));
    return false;
  }
  return true;
}

// The keeper has one thread, so the child may do what it likes before it becomes kfastd.
void Keeper::become_child(const std::string& names) {
  const pid_t parent = ::getppid();
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) {
    ::_exit(1);
  }
  std::vector<int> given;
  for (const KeptSet::Entry& each : kept_.entries()) {
    given.push_back(each.fd.get());
  }
  put_in_order(given);
  ::setenv("NOTIFY_SOCKET", socket_.path().c_str(), 1);
  ::setenv("FDSTORE", std::to_string(most_descriptors()).c_str(), 1);
  ::setenv("KFAST_KEEPER", "1", 1);
  if (!given.empty()) {
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(given.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
  }
  ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
  ::execv("/proc/self/exe", arguments_.data());
  std::fprintf(stderr, "kfastd --keeper: cannot run itself: %s\n", std::strerror(errno));
  ::_exit(1);
}

void Keeper::on_message() {
  std::array<char, kMaxMessage> text{};
  alignas(cmsghdr)
      std::array<std::byte, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int) * kMaxFdsOfMessage)>
          control{};
  iovec part{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(socket_.fd(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) {
    return;
  }
  ucred from{};
  std::vector<ipc::Fd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
      std::memcpy(&from, CMSG_DATA(c), sizeof from);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
      for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
        fds.emplace_back(fd);
      }
    }
  }
  if ((header.msg_flags & MSG_CTRUNC) != 0) {
    std::fprintf(stderr,
                 "kfastd --keeper: a message has lost its descriptors: raise the limit of open "
                 "files (ulimit -n)\n");
  }
  if (child_ == 0 || from.pid != child_) {
    std::fprintf(stderr, "kfastd --keeper: a message of process %d is not kfastd's: ignored\n",
                 static_cast<int>(from.pid));
    return;
  }
  const std::string_view message(text.data(), static_cast<std::size_t>(size));
  was_ready_ = was_ready_ || message.find("READY=1") != std::string_view::npos;
  // Somebody has told it to stop, and not us: that is meant for both.
  stopping_ = stopping_ || message.find("STOPPING=1") != std::string_view::npos;
  notify_upwards(kept_.take(message, std::move(fds)));
}

void Keeper::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      // As the first process of a container we are the parent of orphans, too.
      int status = 0;
      for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        if (ended == child_) {
          on_child_ended(status);
        }
      }
      continue;
    }
    stopping_ = stopping_ || signal != SIGHUP;
    if (child_ > 0) {
      ::kill(child_, signal);
    } else if (stopping_) {
      std::fprintf(stderr,
                   "kfastd --keeper: told to stop while kfastd does not run: %zu descriptors are "
                   "given up, with the records of workers that are gone\n",
                   kept_.entries().size());
      exit_code_ = 1;
    }
  }
}

void Keeper::on_child_ended(int status) {
  // What it said before it died, first: as long as its number is not another process's.
  for (pollfd look{socket_.fd(), POLLIN, 0}; ::poll(&look, 1, 0) == 1;) {
    on_message();
  }
  child_ = 0;
  const bool by_itself = WIFEXITED(status);
  const int code = by_itself ? WEXITSTATUS(status) : 1;
  if (stopping_ || (by_itself && (code == 0 || !was_ready_))) {
    // An error before it was ever ready is one of the configuration, and nothing is kept yet.
    exit_code_ = code;
    if (const std::size_t orphans = kept_.channels_without_worker(); orphans != 0) {
      std::fprintf(stderr,
                   "kfastd --keeper: ends; it held %zu channels whose workers are gone: what had "
                   "no outcome in them is lost\n",
                   orphans);
    }
    return;
  }
  const bool lived = Clock::now() - started_ >= kLived;
  delay_ =
      lived ? std::chrono::milliseconds(0) : std::clamp(delay_ * 2, kFirstDelay, kLongestDelay);
  start_at_ = Clock::now() + delay_;
  const std::string how = by_itself ? "ended with status " + std::to_string(code)
                                    : "was killed by signal " + std::to_string(WTERMSIG(status));
  std::fprintf(stderr,
               "kfastd --keeper: kfastd %s: it is started again in %d ms; %zu descriptors "
               "are kept\n",
               how.c_str(), static_cast<int>(delay_.count()), kept_.entries().size());
}

int Keeper::run() {
  if (!set_up()) {
    return 1;
  }
  start_at_ = Clock::now();
  while (!exit_code_) {
    int timeout = -1;
    if (start_at_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*start_at_ - Clock::now());
      timeout = static_cast<int>(std::max<std::int64_t>(0, left.count()));
    }
    std::array<pollfd, 2> watched{pollfd{signals_.get(), POLLIN, 0},
                                  pollfd{socket_.fd(), POLLIN, 0}};
    static_cast<void>(::poll(watched.data(), watched.size(), timeout));
    if (watched[1].revents != 0) {
      on_message();
    }
    if (watched[0].revents != 0) {
      on_signal();
    }
    if (!exit_code_ && start_at_ && Clock::now() >= *start_at_ && !start_child()) {
      start_at_ = Clock::now() + kLongestDelay;
    }
  }
  return *exit_code_;
}

}  // namespace

int run_keeper(int argc, char** argv) {
  return Keeper(argc, argv).run();
}

}  // namespace kfast::daemon::keeper
