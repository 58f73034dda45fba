// What shards can say to a session's client.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "session/bells.hpp"
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
  /// Rings the bell at each wake-up from now on, and once to say so. False: the session has too many
  /// bells.
  [[nodiscard]] bool add_bell(std::shared_ptr<const Bell> bell);
  void drop_bell(const Bell& bell);
  /// Closes the socket; wake() does nothing afterwards. Returns the bells that it rang.
  [[nodiscard]] std::vector<std::shared_ptr<const Bell>> hang_up();

 private:
  Server& server_;
  const std::uint64_t session_;
  std::mutex mutex_;  // guards the descriptors against being closed while another thread writes
  ipc::Fd socket_;
  std::vector<std::shared_ptr<const Bell>> bells_;
};

}  // namespace kfast::daemon::session
