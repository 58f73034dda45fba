#include "session/bells.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "session/server.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

using telemetry::DaemonCounter;

/// Connections that have not said which session they belong to.
constexpr std::size_t kMaxUnbound = 256;

}  // namespace

bool Bell::ring(char byte) const {
  return ::send(socket_.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

void Bell::hang_up() const {
  static_cast<void>(::shutdown(socket_.get(), SHUT_RDWR));
}

void Bells::add(ipc::Fd socket) {
  if (unbound_ >= kMaxUnbound) {
    drop_most_silent();  // or silent connections would keep everybody else's out
  }
  const int fd = socket.get();
  Connection connection;
  connection.number = ++last_number_;
  connection.bell = std::make_shared<const Bell>(std::move(socket));
  connections_.emplace(fd, std::move(connection));
  if (!server_.environment().loop.add(fd, EPOLLIN,
                                      [this, fd](std::uint32_t) { on_readable(fd); })) {
    connections_.erase(fd);
    return;
  }
  ++unbound_;
}

void Bells::drop_most_silent() {
  const std::pair<const int, Connection>* oldest = nullptr;
  for (const auto& each : connections_) {
    if (each.second.sessions.empty() &&
        (oldest == nullptr || each.second.number < oldest->second.number)) {
      oldest = &each;
    }
  }
  if (oldest != nullptr) {
    drop(oldest->first);
  }
}

void Bells::on_readable(int fd) {
  Connection& connection = connections_.at(fd);
  const ssize_t size = ::recv(fd, connection.hello.data() + connection.received,
                              connection.hello.size() - connection.received, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (size <= 0) {
    drop(fd);
    return;
  }
  connection.received += static_cast<std::size_t>(size);
  const std::size_t said = std::min(connection.received, sizeof ipc::BellHello::magic);
  if (std::memcmp(connection.hello.data(), ipc::kBellMagic, said) != 0) {
    const char why[] = "kfastd: this is the bell socket of libkfast\n";
    static_cast<void>(::send(fd, why, sizeof why - 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    server_.environment().counters.add(DaemonCounter::sessions_refused_protocol);
    drop(fd);
    return;
  }
  if (connection.received == connection.hello.size() && !bind(connection)) {
    drop(fd);
  }
}

bool Bells::bind(Connection& connection) {
  ipc::BellHello hello{};
  std::memcpy(&hello, connection.hello.data(), sizeof hello);
  connection.received = 0;
  Session* const session = server_.find_session(hello.session);
  if (session == nullptr || !session->token_is(hello.token)) {
    return false;
  }
  if (!session->link()->add_bell(connection.bell)) {
    const policy::Principal& who = session->principal();
    telemetry::process_log().log(
        spdlog::level::warn, "bells:" + who.name,
        "bell refused: its session has too many already principal={} pid={}", who.name,
        session->pid());
    return false;
  }
  auto& sessions = connection.sessions;
  unbound_ -= sessions.empty() ? 1 : 0;
  if (std::find(sessions.begin(), sessions.end(), hello.session) == sessions.end()) {
    sessions.push_back(hello.session);
  }
  return true;
}

void Bells::session_ended(std::uint64_t session,
                          const std::vector<std::shared_ptr<const Bell>>& bells) {
  for (const auto& bell : bells) {
    auto& sessions = connections_.at(bell->fd()).sessions;
    std::erase(sessions, session);
    if (sessions.empty()) {
      ++unbound_;
      drop(bell->fd());
    } else if (!bell->ring(ipc::kBellSessionEnded)) {
      drop(bell->fd());  // no other byte says so
    }
  }
}

void Bells::drop(int fd) {
  const auto found = connections_.find(fd);
  const Connection& connection = found->second;
  server_.environment().loop.remove(fd);
  connection.bell->hang_up();
  unbound_ -= connection.sessions.empty() ? 1 : 0;
  for (const std::uint64_t id : connection.sessions) {
    if (Session* const session = server_.find_session(id); session != nullptr) {
      session->link()->drop_bell(*connection.bell);
    }
  }
  connections_.erase(found);
}

}  // namespace kfast::daemon::session
