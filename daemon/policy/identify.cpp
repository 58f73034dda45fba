#include "policy/identify.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "policy/judge.hpp"
#include "policy/process_status.hpp"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace kfast::daemon::policy {
namespace {

std::string failed(const char* call) {
  return std::string(call) + ": " + std::strerror(errno);
}

Result<std::vector<gid_t>> peer_groups(int socket_fd) {
  std::vector<gid_t> groups;
  for (;;) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE) {
      return Failure{failed("the groups of the worker cannot be read: SO_PEERGROUPS")};
    }
    groups.resize(size / sizeof(gid_t));
  }
}

// The pidfd of exactly the connecting process where the kernel gives it, else of its number.
Result<ipc::Fd> peer_pidfd(int socket_fd, pid_t pid) {
  int fd = -1;
  socklen_t size = sizeof fd;
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0) {
    ipc::Fd pidfd(fd);
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return Failure{failed("pidfd: FD_CLOEXEC")};
    }
    return pidfd;
  }
  if (errno == EMFILE || errno == ENFILE) {
    return Failure{
        failed("no file descriptor left for the worker (raise LimitNOFILE): SO_PEERPIDFD")};
  }
  if (errno != ENOPROTOOPT) {
    return Failure{failed("the worker is gone: SO_PEERPIDFD")};
  }
  ipc::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
  if (!pidfd.valid()) {
    if (errno == EMFILE || errno == ENFILE) {
      return Failure{
          failed("no file descriptor left for the worker (raise LimitNOFILE): "
                 "pidfd_open")};
    }
    return Failure{failed("the worker is gone: pidfd_open")};
  }
  return pidfd;
}

bool has_ended(const ipc::Fd& pidfd) {
  pollfd entry{pidfd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) != 0;
}

bool has_hung_up(int socket_fd) {
  pollfd entry{socket_fd, 0, 0};
  return ::poll(&entry, 1, 0) != 0 && (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

std::string user_name(uid_t uid) {
  std::vector<char> buffer(std::size_t{16} * 1024);
  struct passwd entry {};
  struct passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? std::to_string(uid) : std::string(found->pw_name);
}

}  // namespace

Result<Peer> identify(int socket_fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Failure{failed("the worker cannot be identified: SO_PEERCRED")};
  }
  if (credentials.pid <= 0) {
    return Failure{std::string(
        "the worker's process is in a pid namespace that kfastd cannot see: run kfastd in the "
        "same one or in a parent (Docker: --pid=host; Kubernetes: hostPID, or "
        "shareProcessNamespace for a sidecar)")};
  }
  auto groups = peer_groups(socket_fd);
  if (!groups) {
    return Failure{groups.error()};
  }
  auto pidfd = peer_pidfd(socket_fd, credentials.pid);
  if (!pidfd) {
    return Failure{pidfd.error()};
  }

  Evidence evidence;
  evidence.uid = credentials.uid;
  evidence.gid = credentials.gid;
  evidence.groups = groups.take();
  evidence.overflow_uid = overflow_uid();
  evidence.overflow_gid = overflow_gid();
  const auto status = read_status(credentials.pid);
  if (!status) {
    return Failure{"the worker's process cannot be looked at: " + status.error() +
                   " (kfastd needs a /proc without hidepid and ProtectProc)"};
  }
  evidence.now = *status;
  evidence.our_user_namespace = in_our_user_namespace(credentials.pid);
  auto principal = judge(evidence);
  if (!principal) {
    return Failure{principal.error()};
  }
  // Last: as long as the process lives, its pid was not reused while /proc was read.
  if (has_ended(*pidfd) || has_hung_up(socket_fd)) {
    return Failure{std::string("the worker ended while it connected")};
  }
  Peer peer{principal.take(), credentials.pid, pidfd.take()};
  peer.principal.name = user_name(peer.principal.uid);
  return peer;
}

}  // namespace kfast::daemon::policy
