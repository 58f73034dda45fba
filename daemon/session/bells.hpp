// The bell connections: for event loops that can watch a connection, but no descriptor of ours.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"

namespace kfast::daemon::session {

class Server;

/// One connection. Whoever rings it has a share of it, so that its descriptor is closed when nobody
/// can write to it any more. Any thread.
class Bell {
 public:
  explicit Bell(ipc::Fd socket) : socket_(std::move(socket)) {}

  /// One byte for the client. False: there is no room for it, so the client has others to read.
  bool ring(char byte) const;
  /// Ends the connection for the client, whoever else still has a share of it.
  void hang_up() const;
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  const ipc::Fd socket_;
};

/// All of them. A connection names the sessions that it is to ring for, one after the other, is told
/// when one of them ends, and ends with the last. The loop's thread.
class Bells {
 public:
  explicit Bells(Server& server) : server_(server) {}

  /// A connection that was just accepted.
  void add(ipc::Fd socket);
  /// A session that these bells rang for has ended, and its socket is closed: its client finds so
  /// when it looks why the bell rings.
  void session_ended(std::uint64_t session, const std::vector<std::shared_ptr<const Bell>>& bells);

 private:
  struct Connection {
    std::uint64_t number = 0;  // in the order of their coming
    std::shared_ptr<const Bell> bell;
    std::array<std::byte, sizeof(ipc::BellHello)> hello{};
    std::size_t received = 0;             // of the next hello
    std::vector<std::uint64_t> sessions;  // that it rings for
  };

  void drop_most_silent();
  void on_readable(int fd);
  [[nodiscard]] bool bind(Connection& connection);
  void drop(int fd);

  Server& server_;
  std::unordered_map<int, Connection> connections_;  // by fd
  std::size_t unbound_ = 0;                          // that ring for no session
  std::uint64_t last_number_ = 0;
};

}  // namespace kfast::daemon::session
