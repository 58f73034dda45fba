// One worker's connection: the handshake, its channels, its end.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"
#include "policy/identify.hpp"
#include "policy/quota.hpp"
#include "session/kept_channels.hpp"
#include "session/packet.hpp"
#include "session/session_link.hpp"
#include "shard/shard.hpp"
#include "telemetry/counters.hpp"

namespace kfast::daemon::session {

class Server;

/// Used by the loop's thread only.
class Session {
 public:
  Session(Server& server, std::uint64_t id, policy::Peer peer, policy::Lease lease,
          std::shared_ptr<SessionLink> link);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() = default;

  /// Handles what the socket has; false: the session is over (and the reason is logged).
  [[nodiscard]] bool on_readable();

  /// Ends it from our side: tells the client why, and gives its channels up.
  void end(ipc::RefusalCode code, const std::string& why);
  /// Whether the client was offered a channel that it handed back, and has not confirmed it.
  [[nodiscard]] bool awaits_confirm() const { return !unconfirmed_.empty(); }
  /// The worker is dead: what it had handed back is taken as it stands, for retire_channels().
  void take_unconfirmed();
  /// Gives the offer of a channel over this c2d segment up, as its client asks again elsewhere.
  void drop_unconfirmed(std::uint64_t c2d_inode);
  /// Lets go of channels whose descriptors the client was to get, or got and did not confirm.
  void give_up_what_nobody_has();
  /// Hands the channels to their shards to be drained, or, after a violation, stopped.
  void retire_channels(shard::Shard::Retirement why);
  /// A channel's memory is gone.
  void forget_channel(std::uint32_t channel);

  [[nodiscard]] bool token_is(const std::uint8_t (&token)[ipc::kTokenBytes]) const;
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] int pidfd() const { return peer_.pidfd.get(); }
  [[nodiscard]] pid_t pid() const { return peer_.pid; }
  [[nodiscard]] const policy::Principal& principal() const { return peer_.principal; }
  [[nodiscard]] const std::shared_ptr<SessionLink>& link() const { return link_; }

 private:
  bool on_packet(Packet& packet);
  bool on_hello(const Packet& packet);
  bool on_open(const Packet& packet);
  bool on_resume(Packet& packet);
  bool on_confirm(const Packet& packet);
  bool on_close(const Packet& packet);
  /// Opened, once the descriptors are kept.
  void answer_open(std::uint32_t number);
  void answer_resume(std::uint32_t number);
  bool refuse_segment(std::uint32_t request, bool system, const std::string& why);
  /// Offers a channel that was adopted without its client.
  bool offer_waiting(const ipc::ResumeProducer& resume, std::uint32_t number,
                     const KeptChannels::Waiting& waiting);
  /// Gives a channel that was handed back to its shard.
  void begin_resumed(shard::NewChannel channel);
  /// Makes a channel this session's, and counts it as opened or resumed.
  void own(shard::NewChannel& channel, telemetry::DaemonCounter how);
  bool refuse(std::uint32_t request, ipc::RefusalCode code, const std::string& why);
  /// Leases for a channel of this geometry, or a refusal that was sent.
  bool take_leases(std::uint32_t request, const ipc::Geometry& geometry,
                   std::vector<policy::Lease>& leases);
  bool check_request(std::uint32_t request, const char (&profile)[ipc::kNameText],
                     ipc::ReportsMode reports, std::uint64_t& max_record_bytes);

  Server& server_;
  const std::uint64_t id_;
  policy::Peer peer_;
  policy::Lease lease_;
  std::shared_ptr<SessionLink> link_;
  std::set<std::uint32_t> channels_;
  struct Asked {
    shard::NewChannel channel;
    ipc::Opened answer{};
  };
  std::map<std::uint32_t, Asked> opening_;      // by number, as all of these
  std::map<std::uint32_t, Asked> unconfirmed_;  // handed back
  std::set<std::uint32_t> waiting_;             // adopted, and offered to this client
  std::uint8_t token_[ipc::kTokenBytes] = {};
  std::string program_;
  bool greeted_ = false;
};

}  // namespace kfast::daemon::session
