#include "session/kept_channels.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "kfast/ipc/kill_point.hpp"
#include "policy/process_status.hpp"
#include "session/kept_name.hpp"
#include "session/server.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

using telemetry::DaemonCounter;

constexpr std::size_t kDescriptors = 4;  // of a channel

ipc::Fd copy_of(const ipc::Fd& fd) {
  return ipc::Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

/// What /proc calls the file behind a descriptor.
bool is_a(const ipc::Fd& fd, std::string_view kind) {
  std::array<char, 256> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  return size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)).find(kind) !=
                         std::string_view::npos;
}

bool has_ended(const ipc::Fd& pidfd) {
  pollfd entry{pidfd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) != 0;
}

/// The process that opened the channel, by its number: it was that user's. Invalid: it is gone.
ipc::Fd process_of(const ipc::ChannelOwner& owner) {
  const auto pid = static_cast<pid_t>(owner.pid);
  ipc::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)));
  if (pidfd.valid()) {
    const auto status = policy::read_status(pid);
    if (!status || status->effective_uid != owner.uid || has_ended(pidfd)) {
      pidfd.reset();
    }
  }
  return pidfd;
}

template <std::size_t N>
void put(char (&field)[N], const std::string& text) {
  const std::size_t size = std::min(text.size(), N - 1);
  std::memcpy(field, text.data(), size);
  field[size] = '\0';
}

policy::Principal principal_of(const ipc::ChannelOwner& owner) {
  policy::Principal principal;
  principal.uid = owner.uid;
  principal.gid = owner.gid;
  principal.gids.assign(owner.groups, owner.groups + owner.group_count);
  principal.name = owner.user;
  return principal;
}

/// Stands in for the session of a client that is away.
class AbsentClient : public shard::ClientLink {
 public:
  AbsentClient(Server& server, std::uint32_t number) : server_(server), number_(number) {}
  void wake() override {}
  void violated(const std::string& rule) override { server_.post_absent_violation(number_, rule); }
  void channel_closed(std::uint32_t channel) override {
    server_.post_channel_closed(Server::kNoSession, channel);
  }

 private:
  Server& server_;
  const std::uint32_t number_;
};

}  // namespace

ipc::ChannelOwner owner_of(const policy::Peer& peer, const std::string& profile,
                           ipc::ReportsMode reports) {
  ipc::ChannelOwner owner{};
  owner.uid = peer.principal.uid;
  owner.gid = peer.principal.gid;
  owner.pid = static_cast<std::uint32_t>(peer.pid);
  owner.reports = static_cast<std::uint32_t>(reports);
  owner.group_count = static_cast<std::uint32_t>(
      std::min<std::size_t>(peer.principal.gids.size(), ipc::kMaxOwnerGroups));
  std::copy_n(peer.principal.gids.begin(), owner.group_count, owner.groups);
  put(owner.user, peer.principal.name);
  put(owner.profile, profile);
  return owner;
}

KeptChannels::~KeptChannels() {
  for (const auto& [number, each] : waiting_) {
    server_.environment().loop.remove(each.pidfd.get());
  }
}

// ---- what this life keeps -----------------------------------------------------------------------

void KeptChannels::keep(const shard::NewChannel& channel, const ipc::Fd& pidfd,
                        std::function<void()> held) {
  const std::uint32_t n = channel.number;
  // A store holds each file once, and word that the former channel over this one is closed may
  // still be on its way.
  const auto former = by_inode_.find(channel.segments.c2d_inode);
  if (former != by_inode_.end()) {
    forget(former->second);
  }
  if (store_.has_room(kDescriptors + kept_.size() + 1)) {
    const std::string d2c = kept_d2c_name(n, 1);
    auto& names = note(n, channel.segments.c2d_inode).names;
    names = {d2c, kept_name(n, KeptPart::c2d), kept_name(n, KeptPart::bell),
             kept_name(n, KeptPart::pid)};
    if (!store_.keep(names[1], channel.segments.c2d_fd) ||
        !store_.keep(names[2], channel.doorbell) || !store_.keep(names[3], pidfd) ||
        !store_.keep(d2c, channel.segments.d2c_fd)) {
      forget(n);  // it is served like one of a kfastd without a store
      server_.environment().counters.add(DaemonCounter::channels_not_kept);
    }
  } else if (store_.active()) {
    server_.environment().counters.add(DaemonCounter::channels_not_kept);
    telemetry::process_log().log(
        spdlog::level::warn, "kept_full",
        "a channel is not kept for the next kfastd: the descriptor store is full "
        "(FileDescriptorStoreMax, five for each channel), or as many are kept as can be passed on: "
        "{}, half of the soft RLIMIT_NOFILE that kfastd is started with (LimitNOFILE), and 120 KiB "
        "of names channel={}",
        store_.most_passed(), n);
  }
  store_.barrier(std::move(held));
}

KeptChannels::Kept& KeptChannels::note(std::uint32_t number, std::uint64_t c2d_inode) {
  by_inode_[c2d_inode] = number;
  Kept& kept = kept_[number];
  kept.c2d_inode = c2d_inode;
  return kept;
}

void KeptChannels::forget(std::uint32_t number) {
  const auto waiting = waiting_.find(number);
  if (waiting != waiting_.end()) {  // its client has closed it while it was away
    server_.environment().loop.remove(waiting->second.pidfd.get());
    waiting_.erase(waiting);
  }
  if (const auto outdated = outdated_.extract(number); !outdated.empty()) {
    for (const std::string& name : outdated.mapped().names) {
      store_.forget(name);
    }
  }
  const auto found = kept_.extract(number);
  if (!found.empty()) {
    for (const std::string& name : found.mapped().names) {
      store_.forget(name);
    }
    by_inode_.erase(found.mapped().c2d_inode);
  }
}

void KeptChannels::give_way(std::uint64_t c2d_inode) {
  const auto found = left_.extract(c2d_inode);
  if (!found.empty()) {
    for (const std::string& name : found.mapped().names) {
      store_.forget(name);
    }
  }
}

ipc::Fd KeptChannels::left_d2c(std::uint64_t c2d_inode) const {
  const auto found = left_.find(c2d_inode);
  return found == left_.end() ? ipc::Fd() : copy_of(found->second.d2c);
}

void KeptChannels::leave(std::uint64_t c2d_inode, const Found& found, ipc::Fd d2c) {
  server_.environment().counters.add(DaemonCounter::kept_channels_left);
  left_.insert_or_assign(c2d_inode, Left{found.names, std::move(d2c)});
}

// ---- what an earlier life kept ------------------------------------------------------------------

void KeptChannels::lose(std::uint32_t number, const Found& found, const std::string& why) {
  std::string names;
  for (const std::string& name : found.names) {
    names += " " + name;
    store_.forget(name);
  }
  server_.environment().counters.add(DaemonCounter::kept_channels_given_up);
  spdlog::error("kept segments are given up channel={}: {} descriptors={}", number, why, names);
}

std::map<std::uint32_t, KeptChannels::Found> KeptChannels::sort_out(std::vector<KeptFd> fds) {
  std::map<std::uint32_t, Found> channels;
  for (KeptFd& each : fds) {
    const auto name = parse_kept_name(each.name);
    ipc::Fd* place = nullptr;
    if (name) {
      Found& found = channels[name->number];
      place = name->part == KeptPart::c2d    ? &found.c2d
              : name->part == KeptPart::bell ? &found.bell
              : name->part == KeptPart::pid  ? &found.pidfd
                                             : &found.d2c[name->generation];
      if (!place->valid()) {
        found.names.push_back(each.name);
        *place = std::move(each.fd);
        store_.note_kept(each.name);
        continue;
      }
    }
    telemetry::process_log().log(
        spdlog::level::warn, "kept_stranger",
        "a descriptor that kfastd was started with is closed: {} name={}",
        name ? "there is one of that name already" : "kfastd knows no such name", each.name);
    if (!name) {
      store_.forget(each.name);
    }
  }
  return channels;
}

std::optional<shard::NewChannel> KeptChannels::adopt_one(std::uint32_t number, Found& found) {
  if (found.d2c.empty()) {
    // It was being opened or closed: nobody had it, or everything in it was delivered. A store that
    // was full cannot be told from that.
    spdlog::log(found.c2d.valid() && channel::has_records(found.c2d) ? spdlog::level::warn
                                                                     : spdlog::level::info,
                "what is kept of a channel is given back: it was being opened or closed; or else "
                "the descriptor store was full (FileDescriptorStoreMax, five for each channel), "
                "and its records are lost if its worker is gone channel={}",
                number);
    for (const std::string& name : found.names) {
      store_.forget(name);
    }
    return std::nullopt;
  }
  if (!found.c2d.valid()) {
    lose(number, found, "the records' segment is missing");
    return std::nullopt;
  }
  // The newest is the one that was used last; it was stored whole.
  const std::uint32_t newest = found.d2c.rbegin()->first;
  auto left = channel::read_left_behind(found.d2c.rbegin()->second);
  while (!left && !left.error().other_layout && found.d2c.size() > 1) {
    found.d2c.erase(std::prev(found.d2c.end()));
    left = channel::read_left_behind(found.d2c.rbegin()->second);
  }
  const std::uint64_t inode = channel::inode_of(found.c2d);
  if (!left && left.error().other_layout) {
    // Not ours to throw away: the version that wrote it can deliver it.
    spdlog::error(
        "kept segments are not delivered: {}; start the version that kept them (a restart, not a "
        "stop) channel={}",
        left.error().text, number);
    leave(inode, found, std::move(found.d2c.rbegin()->second));
    return std::nullopt;
  }
  if (!left) {
    lose(number, found, "the report segment is refused: " + left.error().text);
    return std::nullopt;
  }
  if (std::uint32_t other = 0; waiting(inode, other) != nullptr) {
    lose(number, found, "channel " + std::to_string(other) + " has the same records");
    return std::nullopt;
  }
  ipc::Fd& newest_d2c = found.d2c.rbegin()->second;
  const std::string profile = left->owner.profile;
  if (!server_.environment().shard.profile(profile)) {
    spdlog::error(
        "kept segments are not delivered: kfastd.toml has no profile \"{}\"; add it and restart "
        "kfastd channel={} principal={}",
        profile, number, left->owner.user);
    leave(inode, found, std::move(newest_d2c));
    return std::nullopt;
  }
  auto adopted = channel::adopt_segments(left->geometry, copy_of(found.c2d), copy_of(newest_d2c),
                                         number, server_.environment().daemon_epoch, left->owner);
  if (!adopted && adopted.error().resources) {
    spdlog::error("kept segments are not delivered by this kfastd: {}; restart it channel={}",
                  adopted.error().text, number);
    leave(inode, found, std::move(newest_d2c));
    return std::nullopt;
  }
  if (!adopted) {
    lose(number, found, adopted.error().text);
    return std::nullopt;
  }
  if (!is_a(found.bell, "[eventfd]")) {
    found.bell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
  if (!is_a(found.pidfd, "pidfd")) {
    found.pidfd = process_of(left->owner);
    spdlog::warn("the pidfd of a worker is missing: it {} channel={} pid={}",
                 found.pidfd.valid() ? "is taken for the process of that number" : "is gone",
                 number, left->owner.pid);
  }

  shard::NewChannel channel;
  channel.number = number;
  channel.profile = profile;
  channel.reports = left->owner.reports <= static_cast<std::uint32_t>(ipc::ReportsMode::none)
                        ? static_cast<ipc::ReportsMode>(left->owner.reports)
                        : ipc::ReportsMode::all;
  channel.segments = std::move(adopted->segments);
  channel.inherited = adopted->inheritance;
  channel.client_away = true;
  channel.doorbell = std::move(found.bell);
  channel.principal = principal_of(left->owner);
  channel.pid = static_cast<pid_t>(left->owner.pid);
  channel.link = std::make_shared<AbsentClient>(server_, number);

  Waiting waiting;
  waiting.geometry = left->geometry;
  waiting.head = adopted->inheritance.head;
  waiting.c2d_inode = channel.segments.c2d_inode;
  waiting.profile = profile;
  waiting.uid = left->owner.uid;
  waiting.user = left->owner.user;
  waiting.d2c = copy_of(channel.segments.d2c_fd);
  waiting.doorbell = copy_of(channel.doorbell);
  waiting.pid = channel.pid;
  const bool closed = channel.segments.c2d_header().closed.load(std::memory_order_acquire) != 0;
  if (!left->retired && !closed) {
    waiting.pidfd = std::move(found.pidfd);
  }
  if (!channel.doorbell.valid() || !waiting.d2c.valid() || !waiting.doorbell.valid()) {
    spdlog::error(
        "kept segments are not delivered by this kfastd: {} (raise LimitNOFILE); restart it "
        "channel={}",
        std::strerror(errno), number);
    leave(inode, found, std::move(newest_d2c));
    return std::nullopt;
  }
  waiting_.emplace(number, std::move(waiting));

  // This life's d2c segment must be kept before it is written; then those before it may go.
  const std::string fresh = kept_d2c_name(number, newest + 1);
  const std::string bell = kept_name(number, KeptPart::bell);
  Outdated outdated;
  if (!store_.has_room_for_sure()) {
    store_.forget(bell);
    outdated.bell = copy_of(channel.doorbell);
  }
  KFAST_KILL_POINT("daemon.kept.adopted");
  const bool kept = store_.keep(fresh, channel.segments.d2c_fd);
  KFAST_KILL_POINT("daemon.kept.restored");
  auto& names = note(number, channel.segments.c2d_inode).names;
  names = {fresh};
  std::copy_if(
      found.names.begin(), found.names.end(), std::back_inserter(names),
      [](const std::string& name) { return parse_kept_name(name)->part == KeptPart::d2c; });
  if (kept) {
    outdated.names.assign(names.begin() + 1, names.end());
  }
  for (const KeptPart part : {KeptPart::c2d, KeptPart::bell, KeptPart::pid}) {
    names.push_back(kept_name(number, part));
  }
  outdated_.emplace(number, std::move(outdated));
  return channel;
}

void KeptChannels::adopt(std::vector<KeptFd> fds, std::function<void()> done) {
  auto channels = std::make_shared<std::vector<shard::NewChannel>>();
  auto found = sort_out(std::move(fds));
  // From the last: where two have the same records, it is the one that was used last.
  for (auto each = found.rbegin(); each != found.rend(); ++each) {
    last_number_ = std::max(last_number_, each->first);
    if (auto channel = adopt_one(each->first, each->second)) {
      channels->push_back(std::move(*channel));
    }
    each->second = {};  // its descriptors are those of the channel now
  }
  store_.barrier(
      [this, channels, done = std::move(done)] {
        for (shard::NewChannel& channel : *channels) {
          begin(std::move(channel));
        }
        channels->clear();
        done();
      },
      [this] { drop_outdated(); });
}

void KeptChannels::drop_outdated() {
  for (auto& [number, outdated] : std::exchange(outdated_, {})) {
    for (const std::string& name : outdated.names) {
      store_.forget(name);
    }
    if (outdated.bell.valid()) {
      static_cast<void>(store_.keep(kept_name(number, KeptPart::bell), outdated.bell));
    }
    KFAST_KILL_POINT("daemon.kept.outdated_removed");
  }
}

void KeptChannels::begin(shard::NewChannel channel) {
  const std::uint32_t number = channel.number;
  Server::Environment& environment = server_.environment();
  // It was accepted when it was opened, so it is no question of limits now.
  channel.leases.push_back(
      environment.quota.take_anyway(channel.principal, policy::Resource::channels));
  channel.leases.push_back(environment.quota.take_anyway(
      channel.principal, policy::Resource::ring_bytes,
      channel.segments.geometry.c2d_bytes + channel.segments.geometry.d2c_bytes));
  environment.counters.add(DaemonCounter::channels_adopted);
  environment.counters.add(DaemonCounter::channels);
  server_.show_ring_bytes();
  Waiting& waiting = waiting_.at(number);
  const bool gone = !waiting.pidfd.valid() || has_ended(waiting.pidfd);
  spdlog::info(
      "channel adopted channel={} principal={} pid={} worker={} profile={} head={} taken={}",
      number, channel.principal.name, channel.pid, gone ? "gone" : "lives", channel.profile,
      channel.inherited->head, channel.inherited->taken);
  environment.shard.add_channel(std::move(channel));
  KFAST_KILL_POINT("daemon.kept.begun");
  if (gone || !environment.loop.add(waiting.pidfd.get(), EPOLLIN,
                                    [this, number](std::uint32_t) { retire(number); })) {
    retire(number);
  }
}

void KeptChannels::retire(std::uint32_t number) {
  const auto found = waiting_.find(number);
  if (found != waiting_.end()) {
    server_.environment().loop.remove(found->second.pidfd.get());
    waiting_.erase(found);
    server_.environment().shard.retire_channel(number, shard::Shard::Retirement::for_good);
  }
}

// ---- the client comes back ----------------------------------------------------------------------

const KeptChannels::Waiting* KeptChannels::waiting(std::uint64_t c2d_inode,
                                                   std::uint32_t& number) const {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [c2d_inode](const auto& each) {
    return each.second.c2d_inode == c2d_inode;
  });
  if (found == waiting_.end()) {
    return nullptr;
  }
  number = found->first;
  return &found->second;
}

bool KeptChannels::Waiting::may_be_taken_by(const policy::Peer& peer) const {
  return peer.principal.uid == uid || (peer.pid == pid && pidfd.valid() && !has_ended(pidfd));
}

bool KeptChannels::hand_over(std::uint32_t number, const policy::Peer& to,
                             const std::shared_ptr<shard::ClientLink>& link) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) {
    return false;
  }
  if (to.pid != found->second.pid) {  // a forked child goes on with it: now its life counts
    const std::string name = kept_name(number, KeptPart::pid);
    store_.forget(name);
    static_cast<void>(store_.keep(name, to.pidfd));
  }
  server_.environment().loop.remove(found->second.pidfd.get());
  waiting_.erase(found);
  server_.environment().shard.client_has_come(number, link);
  KFAST_KILL_POINT("daemon.kept.handed_over");
  return true;
}

void KeptChannels::on_violation(std::uint32_t number, const std::string& rule) {
  const auto found = waiting_.find(number);
  if (found == waiting_.end()) {
    return;
  }
  spdlog::warn("a kept channel is given up: its memory breaks the rules channel={} rule={}", number,
               rule);
  server_.environment().loop.remove(found->second.pidfd.get());
  waiting_.erase(found);
  server_.environment().shard.retire_channel(number, shard::Shard::Retirement::violation);
}

}  // namespace kfast::daemon::session
