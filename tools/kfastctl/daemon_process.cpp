#include "kfastctl/daemon_process.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace kfast::ctl {
namespace {

std::string not_running(const Snapshot& snapshot, const std::string& socket_dir) {
  const char* how = snapshot.phase == ipc::stats::Phase::stopped ? "has stopped" : "was killed";
  return "no kfastd runs with the socket directory " + socket_dir + ": the one of pid " +
         std::to_string(snapshot.pid) + ", whose stats are still there, " + how +
         "; start it, or name another directory with --socket-dir or KFAST_SOCKET_DIR";
}

/// Empty, or why the pid may not be taken for kfastd's.
std::string check_namespace(const Snapshot& snapshot) {
  struct stat own {};
  if (::stat("/proc/self/ns/pid", &own) != 0) {
    return std::string("cannot look at /proc/self/ns/pid: ") + std::strerror(errno) +
           "; mount /proc";
  }
  if (snapshot.pid_namespace == 0) {
    return "this kfastd does not say in which pid namespace it runs: use the kfastctl that came "
           "with it, or stop it by SIGTERM";
  }
  if (snapshot.pid_namespace != static_cast<std::uint32_t>(own.st_ino)) {
    return "kfastd runs in another pid namespace (a container): run kfastctl in there";
  }
  return {};
}

}  // namespace

DaemonProcess::DaemonProcess(pid_t pid, uid_t user, ipc::Fd fd)
    : pid_(pid), user_(user), fd_(std::move(fd)) {}

DaemonProcess::Found DaemonProcess::find(const StatsFile& file, const Snapshot& snapshot,
                                         const std::string& socket_dir) {
  if (!file.writer_is_alive()) {
    return {std::nullopt, not_running(snapshot, socket_dir)};
  }
  if (std::string wrong = check_namespace(snapshot); !wrong.empty()) {
    return {std::nullopt, std::move(wrong)};
  }
  const std::string pid = std::to_string(snapshot.pid);
  ipc::Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, snapshot.pid, 0U)));
  if (!fd.valid() && errno != ESRCH) {
    return {std::nullopt, "cannot open process " + pid + ": " + std::strerror(errno)};
  }
  struct stat process {};
  const bool looked = ::stat(("/proc/" + pid).c_str(), &process) == 0;
  if (!fd.valid() || !file.writer_is_alive()) {
    return {std::nullopt, not_running(snapshot, socket_dir)};
  }
  // Whoever may write the file could have put any number into it, and we may be root.
  if (!looked || process.st_uid != file.owner()) {
    return {std::nullopt, "process " + pid + " cannot be seen to be the user's who owns " +
                              socket_dir +
                              "/stats, so it is not signalled: look who wrote that "
                              "file, or stop kfastd by SIGTERM"};
  }
  return {DaemonProcess(snapshot.pid, process.st_uid, std::move(fd)), {}};
}

std::string DaemonProcess::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0U) == 0 || errno == ESRCH) {
    return {};
  }
  if (errno == EPERM) {
    return "not permitted to signal kfastd (pid " + std::to_string(pid_) + ", uid " +
           std::to_string(user_) + "): run kfastctl as root or as that user";
  }
  return "cannot signal kfastd (pid " + std::to_string(pid_) + "): " + std::strerror(errno);
}

bool DaemonProcess::wait_end(std::uint64_t milliseconds) const {
  pollfd look{fd_.get(), POLLIN, 0};
  return ::poll(&look, 1, static_cast<int>(std::min<std::uint64_t>(milliseconds, INT_MAX))) == 1;
}

}  // namespace kfast::ctl
