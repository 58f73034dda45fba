#include "session/session.hpp"

#include <sys/eventfd.h>
#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "channel/segments.hpp"
#include "kfast/ipc/kill_point.hpp"
#include "session/server.hpp"
#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

using ipc::RefusalCode;
using telemetry::DaemonCounter;

// A client's text field as text: it need not end in NUL, nor be printable (the log escapes it).
template <std::size_t N>
std::string text_of(const char (&field)[N]) {
  return std::string(field, ::strnlen(field, N));
}

}  // namespace

Session::Session(Server& server, std::uint64_t id, policy::Peer peer, policy::Lease lease,
                 std::shared_ptr<SessionLink> link)
    : server_(server),
      id_(id),
      peer_(std::move(peer)),
      lease_(std::move(lease)),
      link_(std::move(link)) {
  static_cast<void>(::getrandom(token_, sizeof token_, 0));
}

bool Session::token_is(const std::uint8_t (&token)[ipc::kTokenBytes]) const {
  unsigned difference = 0;  // looks at every byte, so that the time taken tells nothing
  for (std::size_t i = 0; i < ipc::kTokenBytes; ++i) {
    difference |= static_cast<unsigned>(token[i] ^ token_[i]);
  }
  return greeted_ && difference == 0;
}

bool Session::on_readable() {
  // A bounded turn: the loop comes back while there is more.
  for (int turn = 0; turn < 16; ++turn) {
    Packet packet = receive_packet(link_->socket());
    if (packet.status == Packet::Status::nothing) {
      return true;
    }
    if (packet.status == Packet::Status::closed || !on_packet(packet)) {
      return false;
    }
  }
  return true;
}

bool Session::on_packet(Packet& packet) {
  ipc::MessageHead head{};
  if (packet.size >= sizeof head) {
    std::memcpy(&head, packet.bytes.data(), sizeof head);
  }
  if (packet.size < sizeof head || head.magic != ipc::kWireMagic || packet.truncated) {
    server_.environment().counters.add(DaemonCounter::sessions_refused_protocol);
    telemetry::process_log().log(spdlog::level::warn, "protocol:" + peer_.principal.name,
                                 "session refused: not kfast's protocol principal={} pid={}",
                                 peer_.principal.name, peer_.pid);
    refuse(
        0, RefusalCode::bad_message,
        "this is kfastd's session socket and that was not a message of its protocol: use libkfast");
    return false;
  }
  if (!greeted_) {
    if (head.type == ipc::MessageType::hello) {
      return on_hello(packet);
    }
    refuse(0, RefusalCode::bad_message, "a session starts with a Hello message");
    return false;
  }
  switch (head.type) {
    case ipc::MessageType::open_producer:
      return on_open(packet);
    case ipc::MessageType::resume_producer:
      return on_resume(packet);
    case ipc::MessageType::confirm:
      return on_confirm(packet);
    case ipc::MessageType::close:
      return on_close(packet);
    default:
      refuse(0, RefusalCode::bad_message, "a message that a client does not send");
      return false;
  }
}

bool Session::on_hello(const Packet& packet) {
  ipc::Hello hello{};
  const bool understood = parse(packet, hello);
  const std::string theirs = understood ? text_of(hello.version) : "?";
  if (!understood || hello.protocol_max < ipc::kProtocolMin ||
      hello.protocol_min > ipc::kProtocolMax || hello.layout_major != ipc::kLayoutMajor) {
    server_.environment().counters.add(DaemonCounter::sessions_refused_version);
    refuse(0, RefusalCode::version,
           "libkfast " + theirs + " and kfastd " + server_.environment().version +
               " have no protocol version in common: upgrade the older of the two");
    return false;
  }
  program_ = text_of(hello.program);
  if (!server_.environment().access.knows(peer_.principal)) {
    server_.environment().counters.add(DaemonCounter::sessions_refused_permission);
    telemetry::process_log().log(spdlog::level::warn, "refused:" + peer_.principal.name,
                                 "session refused: no [[allow]] rule principal={} uid={} pid={}",
                                 peer_.principal.name, peer_.principal.uid, peer_.pid);
    refuse(0, RefusalCode::not_allowed,
           "no [[allow]] rule of kfastd.toml covers user " + peer_.principal.name + " (uid " +
               std::to_string(peer_.principal.uid) + "): add one");
    return false;
  }
  greeted_ = true;
  auto welcome = ipc::make_message<ipc::Welcome>();
  welcome.protocol =
      hello.protocol_max < ipc::kProtocolMax ? hello.protocol_max : ipc::kProtocolMax;
  welcome.layout_major = ipc::kLayoutMajor;
  welcome.layout_minor = ipc::kLayoutMinor;
  welcome.session = id_;
  std::memcpy(welcome.token, token_, sizeof token_);
  ipc::put_text(welcome.version, server_.environment().version.c_str());
  spdlog::debug("session opened session={} principal={} pid={} program={}", id_,
                peer_.principal.name, peer_.pid, program_);
  return send_message(link_->socket(), welcome);
}

bool Session::refuse(std::uint32_t request, RefusalCode code, const std::string& why) {
  auto refused = ipc::make_message<ipc::Refused>();
  refused.request = request;
  refused.code = code;
  ipc::put_text(refused.text, why.c_str());
  return send_message(link_->socket(), refused);
}

bool Session::take_leases(std::uint32_t request, const ipc::Geometry& geometry,
                          std::vector<policy::Lease>& leases) {
  for (const auto& [resource, amount] :
       {std::pair{policy::Resource::channels, std::uint64_t{1}},
        std::pair{policy::Resource::ring_bytes, geometry.c2d_bytes + geometry.d2c_bytes}}) {
    auto lease = server_.lease(peer_.principal, resource, amount);
    if (!lease) {
      server_.environment().counters.add(DaemonCounter::channels_refused_limit);
      telemetry::process_log().log(spdlog::level::warn, "limit:" + peer_.principal.name,
                                   "channel refused principal={}: {}", peer_.principal.name,
                                   lease.error());
      refuse(request, RefusalCode::limit, lease.error());
      return false;
    }
    leases.push_back(lease.take());
  }
  return true;
}

bool Session::check_request(std::uint32_t request, const char (&profile)[ipc::kNameText],
                            ipc::ReportsMode reports, std::uint64_t& max_record_bytes) {
  const std::string name = text_of(profile);
  if (server_.draining()) {
    refuse(request, RefusalCode::draining, "kfastd is stopping: try again when it is back");
    return false;
  }
  if (reports > ipc::ReportsMode::none) {
    refuse(request, RefusalCode::bad_message, "an unknown reports mode");
    return false;
  }
  const auto info = server_.environment().shard.profile(name);
  if (!info) {
    std::string known;
    for (const auto& [each, unused] : server_.environment().config.profiles) {
      known += (known.empty() ? "" : ", ") + each;
    }
    server_.environment().counters.add(DaemonCounter::channels_refused_profile);
    refuse(request, RefusalCode::unknown_profile,
           "kfastd.toml has no profile \"" + name + "\" (it has: " + known + "): add [profiles." +
               name + "] or use one of those");
    return false;
  }
  max_record_bytes = info->max_record_bytes;
  return true;
}

bool Session::on_open(const Packet& packet) {
  ipc::OpenProducer open{};
  if (!parse(packet, open)) {
    refuse(0, RefusalCode::bad_message, "a malformed OpenProducer message");
    return false;
  }
  std::uint64_t max_record_bytes = 0;
  if (!check_request(open.request, open.profile, open.reports, max_record_bytes)) {
    return true;
  }
  if (!ipc::geometry_is_possible(open.c2d_ring_bytes, open.d2c_ring_bytes, open.topic_capacity)) {
    refuse(open.request, RefusalCode::bad_geometry,
           "ring.bytes and report.bytes must be powers of two from 4k to 1g, topics 1 to 32768");
    return true;
  }
  const ipc::Geometry geometry =
      ipc::geometry_of(open.c2d_ring_bytes, open.d2c_ring_bytes, open.topic_capacity);
  shard::NewChannel channel;
  if (!take_leases(open.request, geometry, channel.leases)) {
    return true;
  }
  channel.number = server_.next_channel();
  channel.profile = text_of(open.profile);
  channel.reports = open.reports;
  auto made = channel::create_segments(geometry, channel.number, server_.environment().daemon_epoch,
                                       owner_of(peer_, channel.profile, channel.reports));
  channel.doorbell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made || !channel.doorbell.valid()) {
    const std::string why = made ? std::string("no descriptor for a doorbell: ") +
                                       std::strerror(errno) + " (raise LimitNOFILE of kfastd)"
                                 : made.error().text;
    server_.environment().counters.add(DaemonCounter::channels_refused_system);
    telemetry::process_log().log(spdlog::level::err, "channel_system", "channel refused: {}", why);
    refuse(open.request, RefusalCode::out_of_resources, why);
    return true;
  }
  channel.segments = made.take();
  auto opened = ipc::make_message<ipc::Opened>();
  opened.request = open.request;
  opened.channel = channel.number;
  opened.position = 0;
  opened.max_record_bytes = max_record_bytes;
  opened.geometry = geometry;
  const std::uint32_t number = channel.number;
  const Asked& asked = opening_.emplace(number, Asked{std::move(channel), opened}).first->second;
  server_.kept().keep(asked.channel, peer_.pidfd, [server = &server_, id = id_, number] {
    if (Session* session = server->find_session(id)) {
      session->answer_open(number);
    }
  });
  return true;
}

void Session::answer_open(std::uint32_t number) {
  KFAST_KILL_POINT("daemon.kept.stored");
  Asked asked = std::move(opening_.extract(number).mapped());
  shard::NewChannel& channel = asked.channel;
  if (!send_message(link_->socket(), asked.answer,
                    {channel.segments.c2d_fd.get(), channel.segments.d2c_fd.get(),
                     channel.doorbell.get(), server_.environment().shard.page_fd()})) {
    server_.kept().forget(number);  // the end of the socket is on its way
    return;
  }
  own(channel, DaemonCounter::channels_opened);
  spdlog::info("channel opened channel={} principal={} pid={} program={} profile={} ring={}",
               number, peer_.principal.name, peer_.pid, program_, channel.profile,
               channel.segments.geometry.c2d_ring_bytes);
  server_.environment().shard.add_channel(std::move(channel));
}

void Session::own(shard::NewChannel& channel, DaemonCounter how) {
  channel.principal = peer_.principal;
  channel.pid = peer_.pid;
  channel.link = link_;
  channels_.insert(channel.number);
  server_.environment().counters.add(how);
  server_.environment().counters.add(DaemonCounter::channels);
  server_.show_ring_bytes();
}

bool Session::on_resume(Packet& packet) {
  ipc::ResumeProducer resume{};
  if (!parse(packet, resume) || packet.fds.size() != 2) {
    refuse(0, RefusalCode::bad_message, "a malformed ResumeProducer message");
    return false;
  }
  std::uint64_t max_record_bytes = 0;
  if (!check_request(resume.request, resume.profile, resume.reports, max_record_bytes)) {
    return true;
  }
  const ipc::Geometry& g = resume.geometry;
  if (!ipc::geometry_is_possible(g.c2d_ring_bytes, g.d2c_ring_bytes, g.topic_capacity) ||
      !(g == ipc::geometry_of(g.c2d_ring_bytes, g.d2c_ring_bytes, g.topic_capacity))) {
    refuse(resume.request, RefusalCode::bad_geometry,
           "the segments that were handed back have an impossible geometry");
    return true;
  }
  if (const auto sound = channel::check_c2d(g, packet.fds[0]); !sound) {
    return refuse_segment(resume.request, false, sound.error().text);
  }
  const std::uint64_t inode = channel::inode_of(packet.fds[0]);
  std::uint32_t adopted_number = 0;
  if (const auto* waiting = server_.kept().waiting(inode, adopted_number)) {
    return offer_waiting(resume, adopted_number, *waiting);
  }
  if (server_.environment().shard.holds_segment(inode)) {
    refuse(resume.request, RefusalCode::busy,
           "the channel is still being drained for its last session: try again soon");
    return true;
  }
  shard::NewChannel channel;
  if (!take_leases(resume.request, g, channel.leases)) {
    return true;
  }
  channel.number = server_.next_channel();
  channel.profile = text_of(resume.profile);
  channel.reports = resume.reports;
  if (ipc::Fd newer = server_.kept().left_d2c(inode); newer.valid()) {
    packet.fds[1] = std::move(newer);
  }
  auto adopted = channel::adopt_segments(g, std::move(packet.fds[0]), std::move(packet.fds[1]),
                                         channel.number, server_.environment().daemon_epoch,
                                         owner_of(peer_, channel.profile, channel.reports));
  channel.doorbell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!adopted || !channel.doorbell.valid()) {
    return refuse_segment(resume.request, adopted.ok() || adopted.error().resources,
                          adopted ? std::strerror(errno) : adopted.error().text);
  }
  channel.segments = std::move(adopted->segments);
  channel.inherited = adopted->inheritance;
  auto opened = ipc::make_message<ipc::Opened>();
  opened.request = resume.request;
  opened.channel = channel.number;
  opened.position = adopted->inheritance.head;
  opened.max_record_bytes = max_record_bytes;
  opened.geometry = g;
  const std::uint32_t number = channel.number;
  // Not before this one can be made: the worker may die before it asks again. And before it is
  // kept: a store holds each file once.
  server_.drop_unconfirmed(inode);
  server_.kept().give_way(inode);
  server_.note_unconfirmed(inode, id_);
  // Before the answer: a worker that was killed since it asked cannot be told, and what it handed
  // back is delivered all the same.
  const Asked& asked =
      unconfirmed_.emplace(number, Asked{std::move(channel), opened}).first->second;
  server_.show_ring_bytes();
  server_.kept().keep(asked.channel, peer_.pidfd, [server = &server_, id = id_, number] {
    if (Session* session = server->find_session(id)) {
      session->answer_resume(number);
    }
  });
  return true;
}

void Session::answer_resume(std::uint32_t number) {
  const auto found = unconfirmed_.find(number);
  if (found != unconfirmed_.end()) {
    const shard::NewChannel& channel = found->second.channel;
    // When it does not get there, the end of the socket is on its way.
    static_cast<void>(send_message(link_->socket(), found->second.answer,
                                   {channel.segments.d2c_fd.get(), channel.doorbell.get(),
                                    server_.environment().shard.page_fd()}));
    KFAST_KILL_POINT("daemon.resume.offered");
  }
}

bool Session::refuse_segment(std::uint32_t request, bool system, const std::string& why) {
  server_.environment().counters.add(system ? DaemonCounter::channels_refused_system
                                            : DaemonCounter::channels_refused_segment);
  telemetry::process_log().log(spdlog::level::warn, "resume:" + peer_.principal.name,
                               "channel not taken back principal={} pid={}: {}",
                               peer_.principal.name, peer_.pid, why);
  refuse(request, system ? RefusalCode::out_of_resources : RefusalCode::bad_segment, why);
  return true;
}

bool Session::offer_waiting(const ipc::ResumeProducer& resume, std::uint32_t number,
                            const KeptChannels::Waiting& waiting) {
  const auto profile = server_.environment().shard.profile(waiting.profile);
  if (!(waiting.geometry == resume.geometry)) {
    return refuse_segment(
        resume.request, false,
        "the segments that were handed back have another geometry than the channel");
  }
  if (!waiting.may_be_taken_by(peer_)) {
    server_.environment().counters.add(DaemonCounter::channels_refused_segment);
    telemetry::process_log().log(
        spdlog::level::warn, "resume:" + peer_.principal.name,
        "channel not taken back: it belongs to {} channel={} principal={} pid={}", waiting.user,
        number, peer_.principal.name, peer_.pid);
    refuse(resume.request, RefusalCode::not_allowed,
           "the channel belongs to user " + waiting.user + " (uid " + std::to_string(waiting.uid) +
               "): only that user or the process that opened it can take it back");
    return true;
  }
  auto opened = ipc::make_message<ipc::Opened>();
  opened.request = resume.request;
  opened.channel = number;
  opened.position = waiting.head;
  opened.max_record_bytes = profile->max_record_bytes;
  opened.geometry = waiting.geometry;
  waiting_.insert(number);
  const bool told = send_message(
      link_->socket(), opened,
      {waiting.d2c.get(), waiting.doorbell.get(), server_.environment().shard.page_fd()});
  KFAST_KILL_POINT("daemon.kept.offered");
  return told;
}

bool Session::on_confirm(const Packet& packet) {
  ipc::Confirm confirm{};
  if (!parse(packet, confirm)) {
    refuse(0, RefusalCode::bad_message, "a malformed Confirm message");
    return false;
  }
  if (server_.draining()) {
    refuse(0, RefusalCode::draining, "kfastd is stopping: try again when it is back");
    return false;
  }
  if (waiting_.erase(confirm.channel) != 0) {
    if (!server_.kept().hand_over(confirm.channel, peer_, link_)) {
      refuse(0, RefusalCode::busy,
             "the channel is still being drained for its last session: try again soon");
      return false;
    }
    channels_.insert(confirm.channel);
    server_.environment().counters.add(DaemonCounter::channels_resumed);
    spdlog::info("channel taken back channel={} principal={} pid={}", confirm.channel,
                 peer_.principal.name, peer_.pid);
    return true;
  }
  auto offered = unconfirmed_.extract(confirm.channel);
  if (offered.empty()) {
    refuse(0, RefusalCode::bad_message, "a Confirm for a channel that was not offered");
    return false;
  }
  KFAST_KILL_POINT("daemon.resume.confirmed");
  begin_resumed(std::move(offered.mapped().channel));
  return true;
}

void Session::begin_resumed(shard::NewChannel channel) {
  server_.forget_unconfirmed(channel.segments.c2d_inode);
  own(channel, DaemonCounter::channels_resumed);
  spdlog::info("channel taken back channel={} principal={} pid={} profile={} head={} taken={}",
               channel.number, peer_.principal.name, peer_.pid, channel.profile,
               channel.inherited->head, channel.inherited->taken);
  server_.environment().shard.add_channel(std::move(channel));
}

void Session::take_unconfirmed() {
  for (auto& [number, asked] : std::exchange(unconfirmed_, {})) {
    KFAST_KILL_POINT("daemon.inherited.ownerless");
    // Its words in c2d are still about the old d2c ring, and nobody is left to read a report.
    asked.channel.reports = ipc::ReportsMode::none;
    begin_resumed(std::move(asked.channel));
  }
}

void Session::drop_unconfirmed(std::uint64_t c2d_inode) {
  std::erase_if(unconfirmed_, [this, c2d_inode](const auto& each) {
    const bool same = each.second.channel.segments.c2d_inode == c2d_inode;
    if (same) {
      server_.kept().forget(each.first);
    }
    return same;
  });
}

void Session::give_up_what_nobody_has() {
  for (const auto* asked : {&opening_, &unconfirmed_}) {
    for (const auto& [number, unused] : *asked) {
      server_.kept().forget(number);
    }
  }
}

bool Session::on_close(const Packet& packet) {
  ipc::Close close{};
  if (!parse(packet, close) || !channels_.contains(close.channel)) {
    refuse(0, RefusalCode::bad_message, "a Close for a channel that is not this session's");
    return false;
  }
  server_.environment().shard.retire_channel(close.channel, shard::Shard::Retirement::for_good);
  return true;
}

void Session::end(RefusalCode code, const std::string& why) {
  auto notice = ipc::make_message<ipc::Notice>();
  notice.code = code;
  ipc::put_text(notice.text, why.c_str());
  static_cast<void>(send_message(link_->socket(), notice));
}

void Session::retire_channels(shard::Shard::Retirement why) {
  for (const std::uint32_t channel : channels_) {
    server_.environment().shard.retire_channel(channel, why);
  }
}

void Session::forget_channel(std::uint32_t channel) {
  if (channels_.erase(channel) != 0) {
    auto closed = ipc::make_message<ipc::Closed>();
    closed.channel = channel;
    static_cast<void>(send_message(link_->socket(), closed));
  }
}

}  // namespace kfast::daemon::session
