#include "session/fd_store.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

constexpr int kFirstListenFd = 3;
constexpr int kMostListenFds = 1 << 20;

/// One string of the environment may have 128 KiB (the kernel's MAX_ARG_STRLEN); a start with a
/// longer $LISTEN_FDNAMES fails, and so would every start after it.
constexpr std::size_t kMaxNamesBytes = std::size_t{120} * 1024;
/// What is left is for more descriptors of channels that are kept already.
constexpr std::size_t kNamesOfChannels = std::size_t{88} * 1024;

int number_in(const char* text) {
  int value = 0;
  if (text == nullptr) {
    return 0;
  }
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  return error == std::errc() && end == view.data() + view.size() ? value : 0;
}

/// False: not there, or not an address.
bool connect_to(const ipc::Fd& socket, const char* path) {
  sockaddr_un address{};
  if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
      std::strlen(path) >= sizeof address.sun_path) {
    return false;
  }
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') {
    address.sun_path[0] = '\0';  // the abstract namespace
  }
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)) == 0;
}

/// The socket of whoever started us, or an invalid descriptor.
ipc::Fd notify_socket() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  ipc::Fd socket;
  if (path != nullptr) {
    socket.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid() || !connect_to(socket, path)) {
      telemetry::process_log().log(spdlog::level::warn, "fd_store",
                                   "$NOTIFY_SOCKET {} does not answer: {}; no segments are kept",
                                   path, std::strerror(errno));
      socket.reset();
    }
  }
  return socket;
}

}  // namespace

std::vector<KeptFd> take_kept_fds() {
  std::vector<KeptFd> kept;
  const int count = number_in(std::getenv("LISTEN_FDS"));
  if (number_in(std::getenv("LISTEN_PID")) == ::getpid() && count > 0 && count <= kMostListenFds) {
    const char* names = std::getenv("LISTEN_FDNAMES");
    std::string_view rest = names == nullptr ? std::string_view() : std::string_view(names);
    for (int fd = kFirstListenFd; fd < kFirstListenFd + count; ++fd) {
      const std::size_t colon = rest.find(':');
      const std::string name(rest.substr(0, colon));
      rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
        kept.push_back({name, ipc::Fd(fd)});
      } else {
        spdlog::error("descriptor {} was not passed on to this kfastd: {} name={}", fd,
                      std::strerror(errno), name);
      }
    }
  }
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    ::unsetenv(variable);
  }
  return kept;
}

FdStore::FdStore(EventLoop& loop)
    : loop_(loop),
      socket_(notify_socket()),
      known_to_keep_(socket_.valid() && number_in(std::getenv("FDSTORE")) > 0),
      ends_with_kfastd_(socket_.valid() && std::getenv("KFAST_KEEPER") != nullptr) {}

FdStore::~FdStore() {
  for (const auto& [fd, unused] : barriers_) {
    loop_.remove(fd);
  }
  if (!waiting_.empty()) {
    loop_.remove(socket_.get());
  }
}

void FdStore::note_kept(const std::string& name) {
  known_to_keep_ = active();
  add(name);
}

void FdStore::add(const std::string& name) {
  if (names_.insert(name).second) {
    names_bytes_ += name.size() + 1;
  }
}

bool FdStore::has_room() const {
  return active() && names_bytes_ < kNamesOfChannels;
}

bool FdStore::keep(const std::string& name, const ipc::Fd& fd) {
  if (!active()) {
    return true;
  }
  if (names_bytes_ + name.size() + 1 > kMaxNamesBytes) {
    telemetry::process_log().log(
        spdlog::level::err, "fd_store_names",
        "{} is not kept for the next kfastd: the names of {} descriptors are as many as can be "
        "passed to it",
        name, names_.size());
    return false;
  }
  add(name);
  // FDPOLL=0: a pidfd hangs up when its process ends, and the next kfastd has to hear of it.
  ipc::Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    telemetry::process_log().log(spdlog::level::err, "fd_store", "{} is not kept: {}", name,
                                 std::strerror(errno));
    return false;
  }
  send({"FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0", std::move(copy)});
  return true;
}

void FdStore::forget(const std::string& name) {
  if (names_.erase(name) != 0) {
    names_bytes_ -= name.size() + 1;
  }
  if (active()) {
    send({"FDSTOREREMOVE=1\nFDNAME=" + name, {}});
  }
}

void FdStore::barrier(std::function<void()> done) {
  std::array<int, 2> ends{};
  if (!active() || ::pipe2(ends.data(), O_CLOEXEC) != 0) {
    done();
    return;
  }
  ipc::Fd here(ends[0]);
  const int fd = here.get();
  send({"BARRIER=1", ipc::Fd(ends[1])});
  const auto on_hang_up = [this, fd](std::uint32_t) {
    loop_.remove(fd);
    auto ended = barriers_.extract(fd);
    ended.mapped().first.reset();
    ended.mapped().second();
  };
  if (!loop_.add(fd, 0, on_hang_up)) {  // a hang-up needs no asking
    done();
    return;
  }
  barriers_.emplace(fd, std::pair(std::move(here), std::move(done)));
}

void FdStore::send(Message message) {
  if (waiting_.empty() && try_send(message)) {
    return;
  }
  waiting_.push_back(std::move(message));
  if (waiting_.size() == 1 &&
      !loop_.add(socket_.get(), EPOLLOUT, [this](std::uint32_t) { on_writable(); })) {
    telemetry::process_log().log(spdlog::level::err, "fd_store",
                                 "cannot watch $NOTIFY_SOCKET: {}; nothing more is kept",
                                 std::strerror(errno));
    waiting_.clear();  // closes what barriers wait for
  }
}

void FdStore::on_writable() {
  while (!waiting_.empty() && try_send(waiting_.front())) {
    waiting_.pop_front();
  }
  if (waiting_.empty()) {
    loop_.remove(socket_.get());
  }
}

bool FdStore::try_send(const Message& message) {
  iovec part{const_cast<char*>(message.text.data()), message.text.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (message.fd.valid()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = message.fd.get();
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    // The manager has made its socket anew.
  } while (sent < 0 && (errno == EINTR || (errno == ECONNREFUSED &&
                                           connect_to(socket_, std::getenv("NOTIFY_SOCKET")))));
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return false;
  }
  if (sent < 0) {
    telemetry::process_log().log(
        spdlog::level::err, "fd_store",
        "$NOTIFY_SOCKET takes no message: {}; segments are not kept for the next kfastd",
        std::strerror(errno));
  }
  return true;
}

}  // namespace kfast::daemon::session
