// The listeners and the sessions of one daemon.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/config.hpp"
#include "config/result.hpp"
#include "kfast/ipc/fd.hpp"
#include "policy/access_list.hpp"
#include "policy/quota.hpp"
#include "session/bells.hpp"
#include "session/event_loop.hpp"
#include "session/fd_store.hpp"
#include "session/kept_channels.hpp"
#include "session/listeners.hpp"
#include "session/session.hpp"
#include "shard/shard.hpp"
#include "telemetry/stats.hpp"

namespace kfast::daemon::session {

/// Lifecycle: create() has the sockets, begin() adopts what was kept and lets sessions in, which
/// come and go on the loop's thread, begin_drain() refuses new ones.
class Server {
 public:
  struct Environment {
    EventLoop& loop;
    const config::Config& config;
    const policy::AccessList& access;
    policy::Quota& quota;
    telemetry::DaemonBlock& counters;  // counted from the loop's thread only
    shard::Shard& shard;
    FdStore& store;
    std::string version;
    std::uint64_t daemon_epoch = 0;
  };

  /// `given`: of take_listeners().
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(Environment environment,
                                                              Listeners given);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Adopts the channels behind these descriptors, then accepts sessions and calls `serving`:
  /// before it returns, or from the loop.
  void begin(std::vector<KeptFd> kept, std::function<void()> serving);

  /// What is allowed has changed: sessions of users who are no longer allowed anything end.
  void policy_changed();

  /// From now on everything new is refused with "draining", or waits for the next kfastd where
  /// the sockets outlive this one.
  void begin_drain();

  // For sessions.
  [[nodiscard]] Environment& environment() { return environment_; }
  [[nodiscard]] bool draining() const { return draining_; }
  [[nodiscard]] KeptChannels& kept() { return kept_; }
  /// Nothing when the session has ended.
  [[nodiscard]] Session* find_session(std::uint64_t id);
  [[nodiscard]] std::uint32_t next_channel() { return ++last_channel_; }
  void show_ring_bytes();
  /// Which session was offered a channel over a c2d segment that was handed back. Who hands the
  /// segment back again makes the former offer void: drop_unconfirmed().
  void note_unconfirmed(std::uint64_t c2d_inode, std::uint64_t session) {
    unconfirmed_[c2d_inode] = session;
  }
  void forget_unconfirmed(std::uint64_t c2d_inode) { unconfirmed_.erase(c2d_inode); }
  void drop_unconfirmed(std::uint64_t c2d_inode);
  /// A lease for the principal. Offers whose socket is closed make room for it, oldest first: what
  /// a worker may come back for keeps nobody out.
  [[nodiscard]] Result<policy::Lease> lease(const policy::Principal& principal,
                                            policy::Resource resource, std::uint64_t amount = 1);
  void post_violation(std::uint64_t session, std::string rule);
  static constexpr std::uint64_t kNoSession = 0;
  void post_channel_closed(std::uint64_t session, std::uint32_t channel);
  void post_absent_violation(std::uint32_t channel, std::string rule);

 private:
  explicit Server(Environment environment)
      : environment_(std::move(environment)), kept_(*this, environment_.store) {}
  void on_session_waiting();
  void on_bell_waiting();
  void welcome(ipc::Fd socket);
  void turn_away(const ipc::Fd& socket, ipc::RefusalCode code, const std::string& why);
  [[nodiscard]] bool drop_oldest_offer(const policy::Principal& principal);
  void on_socket_closed(std::uint64_t session);
  void on_process_ended(std::uint64_t session);
  void hang_up(std::uint64_t session, const char* how,
               shard::Shard::Retirement why = shard::Shard::Retirement::session_ended);
  /// Accepts one connection, also when no descriptor is left: then it is turned away with words.
  [[nodiscard]] ipc::Fd accept_one(const ipc::Fd& listener, bool& none_left);

  Environment environment_;
  KeptChannels kept_;
  Listeners listeners_;
  ipc::Fd reserve_;  // given up for a moment when descriptors run out, to say so to whoever knocks
  std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::unordered_map<std::uint64_t, std::uint64_t> unconfirmed_;  // c2d inode -> session
  Bells bells_{*this};
  std::uint64_t last_session_ = 0;
  std::uint32_t last_channel_ = 0;
  bool draining_ = false;
};

}  // namespace kfast::daemon::session
