// Channels whose descriptors are kept by whoever starts kfastd, so that they outlive kfastd and
// worker both.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channel/segments.hpp"
#include "kfast/ipc/fd.hpp"
#include "kfast/ipc/wire.hpp"
#include "policy/identify.hpp"
#include "session/fd_store.hpp"
#include "shard/client_link.hpp"
#include "shard/shard.hpp"

namespace kfast::daemon::session {

class Server;

/// What the d2c segment says of a new channel's owner.
[[nodiscard]] ipc::ChannelOwner owner_of(const policy::Peer& peer, const std::string& profile,
                                         ipc::ReportsMode reports);

/// Four descriptors are kept of a channel: `kf7.c2d`, `kf7.bell` (its eventfd), `kf7.pid` (a pidfd
/// of its worker) and `kf7.d2c.1`, where 7 is the channel's number and 1 counts its d2c segments:
/// each kfastd that adopts the channel makes a new one. The d2c segment is stored last and removed
/// first, so without it there is nothing to deliver. While a channel is adopted it has two of them;
/// a store that may be full has no room for that, so there the bell, which can be done without,
/// makes room. Used by the loop's thread only.
class KeptChannels {
 public:
  KeptChannels(Server& server, FdStore& store) : server_(server), store_(store) {}
  KeptChannels(const KeptChannels&) = delete;
  KeptChannels& operator=(const KeptChannels&) = delete;
  ~KeptChannels();

  /// Adopts what was kept: each channel goes on without its client, with its records delivered and
  /// its reports written, and waits for the client or the end of its process. `done` is called when
  /// the shard has them.
  void adopt(std::vector<KeptFd> fds, std::function<void()> done);

  /// Has a new channel's descriptors kept. `held` is called when they are: before that, its client
  /// may not have them.
  void keep(const shard::NewChannel& channel, const ipc::Fd& pidfd, std::function<void()> held);
  /// A worker hands this segment back, and keep() comes for it under another number. What could not
  /// be adopted of it goes first: a store holds each file once.
  void give_way(std::uint64_t c2d_inode);
  /// The newest d2c segment of a channel that could not be adopted: the client may have an older
  /// one, which does not say what was delivered since. Invalid: none is kept.
  [[nodiscard]] ipc::Fd left_d2c(std::uint64_t c2d_inode) const;
  /// The channel is closed, or was never used.
  void forget(std::uint32_t number);

  /// A channel that was adopted and waits for its client.
  struct Waiting {
    ipc::Geometry geometry{};
    std::uint64_t head = 0;
    std::uint64_t c2d_inode = 0;
    std::string profile;
    uid_t uid = 0;
    std::string user;
    pid_t pid = 0;
    ipc::Fd d2c;
    ipc::Fd doorbell;
    ipc::Fd pidfd;
    /// By its user, or by the very process that opened it and is another user's by now.
    [[nodiscard]] bool may_be_taken_by(const policy::Peer& peer) const;
  };
  [[nodiscard]] const Waiting* waiting(std::uint64_t c2d_inode, std::uint32_t& number) const;
  /// The client has gone over to the d2c segment of the waiting channel. False: it does not wait.
  [[nodiscard]] bool hand_over(std::uint32_t number, const policy::Peer& to,
                               const std::shared_ptr<shard::ClientLink>& link);
  /// The client broke a rule, while it was away.
  void on_violation(std::uint32_t number, const std::string& rule);

  /// The largest number of a channel that was kept when kfastd started.
  [[nodiscard]] std::uint32_t last_number() const { return last_number_; }

 private:
  struct Found {
    ipc::Fd c2d;
    ipc::Fd bell;
    ipc::Fd pidfd;
    std::map<std::uint32_t, ipc::Fd> d2c;  // by generation
    std::vector<std::string> names;
  };
  struct Kept {
    std::vector<std::string> names;  // in the order of removal
    std::uint64_t c2d_inode = 0;
  };
  /// What goes when the descriptors of this life are kept.
  struct Outdated {
    std::vector<std::string> names;  // d2c segments of earlier lives
    ipc::Fd bell;                    // comes back then: it has made room
  };
  /// A channel that could not be adopted.
  struct Left {
    std::vector<std::string> names;
    ipc::Fd d2c;
  };
  [[nodiscard]] std::map<std::uint32_t, Found> sort_out(std::vector<KeptFd> fds);
  [[nodiscard]] std::optional<shard::NewChannel> adopt_one(std::uint32_t number, Found& found);
  void leave(std::uint64_t c2d_inode, const Found& found, ipc::Fd d2c);
  void drop_outdated();
  void begin(shard::NewChannel channel);
  void retire(std::uint32_t number);
  Kept& note(std::uint32_t number, std::uint64_t c2d_inode);
  void lose(std::uint32_t number, const Found& found, const std::string& why);

  Server& server_;
  FdStore& store_;
  std::map<std::uint32_t, Kept> kept_;
  std::map<std::uint64_t, std::uint32_t> by_inode_;  // of the c2d segments in kept_
  std::map<std::uint32_t, Waiting> waiting_;
  std::map<std::uint32_t, Outdated> outdated_;
  std::map<std::uint64_t, Left> left_;  // by c2d inode
  std::uint32_t last_number_ = 0;
};

}  // namespace kfast::daemon::session
