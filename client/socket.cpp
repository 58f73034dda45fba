#include "socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace kfast::client {

ipc::Fd connect_to(const char* path) noexcept {
  ipc::Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) {
    return socket;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t size = std::strlen(path);
  if (size >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return ipc::Fd();
  }
  std::memcpy(address.sun_path, path, size + 1);
  int result = 0;
  do {
    result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    const int why = errno;
    socket.reset();
    errno = why;
  }
  return socket;
}

bool send_message(int socket, const void* message, std::size_t size, const int* fds,
                  std::size_t fd_count) noexcept {
  iovec part{const_cast<void*>(message), size};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(ipc::kMaxFds * sizeof(int))] = {};
  if (fd_count != 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    cmsghdr* first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    std::memcpy(CMSG_DATA(first), fds, fd_count * sizeof(int));
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

Received receive_message(int socket, Incoming& out) noexcept {
  for (auto& fd : out.fds) {
    fd.reset();
  }
  out.fd_count = 0;
  std::memset(out.bytes, 0, sizeof out.bytes);
  iovec part{out.bytes, sizeof out.bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(ipc::kMaxFds * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = 0;
  // When kfastd turns a session away before it has read its Hello, the reset comes before its
  // words, once.
  bool reset = false;
  do {
    reset = got < 0 && errno == ECONNRESET;
    header.msg_controllen = sizeof control;
    got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !reset)));
  if (got < 0) {
    return errno == EAGAIN || errno == EWOULDBLOCK ? Received::nothing : Received::failed;
  }
  for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const std::size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof fd);
      ipc::Fd owned(fd);
      if (out.fd_count < ipc::kMaxFds) {
        out.fds[out.fd_count++] = static_cast<ipc::Fd&&>(owned);
      }
    }
  }
  if (got == 0) {
    return Received::end;  // no message of the protocol is empty
  }
  out.size = static_cast<std::size_t>(got);
  out.cut = (header.msg_flags & MSG_TRUNC) != 0;
  out.fds_lost = (header.msg_flags & MSG_CTRUNC) != 0;
  return Received::message;
}

}  // namespace kfast::client
