#include "process.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace kfast::daemon {

Result<ipc::Fd> claim_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return Failure{"cannot make " + directory + ": " + std::strerror(errno) +
                   " (make it, or choose another with --socket-dir)"};
  }
  const std::string path = directory + "/kfastd.lock";
  ipc::Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock.valid()) {
    return Failure{"cannot write in " + directory + ": " + std::strerror(errno) +
                   " (run as the directory's owner, or choose another with --socket-dir)"};
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    char owner[32] = {};
    const ssize_t size = ::pread(lock.get(), owner, sizeof owner - 1, 0);
    return Failure{"another kfastd (pid " +
                   (size > 0 ? std::string(owner, static_cast<std::size_t>(size)) : "unknown") +
                   ") uses " + directory +
                   ": stop it, or choose another directory with --socket-dir"};
  }
  const std::string pid = std::to_string(::getpid());
  static_cast<void>(::ftruncate(lock.get(), 0));
  static_cast<void>(::pwrite(lock.get(), pid.data(), pid.size(), 0));
  return lock;
}

void hide_environment() {
  for (char** each = ::environ; *each != nullptr; ++each) {
    char* const original = *each;
    char* const copy = ::strdup(original);  // for ever: getenv gives pointers into it
    if (copy != nullptr) {
      *each = copy;
      ::explicit_bzero(original, std::strlen(copy));
    }
  }
}

void hide_memory() {
  static_cast<void>(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
  }
}

Result<ipc::Fd> signals_as_descriptor() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes shall refuse a channel, not end kfastd
  sigset_t wanted;
  ::sigemptyset(&wanted);
  ::sigaddset(&wanted, SIGTERM);
  ::sigaddset(&wanted, SIGINT);
  ::sigaddset(&wanted, SIGHUP);
  ::pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  ipc::Fd fd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) {
    return Failure{std::string("cannot take signals: ") + std::strerror(errno)};
  }
  return fd;
}

namespace {

// For a signal handler: no lock, no allocation.
template <std::size_t N>
void say(const char (&text)[N]) {
  static_cast<void>(::write(STDERR_FILENO, text, N - 1));
}

}  // namespace

void limit_shutdown(unsigned seconds, bool clean) {
  if (clean) {
    ::signal(SIGALRM, [](int) {
      say("kfastd: every record has its outcome, but librdkafka would not end in time: exits "
          "without it\n");
      ::_exit(0);
    });
  } else {
    ::signal(SIGALRM, [](int) {
      say("kfastd: records without an outcome were left behind, and librdkafka would not end in "
          "time: exits without it, with status 1\n");
      ::_exit(1);
    });
  }
  ::alarm(seconds);
}

void abort_when_out_of_memory() {
  std::set_new_handler([] {
    say("kfastd: out of memory: give it more (MemoryMax=), or lower limits.*.ring_bytes; records "
        "without an outcome stay in their workers' rings\n");
    std::abort();
  });
}

void notify(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
      std::strlen(path) >= sizeof address.sun_path) {
    return;
  }
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') {
    address.sun_path[0] = '\0';  // the abstract namespace
  }
  const ipc::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  static_cast<void>(::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address),
                             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)));
}

}  // namespace kfast::daemon
