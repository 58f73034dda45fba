#include "fuzz_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "session/packet.hpp"

namespace kfast::fuzz {
namespace {

using daemon::session::Packet;

ipc::Fd connect_to(const std::string& path, int type) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ipc::Fd socket(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  promise(socket.valid() && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                                      sizeof address) == 0,
          "the daemon's socket takes connections");
  return socket;
}

bool wait_for(const ipc::Fd& socket, int milliseconds) {
  pollfd entry{socket.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, milliseconds);
  } while (ready < 0 && errno == EINTR);  // libFuzzer's clock is a signal
  return ready > 0;
}

ipc::Hello good_hello() {
  auto hello = ipc::make_message<ipc::Hello>();
  hello.protocol_min = ipc::kProtocolMin;
  hello.protocol_max = ipc::kProtocolMax;
  hello.layout_major = ipc::kLayoutMajor;
  ipc::put_text(hello.version, "fuzz");
  return hello;
}

ipc::Fd sealed_memory(std::uint64_t bytes, int seals) {
  ipc::Fd fd(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  static_cast<void>(::ftruncate(fd.get(), static_cast<off_t>(bytes)));
  static_cast<void>(::fcntl(fd.get(), F_ADD_SEALS, seals));
  return fd;
}

constexpr std::size_t kMaxSteps = 64;

}  // namespace

void FuzzClient::expect_welcome(const std::string& session_socket) {
  const ipc::Fd socket = connect_to(session_socket, SOCK_SEQPACKET);
  promise(daemon::session::send_message(socket.get(), good_hello()), "a Hello can be sent");
  promise(wait_for(socket, 15'000), "the daemon answers a good client");
  const Packet packet = daemon::session::receive_packet(socket.get());
  ipc::Welcome welcome{};
  promise(daemon::session::parse(packet, welcome), "the answer to a good Hello is Welcome");
}

void FuzzClient::expect_every_session(const std::string& session_socket, std::size_t count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  for (;;) {
    std::vector<ipc::Fd> sockets;
    bool welcomed = true;
    while (welcomed && sockets.size() < count) {
      sockets.push_back(connect_to(session_socket, SOCK_SEQPACKET));
      static_cast<void>(daemon::session::send_message(sockets.back().get(), good_hello()));
      promise(wait_for(sockets.back(), 15'000), "the daemon answers a good client");
      ipc::Welcome welcome{};
      welcomed =
          daemon::session::parse(daemon::session::receive_packet(sockets.back().get()), welcome);
    }
    if (welcomed) {
      return;
    }
    promise(std::chrono::steady_clock::now() < deadline, "offers give way to new sessions");
  }
}

void FuzzClient::run(Input& input) {
  connect();
  for (std::size_t i = 0; i < kMaxSteps && !input.empty(); ++i) {
    step(input.byte(), input);
  }
}

void FuzzClient::connect() {
  socket_ = connect_to(session_path_, SOCK_SEQPACKET);
  welcome_ = {};
  owed_ = 0;
}

void FuzzClient::step(std::uint8_t what, Input& input) {
  const auto shape = static_cast<std::uint8_t>(what / 16);
  switch (what % 16) {
    case 0: {
      const auto bytes = input.take(input.next<std::uint16_t>() % 600);
      return send_raw(bytes.data(), bytes.size(), some_descriptors(shape));
    }
    case 1:
    case 2:
      return send_spoiled(good_hello(), input,
                          what % 16 == 1 ? std::vector<int>{} : some_descriptors(shape));
    case 3:
    case 4:
      return open(shape, input);
    case 5:
      return resume(shape, input);
    case 6: {
      auto close = ipc::make_message<ipc::Close>();
      close.channel = channels_.empty() ? shape : channels_[shape % channels_.size()].number;
      auto confirm = ipc::make_message<ipc::Confirm>();
      confirm.channel = offered_;
      return shape % 2 == 0 ? send_spoiled(close, input) : send_spoiled(confirm, input);
    }
    case 7:
    case 8:
      return read_answers();
    case 9:
      return ring_bell(shape, input);
    case 10:
    case 11:
      return write_memory(shape, input);
    case 12:
      kept_.push_back(std::move(socket_));  // stays open, and silent
      return connect();
    case 13:
      return connect();
    case 14:
      channels_.clear();
      return;
    default:
      bells_.clear();
  }
}

void FuzzClient::send_raw(const void* bytes, std::size_t size, const std::vector<int>& fds) {
  iovec part{const_cast<void*>(bytes), size};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * 16)> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    handed_back_ = true;
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(c), fds.data(), sizeof(int) * fds.size());
  }
  static_cast<void>(::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL));
}

// A byte says how many bytes of the message are replaced; each replacement is an offset and a
// value.
template <class Message>
void FuzzClient::send_spoiled(Message message, Input& input, const std::vector<int>& fds) {
  std::array<std::uint8_t, sizeof(Message)> bytes{};
  std::memcpy(bytes.data(), &message, sizeof message);
  for (int left = input.byte() % 8; left > 0; --left) {
    const std::size_t at = input.byte();
    bytes[at % bytes.size()] = input.byte();
  }
  send_raw(bytes.data(), bytes.size(), fds);
  ++owed_;
}

std::vector<int> FuzzClient::some_descriptors(std::uint8_t which) {
  std::vector<int> fds;
  for (int i = 0; i < which; ++i) {
    fds.push_back(i % 2 == 0 ? STDERR_FILENO : socket_.get());
  }
  return fds;
}

void FuzzClient::open(std::uint8_t shape, Input& input) {
  auto open = ipc::make_message<ipc::OpenProducer>();
  open.request = shape;
  open.c2d_ring_bytes = std::uint64_t{4096} << (shape % 4U);
  open.d2c_ring_bytes = 4096;
  open.topic_capacity = 4;
  ipc::put_text(open.profile, "default");
  send_spoiled(open, input);
}

void FuzzClient::resume(std::uint8_t shape, Input& input) {
  auto resume = ipc::make_message<ipc::ResumeProducer>();
  resume.request = shape;
  resume.geometry = ipc::geometry_of(4096, 4096, 4);
  ipc::put_text(resume.profile, "default");
  constexpr int c2d_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  ipc::Fd c2d;
  ipc::Fd d2c;
  if (!channels_.empty() && shape % 4 != 0) {
    Channel& channel = channels_[shape % channels_.size()];
    resume.geometry = channel.geometry;
    c2d.reset(::fcntl(channel.fds[0].get(), F_DUPFD_CLOEXEC, 0));
    d2c.reset(::fcntl(channel.fds[1].get(), F_DUPFD_CLOEXEC, 0));
    if (shape % 4 == 2) {
      channels_.erase(channels_.begin() + shape % static_cast<std::ptrdiff_t>(channels_.size()));
    }
  } else {
    c2d = sealed_memory(resume.geometry.c2d_bytes, c2d_seals);
    d2c = sealed_memory(resume.geometry.d2c_bytes, 0);
    // A segment that nobody has made but the input: identity, positions and bits.
    ipc::SegmentIdentity identity{ipc::kSegmentMagic, ipc::kLayoutMajor, ipc::kLayoutMinor, 1, 1,
                                  resume.geometry};
    static_cast<void>(::pwrite(d2c.get(), &identity, sizeof identity, 0));
    const auto words = input.take(16);
    static_cast<void>(
        ::pwrite(d2c.get(), words.data(), words.size(), offsetof(ipc::D2cHeader, head)));
    static_cast<void>(::fcntl(d2c.get(), F_ADD_SEALS, c2d_seals | F_SEAL_FUTURE_WRITE));
  }
  send_spoiled(resume, input, {c2d.get(), d2c.get()});
}

void FuzzClient::read_answers() {
  // The answers that a good daemon owes come soon; a message that it may send of itself is there or
  // not.
  for (int left = 16; left > 0 && wait_for(socket_, owed_ > 0 ? 50 : 1); --left) {
    owed_ -= owed_ > 0 ? 1 : 0;
    Packet packet = daemon::session::receive_packet(socket_.get());
    if (packet.status != Packet::Status::received) {
      return;
    }
    ipc::Opened opened{};
    ipc::Welcome welcome{};
    if (daemon::session::parse(packet, welcome)) {
      welcome_ = welcome;
    } else if (daemon::session::parse(packet, opened) && packet.fds.size() == ipc::kMaxFds) {
      channels_.push_back({opened.channel, opened.geometry, std::move(packet.fds)});
    } else if (daemon::session::parse(packet, opened)) {
      offered_ = opened.channel;
      if (offered_ % 4 != 0) {
        auto confirm = ipc::make_message<ipc::Confirm>();
        confirm.channel = offered_;
        send_raw(&confirm, sizeof confirm, {});
      }
    }
  }
}

void FuzzClient::ring_bell(std::uint8_t shape, Input& input) {
  ipc::Fd bell = connect_to(bell_path_, SOCK_STREAM);
  if (shape % 2 == 0) {
    ipc::BellHello hello{};
    std::memcpy(hello.magic, ipc::kBellMagic, sizeof hello.magic);
    hello.session = welcome_.session;
    std::memcpy(hello.token, welcome_.token, sizeof hello.token);
    const std::size_t size = shape == 2 ? input.byte() % sizeof hello : sizeof hello;
    static_cast<void>(::send(bell.get(), &hello, size, MSG_DONTWAIT | MSG_NOSIGNAL));
  } else {
    const auto bytes = input.take(input.byte() % 64);
    static_cast<void>(::send(bell.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }
  if (shape < 12) {
    bells_.push_back(std::move(bell));
  }
}

void FuzzClient::write_memory(std::uint8_t shape, Input& input) {
  if (channels_.empty()) {
    return;
  }
  const Channel& channel = channels_[shape % channels_.size()];
  const bool whole_ring =
      shape >= 8;  // the same bytes again and again, more than a shard takes in one turn
  const auto tail = std::uint64_t{input.byte()} * (whole_ring ? 256U : ipc::kFrameAlign);
  const auto bytes = input.take(input.byte());
  std::string ring(bytes.begin(), bytes.end());
  const std::size_t fill = whole_ring && !ring.empty() ? input.byte() * std::size_t{256} : 0;
  while (ring.size() < fill) {
    ring.append(ring, 0, fill - ring.size());
  }
  ring.resize(std::min<std::size_t>(ring.size(), channel.geometry.c2d_ring_bytes));
  const std::uint32_t topics = 4;
  // By the descriptor, so that nothing has to be mapped here.
  static_cast<void>(::pwrite(channel.fds[0].get(), &topics, sizeof topics,
                             offsetof(ipc::C2dHeader, topic_count)));
  static_cast<void>(::pwrite(channel.fds[0].get(), ring.data(), ring.size(),
                             static_cast<off_t>(channel.geometry.c2d_ring)));
  static_cast<void>(::pwrite(channel.fds[0].get(), &tail, sizeof tail, 0));
  if (shape < 12) {  // else the daemon comes to it by itself, or when the client is gone
    const std::uint64_t one = 1;
    static_cast<void>(::write(channel.fds[2].get(), &one, sizeof one));
  }
}

}  // namespace kfast::fuzz
