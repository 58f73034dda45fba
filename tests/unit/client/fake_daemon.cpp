#include "fake_daemon.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace kfast::test {
namespace {

constexpr int kPatienceMs =
    30'000;  // after which a test that waits for ever fails with words instead

void must(bool good, const char* what) {
  if (!good) {
    throw std::system_error(errno, std::generic_category(), what);
  }
}

void await_readable(int fd, const char* what) {
  pollfd watched{fd, POLLIN, 0};
  if (::poll(&watched, 1, kPatienceMs) != 1) {
    throw std::runtime_error(std::string("nothing came: ") + what);
  }
}

}  // namespace

Memory::Memory(const char* name, std::size_t bytes, int seals) : size(bytes) {
  fd.reset(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  must(fd.valid() && ::ftruncate(fd.get(), static_cast<off_t>(bytes)) == 0, "memfd");
  void* mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  must(mapped != MAP_FAILED && ::fcntl(fd.get(), F_ADD_SEALS, seals) == 0, "map");
  at = static_cast<std::byte*>(mapped);
}

Memory::Memory(ipc::Fd existing, std::size_t bytes) : fd(std::move(existing)), size(bytes) {
  void* mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  must(mapped != MAP_FAILED, "map");
  at = static_cast<std::byte*>(mapped);
}

Memory::Memory(Memory&& other) noexcept
    : fd(std::move(other.fd)), at(std::exchange(other.at, nullptr)), size(other.size) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(fd, other.fd);
  std::swap(at, other.at);
  std::swap(size, other.size);
  return *this;
}

Memory::~Memory() {
  if (at != nullptr) {
    ::munmap(at, size);
  }
}

FakeChannel::FakeChannel(std::uint64_t ring_bytes, std::uint64_t report_bytes, std::uint32_t topics)
    : geometry(ipc::geometry_of(ring_bytes, report_bytes, topics)),
      c2d_("test-c2d", geometry.c2d_bytes, F_SEAL_SHRINK | F_SEAL_GROW) {
  make_daemon_side();
}

FakeChannel::FakeChannel(const ipc::Geometry& old_geometry, ipc::Fd c2d, ipc::Fd old_d2c)
    : geometry(old_geometry), c2d_(std::move(c2d), old_geometry.c2d_bytes) {
  make_daemon_side();
  const Memory old(std::move(old_d2c), geometry.d2c_bytes);
  move_head(reinterpret_cast<const ipc::D2cHeader*>(old.at)->head.load());
}

void FakeChannel::make_daemon_side() {
  d2c_ = Memory("test-d2c", geometry.d2c_bytes, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
  shard_ = Memory("test-shard", sizeof(ipc::ShardPage), F_SEAL_SHRINK | F_SEAL_GROW);
  doorbell.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  must(doorbell.valid(), "eventfd");
  d2c().identity = {ipc::kSegmentMagic, ipc::kLayoutMajor, ipc::kLayoutMinor, 1, 1, geometry};
  shard().magic = ipc::kShardMagic;
  shard().layout_major = ipc::kLayoutMajor;
  shard().layout_minor = ipc::kLayoutMinor;
  reports_ =
      ipc::RingWriter<ipc::HostAtomics>(d2c().tail, c2d().d2c_head, geometry.d2c_ring_bytes, 0);
}

void FakeChannel::set_topic_state(std::uint32_t topic, ipc::TopicState state) {
  reinterpret_cast<std::atomic<std::uint8_t>*>(d2c_.at + geometry.topic_states)[topic].store(
      static_cast<std::uint8_t>(state));
}

const std::byte* FakeChannel::record_at(std::uint64_t position) const {
  return c2d_.at + geometry.c2d_ring + (position & (geometry.c2d_ring_bytes - 1));
}

void FakeChannel::report(const std::vector<std::uint64_t>& positions, std::int64_t base_offset,
                         ipc::Outcome outcome, std::int16_t error, std::uint16_t topic,
                         std::int32_t partition) {
  std::byte frame[ipc::kMaxReportFrame];
  std::size_t size = sizeof(ipc::ReportHead);
  for (std::size_t i = 1; i < positions.size(); ++i) {
    size += ipc::put_varint(
        frame + size,
        static_cast<std::uint32_t>((positions[i] - positions[i - 1]) / ipc::kFrameAlign));
  }
  const ipc::ReportHead head{static_cast<std::uint32_t>(size),
                             ipc::FrameKind::report,
                             outcome,
                             error,
                             topic,
                             static_cast<std::uint16_t>(positions.size()),
                             partition,
                             base_offset,
                             positions.at(0)};
  std::memcpy(frame, &head, sizeof head);
  report_raw(frame, size);
}

void FakeChannel::report_raw(const void* bytes, std::size_t size) {
  ipc::Reservation room{};
  if (!reports_.reserve(ipc::align_up(size, ipc::kFrameAlign), room)) {
    throw std::runtime_error("the client broke the credit rule: no room for a report");
  }
  std::byte* ring = d2c_.at + geometry.d2c_ring;
  if (room.padding != 0) {
    ipc::ReportHead padding{};
    padding.size = static_cast<std::uint32_t>(room.padding);
    padding.kind = ipc::FrameKind::padding;
    std::memcpy(ring + ((room.position - room.padding) & (geometry.d2c_ring_bytes - 1)), &padding,
                ipc::kFrameAlign);
  }
  std::memcpy(ring + room.offset, bytes, size);
  reports_.publish();
}

Message FakeSession::receive() {
  await_readable(socket_.get(), "a message of the client");
  Message message;
  message.bytes.resize(ipc::kMaxMessage);
  iovec part{message.bytes.data(), message.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  message.ended = got <= 0;
  message.bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  if (cmsghdr* first = CMSG_FIRSTHDR(&header); first != nullptr && got > 0) {
    const std::size_t count = (first->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(first) + i * sizeof fd, sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  return message;
}

void FakeSession::send_bytes(const void* bytes, std::size_t size, const std::vector<int>& fds) {
  iovec part{const_cast<void*>(bytes), size};
  alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(first), fds.data(), fds.size() * sizeof(int));
  }
  must(::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) == static_cast<ssize_t>(size), "sendmsg");
}

void FakeSession::welcome() {
  auto welcome = ipc::make_message<ipc::Welcome>();
  welcome.protocol = ipc::kProtocolMax;
  welcome.layout_major = ipc::kLayoutMajor;
  welcome.layout_minor = ipc::kLayoutMinor;
  ipc::put_text(welcome.version, "9.9.9");
  static std::atomic<std::uint8_t> sessions{0};
  welcome.session = ++sessions;
  std::memset(welcome.token, ++sessions, sizeof welcome.token);
  welcomed_ = welcome;
  send(welcome);
}

void FakeSession::refuse(std::uint32_t request, ipc::RefusalCode code, const char* text) {
  auto refused = ipc::make_message<ipc::Refused>();
  refused.request = request;
  refused.code = code;
  ipc::put_text(refused.text, text);
  send(refused);
}

void FakeSession::wake() {
  send(ipc::make_message<ipc::Wake>());
}

void FakeSession::open(FakeChannel& channel, std::uint32_t request,
                       std::uint64_t max_record_bytes) {
  auto opened = ipc::make_message<ipc::Opened>();
  opened.request = request;
  opened.channel = 1;
  opened.max_record_bytes = max_record_bytes;
  opened.geometry = channel.geometry;
  send(opened, {channel.c2d_.fd.get(), channel.d2c_.fd.get(), channel.doorbell.get(),
                channel.shard_.fd.get()});
}

void FakeSession::resume(FakeChannel& channel, std::uint32_t request,
                         std::uint64_t max_record_bytes) {
  auto opened = ipc::make_message<ipc::Opened>();
  opened.request = request;
  opened.channel = 2;
  opened.position = channel.d2c().head.load();
  opened.max_record_bytes = max_record_bytes;
  opened.geometry = channel.geometry;
  send(opened, {channel.d2c_.fd.get(), channel.doorbell.get(), channel.shard_.fd.get()});
}

FakeDaemon::FakeDaemon() {
  char name[] = "/tmp/kfast-test-XXXXXX";
  must(::mkdtemp(name) != nullptr, "mkdtemp");
  dir_ = name;
  start();
}

FakeDaemon::~FakeDaemon() {
  stop();
  ::rmdir(dir_.c_str());
}

void FakeDaemon::start() {
  listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path().c_str(), path().size() + 1);
  must(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
           ::listen(listener_.get(), 16) == 0,
       "listen");
}

void FakeDaemon::stop() {
  listener_.reset();
  ::unlink(path().c_str());
}

FakeSession FakeDaemon::accept() {
  await_readable(listener_.get(), "a connection");
  ipc::Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  must(socket.valid(), "accept");
  return FakeSession(std::move(socket));
}

bool FakeDaemon::has_connection_until(std::future<void>& over) {
  pollfd watched{listener_.get(), POLLIN, 0};
  for (;;) {
    if (::poll(&watched, 1, 1) == 1) {
      return true;
    }
    if (over.wait_for(std::chrono::seconds(0)) == std::future_status::ready) {
      return ::poll(&watched, 1, 0) == 1;
    }
  }
}

std::future<OpenResult> open_async(const std::string& dir, const std::vector<Option>& given) {
  return std::async(std::launch::async, [dir, given] {
    kfast_options_t* options = kfast_options_new();
    EXPECT_EQ(kfast_options_set(options, "socket.dir", dir.c_str(), nullptr, 0), 0);
    EXPECT_EQ(kfast_options_set(options, "connect.timeout.ms", "30000", nullptr, 0), 0);
    for (const Option& option : given) {
      EXPECT_EQ(kfast_options_set(options, option.name, option.value.c_str(), nullptr, 0), 0)
          << option.name;
    }
    OpenResult result;
    char why[512] = "";
    result.code = kfast_producer_open(options, &result.producer, why, sizeof why);
    result.why = why;
    kfast_options_free(options);
    return result;
  });
}

void OpenProducer::open(std::uint64_t ring_bytes, std::uint64_t report_bytes, std::uint32_t topics,
                        const char* reports, bool thread_safe) {
  auto opening = open_async(daemon.dir(), {{"ring.bytes", std::to_string(ring_bytes)},
                                           {"report.bytes", std::to_string(report_bytes)},
                                           {"topics", std::to_string(topics)},
                                           {"reports", reports},
                                           {"thread.safe", thread_safe ? "true" : "false"}});
  session = daemon.accept();
  static_cast<void>(session.receive().as<ipc::Hello>());
  session.welcome();
  const auto request = session.receive().as<ipc::OpenProducer>();
  channel.emplace(request.c2d_ring_bytes, request.d2c_ring_bytes, request.topic_capacity);
  session.open(*channel, request.request);
  const OpenResult result = opening.get();
  ASSERT_EQ(result.code, KFAST_OK) << result.why;
  producer = result.producer;
  topic = kfast_topic(producer, "orders");
  ASSERT_EQ(topic, 0);
}

std::int64_t OpenProducer::send_frame(std::size_t size) {
  const std::string value(size - sizeof(ipc::RecordHead), 'v');
  return kfast_send(producer, topic, nullptr, 0, value.data(), value.size());
}

std::vector<kfast_report_t> OpenProducer::all_reports() {
  std::vector<kfast_report_t> all;
  kfast_report_t reports[7];
  for (;;) {
    const int count = kfast_reports(producer, reports, 7);
    EXPECT_GE(count, 0) << kfast_last_error(producer);
    if (count <= 0) {
      return all;
    }
    all.insert(all.end(), reports, reports + count);
  }
}

bool OpenProducer::fd_is_readable() const {
  pollfd watched{kfast_fd(producer), POLLIN, 0};
  return ::poll(&watched, 1, 0) == 1;
}

}  // namespace kfast::test
