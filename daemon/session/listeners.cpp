#include "session/listeners.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include "kfast/ipc/wire.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

constexpr int kBacklog = 512;

std::string path_of(const config::Daemon& config, const char* name) {
  return config.socket_dir + "/" + name;
}

/// An integer that getsockopt knows of a socket; -1 where it is none.
int option_of(const ipc::Fd& fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd.get(), SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool listens(const ipc::Fd& fd) {
  return option_of(fd, SO_ACCEPTCONN) == 1;
}

/// The path to which a socket is bound; empty where it is to none.
std::string bound_path(const ipc::Fd& socket) {
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.sun_family != AF_UNIX || size <= offsetof(sockaddr_un, sun_path)) {
    return {};
  }
  return {address.sun_path, ::strnlen(address.sun_path, size - offsetof(sockaddr_un, sun_path))};
}

/// Empty: the socket stays with our own group. False with errno when there is no such group or it
/// may not be given.
bool give_to_group(const std::string& path, const std::string& group) {
  if (group.empty()) {
    return true;
  }
  errno = 0;
  const struct group* found = ::getgrnam(group.c_str());
  if (found == nullptr) {
    errno = errno == 0 ? ENOENT : errno;
    return false;
  }
  return ::chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) == 0;
}

/// What stands at the path and is not ours to take away; empty: nothing, or a socket that nobody
/// listens on any more. We hold the directory's lock, so it belongs to no other kfastd.
std::string in_the_way(const std::string& path, const sockaddr_un& address, int type) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return {};
  }
  if (!S_ISSOCK(status.st_mode)) {
    return "it is there and no socket";
  }
  const ipc::Fd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN || errno == EPROTOTYPE) {
    return "another program listens there";
  }
  return {};
}

Result<ipc::Fd> listen_on(const config::Daemon& config, const char* name, int type) {
  const std::string path = path_of(config, name);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Failure{"socket path " + path + " is longer than " +
                   std::to_string(sizeof address.sun_path - 1) +
                   " bytes: choose a shorter daemon.socket_dir"};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (const std::string what = in_the_way(path, address, type); !what.empty()) {
    return Failure{"cannot listen on " + path + ": " + what +
                   ": take it away, or choose another daemon.socket_dir"};
  }
  ipc::Fd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(path.c_str());
  if (!socket.valid() ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      !give_to_group(path, config.socket_group) ||
      ::chmod(path.c_str(), static_cast<mode_t>(config.socket_mode)) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    const std::string cause = std::strerror(errno);
    return Failure{"cannot listen on " + path + ": " + cause +
                   (config.socket_group.empty()
                        ? ""
                        : " (daemon.socket_group is \"" + config.socket_group + "\")")};
  }
  return socket;
}

/// Nothing is wrong with a socket that was given: an empty text.
std::string wrong_with(const config::Daemon& config, const ipc::Fd& socket, const char* name) {
  const std::string wanted = path_of(config, name);
  const std::string path = bound_path(socket);
  if (path != wanted) {
    return "systemd opened the socket " + (path.empty() ? "(without a path)" : path) +
           " for kfastd, but daemon.socket_dir wants " + wanted +
           ": make the socket unit and the configuration name the same directory";
  }
  if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) {
    return "cannot use the socket " + path + " that systemd opened: " + std::strerror(errno);
  }
  return {};
}

}  // namespace

Result<Listeners> take_listeners(std::vector<KeptFd>& fds) {
  Listeners listeners;
  for (auto each = fds.begin(); each != fds.end();) {
    if (each->name != kListenerName) {
      if (listens(each->fd)) {
        return Failure{"systemd passes a listening socket with the name \"" + each->name +
                       "\": write FileDescriptorName=" + kListenerName + " in its unit"};
      }
      ++each;
      continue;
    }
    const int type = listens(each->fd) ? option_of(each->fd, SO_TYPE) : -1;
    ipc::Fd* const place = type == SOCK_SEQPACKET ? &listeners.sessions
                           : type == SOCK_STREAM  ? &listeners.bells
                                                  : nullptr;
    if (place == nullptr || place->valid()) {
      return Failure{
          std::string("systemd passes a descriptor \"") + kListenerName +
          "\" that is not one of kfastd's two sockets: the unit has to say ListenSequentialPacket="
          " for kfastd.sock and ListenStream= for bell.sock, each once"};
    }
    *place = std::move(each->fd);
    each = fds.erase(each);
  }
  listeners.given = listeners.sessions.valid() || listeners.bells.valid();
  if (listeners.sessions.valid() != listeners.bells.valid()) {
    return Failure{listeners.bells.valid()
                       ? "systemd opened bell.sock for kfastd and not kfastd.sock: add "
                         "ListenSequentialPacket= to the socket unit"
                       : "systemd opened kfastd.sock for kfastd and not bell.sock: add "
                         "ListenStream= to the socket unit"};
  }
  return listeners;
}

Result<Listeners> open_listeners(const config::Daemon& config, Listeners given) {
  if (given.given) {
    std::string wrong = wrong_with(config, given.sessions, ipc::kSessionSocketName);
    if (wrong.empty()) {
      wrong = wrong_with(config, given.bells, ipc::kBellSocketName);
    }
    if (!wrong.empty()) {
      return Failure{wrong};
    }
    const config::Daemon unsaid;
    if (config.socket_mode != unsaid.socket_mode || config.socket_group != unsaid.socket_group) {
      spdlog::warn(
          "daemon.socket_mode and daemon.socket_group are not for sockets that systemd opened: "
          "say SocketMode= and SocketGroup= in their unit");
    }
    return given;
  }
  auto sessions = listen_on(config, ipc::kSessionSocketName, SOCK_SEQPACKET);
  if (!sessions) {
    return Failure{sessions.error()};
  }
  auto bells = listen_on(config, ipc::kBellSocketName, SOCK_STREAM);
  if (!bells) {
    ::unlink(path_of(config, ipc::kSessionSocketName).c_str());
    return Failure{bells.error()};
  }
  return Listeners{sessions.take(), bells.take(), false};
}

void remove_files(const config::Daemon& config, const Listeners& listeners) {
  // Where listening failed, what is there is somebody else's.
  if (!listeners.given && listeners.sessions.valid()) {
    for (const char* name : {ipc::kSessionSocketName, ipc::kBellSocketName}) {
      ::unlink(path_of(config, name).c_str());
    }
  }
}

}  // namespace kfast::daemon::session
