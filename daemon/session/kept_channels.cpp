#include "session/kept_channels.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "kfast/ipc/kill_point.hpp"
#include "session/server.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

using telemetry::DaemonCounter;

constexpr std::string_view kPrefix = "kf";
constexpr std::uint32_t kMostNumber = UINT32_MAX / 2;  // there is always a next one

enum class Part : std::uint8_t { c2d, bell, pid, d2c };

struct Name {
  std::uint32_t number = 0;
  Part part = Part::c2d;
  std::uint32_t generation = 0;  // of a d2c segment
};

std::string name_of(std::uint32_t number, const char* part) {
  return std::string(kPrefix) + std::to_string(number) + "." + part;
}
std::string d2c_name(std::uint32_t number, std::uint32_t generation) {
  return name_of(number, "d2c.") + std::to_string(generation);
}

std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value > kMostNumber) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<Name> parse_name(const std::string& text) {
  std::string_view rest(text);
  if (!rest.starts_with(kPrefix)) {
    return std::nullopt;
  }
  rest.remove_prefix(kPrefix.size());
  const auto number = take_number(rest);
  if (!number || *number == 0) {
    return std::nullopt;
  }
  Name name{*number, Part::c2d, 0};
  constexpr std::string_view d2c = ".d2c.";
  if (rest == ".c2d") {
    name.part = Part::c2d;
  } else if (rest == ".bell") {
    name.part = Part::bell;
  } else if (rest == ".pid") {
    name.part = Part::pid;
  } else if (rest.starts_with(d2c)) {
    rest.remove_prefix(d2c.size());
    const auto generation = take_number(rest);
    if (!generation || !rest.empty()) {
      return std::nullopt;
    }
    name.part = Part::d2c;
    name.generation = *generation;
  } else {
    return std::nullopt;
  }
  // Two spellings of one number would be two descriptors for one thing.
  const std::string_view parts[] = {"c2d", "bell", "pid"};
  const std::string spelled =
      name.part == Part::d2c
          ? d2c_name(name.number, name.generation)
          : name_of(name.number, std::string(parts[static_cast<std::size_t>(name.part)]).c_str());
  return spelled == text ? std::optional(name) : std::nullopt;
}

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
  void channel_closed(std::uint32_t channel) override { server_.post_channel_closed(0, channel); }

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
  if (store_.has_room()) {
    const std::uint32_t n = channel.number;
    const std::string d2c = d2c_name(n, 1);
    auto& names = names_[n];
    names = {d2c, name_of(n, "c2d"), name_of(n, "bell"), name_of(n, "pid")};
    if (!store_.keep(names[1], channel.segments.c2d_fd) ||
        !store_.keep(names[2], channel.doorbell) || !store_.keep(names[3], pidfd) ||
        !store_.keep(d2c, channel.segments.d2c_fd)) {
      forget(n);  // it is served like one of a kfastd without a store
    }
  } else if (store_.active()) {
    telemetry::process_log().log(
        spdlog::level::warn, "kept_full",
        "a channel is not kept for the next kfastd: as many are as can be passed to it channel={}",
        channel.number);
  }
  store_.barrier(std::move(held));
}

void KeptChannels::forget(std::uint32_t number) {
  const auto waiting = waiting_.find(number);
  if (waiting != waiting_.end()) {  // its client has closed it while it was away
    server_.environment().loop.remove(waiting->second.pidfd.get());
    waiting_.erase(waiting);
  }
  const auto found = names_.extract(number);
  if (!found.empty()) {
    for (const std::string& name : found.mapped()) {
      store_.forget(name);
    }
  }
}

void KeptChannels::give_way(std::uint64_t c2d_inode) {
  const auto found = left_.extract(c2d_inode);
  if (!found.empty()) {
    for (const std::string& name : found.mapped()) {
      store_.forget(name);
    }
  }
}

// ---- what an earlier life kept ------------------------------------------------------------------

void KeptChannels::lose(std::uint32_t number, const Found& found, const std::string& why) {
  std::string names;
  for (const std::string& name : found.names) {
    names += " " + name;
    store_.forget(name);
  }
  spdlog::error("kept segments are given up channel={}: {} descriptors={}", number, why, names);
}

std::map<std::uint32_t, KeptChannels::Found> KeptChannels::sort_out(std::vector<KeptFd> fds) {
  std::map<std::uint32_t, Found> channels;
  for (KeptFd& each : fds) {
    const auto name = parse_name(each.name);
    ipc::Fd* place = nullptr;
    if (name) {
      Found& found = channels[name->number];
      place = name->part == Part::c2d    ? &found.c2d
              : name->part == Part::bell ? &found.bell
              : name->part == Part::pid  ? &found.pidfd
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
    // It was being opened or closed: nobody had it, or everything in it was delivered.
    spdlog::info("what is kept of a channel that was not open is given back channel={}", number);
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
  while (!left && found.d2c.size() > 1) {
    found.d2c.erase(std::prev(found.d2c.end()));
    left = channel::read_left_behind(found.d2c.rbegin()->second);
  }
  if (!left) {
    lose(number, found, "the report segment is refused: " + left.error().text);
    return std::nullopt;
  }
  const std::uint64_t inode = channel::inode_of(found.c2d);
  if (std::uint32_t other = 0; waiting(inode, other) != nullptr) {
    lose(number, found, "channel " + std::to_string(other) + " has the same records");
    return std::nullopt;
  }
  const std::string profile = left->owner.profile;
  if (!server_.environment().shard.profile(profile)) {
    spdlog::error(
        "kept segments are not delivered: kfastd.toml has no profile \"{}\"; add it and restart "
        "kfastd channel={} principal={}",
        profile, number, left->owner.user);
    left_.emplace(inode, found.names);
    return std::nullopt;
  }
  auto adopted = channel::adopt_segments(left->geometry, std::move(found.c2d),
                                         std::move(found.d2c.rbegin()->second), number,
                                         server_.environment().daemon_epoch, left->owner);
  if (!adopted && adopted.error().resources) {
    spdlog::error("kept segments are not delivered by this kfastd: {}; restart it channel={}",
                  adopted.error().text, number);
    left_.emplace(inode, found.names);
    return std::nullopt;
  }
  if (!adopted) {
    lose(number, found, adopted.error().text);
    return std::nullopt;
  }
  if (!is_a(found.bell, "[eventfd]")) {
    found.bell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
  const bool known = is_a(found.pidfd, "pidfd");
  if (!known && !left->retired) {
    spdlog::warn(
        "nothing tells whether a worker lives: its kept records are delivered, and may be twice if "
        "it comes back channel={}",
        number);
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
  if (known && !left->retired && !closed) {
    waiting.pidfd = std::move(found.pidfd);
  }
  if (!channel.doorbell.valid() || !waiting.d2c.valid() || !waiting.doorbell.valid()) {
    spdlog::error(
        "kept segments are not delivered by this kfastd: {} (raise LimitNOFILE); restart it "
        "channel={}",
        std::strerror(errno), number);
    left_.emplace(inode, found.names);
    return std::nullopt;
  }
  waiting_.emplace(number, std::move(waiting));

  // This life's d2c segment must be kept before it is written; then those before it may go.
  const std::string fresh = d2c_name(number, newest + 1);
  KFAST_KILL_POINT("daemon.kept.adopted");
  static_cast<void>(store_.keep(fresh, channel.segments.d2c_fd));
  KFAST_KILL_POINT("daemon.kept.restored");
  auto& names = names_[number];
  names = {fresh};
  for (const std::string& name : found.names) {
    if (parse_name(name)->part == Part::d2c) {
      outdated_[number].push_back(name);
    } else {
      names.push_back(name);
    }
  }
  return channel;
}

void KeptChannels::adopt(std::vector<KeptFd> fds, std::function<void()> done) {
  auto channels = std::make_shared<std::vector<shard::NewChannel>>();
  for (auto& [number, found] : sort_out(std::move(fds))) {
    last_number_ = std::max(last_number_, number);
    if (auto channel = adopt_one(number, found)) {
      channels->push_back(std::move(*channel));
    }
  }
  store_.barrier([this, channels, done = std::move(done)] {
    for (shard::NewChannel& channel : *channels) {
      begin(std::move(channel));
    }
    channels->clear();
    done();
  });
}

void KeptChannels::begin(shard::NewChannel channel) {
  const std::uint32_t number = channel.number;
  Server::Environment& environment = server_.environment();
  for (const std::string& name : std::exchange(outdated_[number], {})) {
    store_.forget(name);
  }
  outdated_.erase(number);
  KFAST_KILL_POINT("daemon.kept.outdated_removed");
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
    const std::string name = name_of(number, "pid");
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
