#include "session/server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "policy/identify.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

using ipc::RefusalCode;
using telemetry::DaemonCounter;

bool hung_up(const ipc::Fd& socket) {
  pollfd look{socket.get(), POLLRDHUP, 0};
  return ::poll(&look, 1, 0) == 1 && (look.revents & (POLLHUP | POLLRDHUP)) != 0;
}

/// Descriptors that must be left for a new session: its pidfd, what is read to know its user, its
/// channel.
constexpr std::size_t kDescriptorsOfSession = 6;

/// Without this look a user could be taken for another one, because a file about it could not be
/// opened.
bool descriptors_left() {
  std::array<ipc::Fd, kDescriptorsOfSession> probes;
  return std::all_of(probes.begin(), probes.end(), [](ipc::Fd& probe) {
    probe.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return probe.valid();
  });
}

}  // namespace

Result<std::unique_ptr<Server>> Server::create(Environment environment, Listeners given) {
  std::unique_ptr<Server> self(new Server(std::move(environment)));
  auto listeners = open_listeners(self->environment_.config.daemon, std::move(given));
  if (!listeners) {
    return Failure{listeners.error()};
  }
  self->listeners_ = listeners.take();
  self->reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return self;
}

void Server::begin(std::vector<KeptFd> kept, std::function<void()> serving) {
  // Whoever connects meanwhile waits in the sockets' queues: a worker whose channel is about to be
  // adopted must not hand it back before.
  kept_.adopt(std::move(kept), [this, serving = std::move(serving)] {
    last_channel_ = std::max(last_channel_, kept_.last_number());
    EventLoop& loop = environment_.loop;
    if (!loop.add(listeners_.sessions.get(), EPOLLIN,
                  [this](std::uint32_t) { on_session_waiting(); }) ||
        !loop.add(listeners_.bells.get(), EPOLLIN, [this](std::uint32_t) { on_bell_waiting(); })) {
      spdlog::critical("cannot watch the sockets: {}", std::strerror(errno));
      std::abort();  // nobody would be served
    }
    serving();
  });
}

Session* Server::find_session(std::uint64_t id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

Server::~Server() {
  remove_files(environment_.config.daemon, listeners_);
  // Before the bells: a worker whose bell has ended looks at its session, and has one that looks
  // alive rung for again, at a socket that is not there.
  for (const auto& [id, session] : sessions_) {
    static_cast<void>(session->link()->hang_up());
  }
}

void Server::policy_changed() {
  std::vector<std::uint64_t> ended;
  for (const auto& [id, session] : sessions_) {
    if (!environment_.access.knows(session->principal())) {
      ended.push_back(id);
    }
  }
  for (const std::uint64_t id : ended) {
    Session& session = *sessions_.at(id);
    spdlog::info(
        "session ended: no [[allow]] rule any more principal={} pid={}; records that were not "
        "taken "
        "stay in its rings, and go on when it is allowed again",
        session.principal().name, session.pid());
    session.end(RefusalCode::not_allowed, "no [[allow]] rule of kfastd.toml covers user " +
                                              session.principal().name + " any more");
    hang_up(id, "not allowed any more", shard::Shard::Retirement::not_allowed);
  }
}

void Server::begin_drain() {
  draining_ = true;
  if (listeners_.given) {
    // Who knocks from now on waits in the sockets' queues for the next kfastd.
    environment_.loop.remove(listeners_.sessions.get());
    environment_.loop.remove(listeners_.bells.get());
  }
}

ipc::Fd Server::accept_one(const ipc::Fd& listener, bool& none_left) {
  none_left = false;
  if (!reserve_.valid()) {
    reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));  // another thread took its place
  }
  ipc::Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid() && (errno == EMFILE || errno == ENFILE) && reserve_.valid()) {
    none_left = true;
    reserve_.reset();
    socket.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  }
  return socket;
}

void Server::turn_away(const ipc::Fd& socket, RefusalCode code, const std::string& why) {
  auto refused = ipc::make_message<ipc::Refused>();
  refused.code = code;
  ipc::put_text(refused.text, why.c_str());
  static_cast<void>(send_message(socket.get(), refused));
}

void Server::on_session_waiting() {
  bool none_left = false;
  ipc::Fd socket = accept_one(listeners_.sessions, none_left);
  if (none_left || (socket.valid() && !descriptors_left())) {
    environment_.counters.add(DaemonCounter::sessions_refused_system);
    telemetry::process_log().log(spdlog::level::err, "no_descriptors",
                                 "session refused: no file descriptor left; raise LimitNOFILE");
    if (socket.valid()) {
      turn_away(socket, RefusalCode::out_of_resources,
                "kfastd has no file descriptor left: raise its LimitNOFILE (RLIMIT_NOFILE)");
    }
    socket.reset();
    if (!reserve_.valid()) {
      reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    return;
  }
  if (socket.valid()) {
    welcome(std::move(socket));
  }
}

void Server::welcome(ipc::Fd socket) {
  if (draining_) {
    environment_.counters.add(DaemonCounter::sessions_refused_draining);
    turn_away(socket, RefusalCode::draining, "kfastd is stopping: try again when it is back");
    return;
  }
  auto peer = policy::identify(socket.get());
  if (!peer && hung_up(socket)) {
    return;  // it only looked whether we are here, as `kfastctl health` does
  }
  if (!peer) {
    environment_.counters.add(DaemonCounter::sessions_refused_permission);
    telemetry::process_log().log(spdlog::level::warn, "identify", "session refused: {}",
                                 peer.error());
    turn_away(socket, RefusalCode::not_allowed, peer.error());
    return;
  }
  auto lease = this->lease(peer->principal, policy::Resource::sessions);
  if (!lease) {
    environment_.counters.add(DaemonCounter::sessions_refused_limit);
    telemetry::process_log().log(spdlog::level::warn, "limit:" + peer->principal.name,
                                 "session refused principal={}: {}", peer->principal.name,
                                 lease.error());
    turn_away(socket, RefusalCode::limit, lease.error());
    return;
  }
  const std::uint64_t id = ++last_session_;
  const int fd = socket.get();
  const int pidfd = peer->pidfd.get();
  auto link = std::make_shared<SessionLink>(*this, id, std::move(socket));
  sessions_.emplace(id, std::make_unique<Session>(*this, id, peer.take(), lease.take(), link));
  environment_.counters.add(DaemonCounter::sessions_opened);
  environment_.counters.add(DaemonCounter::sessions);
  const auto on_socket = [this, id](std::uint32_t) {
    const auto found = sessions_.find(id);
    if (found != sessions_.end() && !found->second->on_readable()) {
      on_socket_closed(id);
    }
  };
  // A forked child may hold the socket after the worker's death, so its process is watched, too.
  if (!environment_.loop.add(fd, EPOLLIN, on_socket) ||
      !environment_.loop.add(pidfd, EPOLLIN, [this, id](std::uint32_t) { on_process_ended(id); })) {
    hang_up(id, "cannot be watched");
  }
}

void Server::on_socket_closed(std::uint64_t id) {
  Session& session = *sessions_.at(id);
  if (!session.awaits_confirm()) {
    hang_up(id, "socket closed");
    return;
  }
  // A worker that lives hands its segments back again, which drops this session; of one that was
  // killed its process tells, a little later than its socket.
  environment_.loop.remove(session.link()->socket());
  session.retire_channels(shard::Shard::Retirement::session_ended);
  bells_.session_ended(id, session.link()->hang_up());
}

void Server::on_process_ended(std::uint64_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) {
    return;
  }
  // What it said before it died: it may have confirmed a channel.
  if (found->second->link()->socket() >= 0) {
    static_cast<void>(found->second->on_readable());
  }
  found->second->take_unconfirmed();
  hang_up(id, "process ended");
}

void Server::drop_unconfirmed(std::uint64_t c2d_inode) {
  const auto offer = unconfirmed_.find(c2d_inode);
  if (offer == unconfirmed_.end()) {
    return;
  }
  const std::uint64_t id = offer->second;
  unconfirmed_.erase(offer);
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) {
    return;
  }
  found->second->drop_unconfirmed(c2d_inode);
  if (found->second->link()->socket() < 0 && !found->second->awaits_confirm()) {
    hang_up(id, "handed back to another session");
  }
}

Result<policy::Lease> Server::lease(const policy::Principal& principal, policy::Resource resource,
                                    std::uint64_t amount) {
  auto lease = environment_.quota.take(principal, resource, amount);
  while (!lease && drop_oldest_offer(principal)) {
    lease = environment_.quota.take(principal, resource, amount);
  }
  return lease;
}

bool Server::drop_oldest_offer(const policy::Principal& principal) {
  std::optional<std::uint64_t> oldest;
  for (const auto& [id, session] : sessions_) {
    if (session->link()->socket() < 0 && session->principal().uid == principal.uid &&
        (!oldest || id < *oldest)) {
      oldest = id;
    }
  }
  if (oldest) {
    hang_up(*oldest, "its offer makes room");
  }
  return oldest.has_value();
}

void Server::hang_up(std::uint64_t id, const char* how, shard::Shard::Retirement why) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) {
    return;
  }
  Session& session = *found->second;
  spdlog::debug("session closed session={} principal={} pid={}: {}", id, session.principal().name,
                session.pid(), how);
  environment_.loop.remove(session.link()->socket());
  environment_.loop.remove(session.pidfd());
  session.retire_channels(why);
  bells_.session_ended(id, session.link()->hang_up());
  if (session.awaits_confirm()) {
    std::erase_if(unconfirmed_, [id](const auto& each) { return each.second == id; });
  }
  session.give_up_what_nobody_has();
  sessions_.erase(found);
  environment_.counters.sub(DaemonCounter::sessions);
}

void Server::post_violation(std::uint64_t id, std::string rule) {
  environment_.loop.post([this, id, rule = std::move(rule)] {
    environment_.counters.add(DaemonCounter::violations);
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) {
      return;
    }
    Session& session = *found->second;
    telemetry::process_log().log(
        spdlog::level::warn, "violation:" + session.principal().name,
        "session ended: its shared memory broke the rules principal={} pid={} rule={}",
        session.principal().name, session.pid(), rule);
    session.end(RefusalCode::violation, "the channel's memory broke a rule: " + rule);
    session.retire_channels(shard::Shard::Retirement::violation);
    hang_up(id, "violation");
  });
}

void Server::post_channel_closed(std::uint64_t id, std::uint32_t channel) {
  environment_.loop.post([this, id, channel] {
    environment_.counters.sub(DaemonCounter::channels);
    show_ring_bytes();
    kept_.forget(channel);
    for (const auto& [each, session] : sessions_) {
      // Of one that waited for its client nobody knows who has taken it over since.
      if (each == id || id == kNoSession) {
        session->forget_channel(channel);
      }
    }
    spdlog::info("channel closed channel={}", channel);
  });
}

void Server::post_absent_violation(std::uint32_t channel, std::string rule) {
  environment_.loop.post([this, channel, rule = std::move(rule)] {
    environment_.counters.add(DaemonCounter::violations);
    kept_.on_violation(channel, rule);
  });
}

void Server::show_ring_bytes() {
  environment_.counters.set(DaemonCounter::ring_allocated_bytes,
                            environment_.quota.in_use_by_all().ring_bytes);
}

void Server::on_bell_waiting() {
  bool none_left = false;
  ipc::Fd socket = accept_one(listeners_.bells, none_left);
  if (none_left) {
    socket.reset();  // a bell has no words; its client sees the end of the stream and tries again
    reserve_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return;
  }
  if (!socket.valid() || draining_) {
    return;
  }
  bells_.add(std::move(socket));
}

}  // namespace kfast::daemon::session
