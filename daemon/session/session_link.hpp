// What shards can say to a session's client.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "shard/client_link.hpp"

namespace kfast::daemon::session {

class Server;

/// The part of a session that shards hold: it outlives the session by the channels that still
/// drain. Any thread.
class SessionLink : public shard::ClientLink {
 public:
  SessionLink(Server& server, std::uint64_t session, ipc::Fd socket)
      : server_(server), session_(session), socket_(std::move(socket)) {}

  void wake() override;
  void violated(const std::string& rule) override;
  void channel_closed(std::uint32_t channel) override;

  /// The session socket, for the loop's thread; -1 after hang_up().
  [[nodiscard]] int socket() const { return socket_.get(); }
  /// Binds a bell connection, and tells it so: it gets a byte at each wake-up. False: the session
  /// has too many that live.
  [[nodiscard]] bool add_bell(ipc::Fd bell);
  /// Closes the socket and the bells; wake() does nothing afterwards.
  void hang_up();

 private:
  Server& server_;
  const std::uint64_t session_;
  std::mutex mutex_;  // guards the descriptors against being closed while another thread writes
  ipc::Fd socket_;
  std::vector<ipc::Fd> bells_;
};

}  // namespace kfast::daemon::session
