#include "session/fd_store.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "telemetry/process_log.hpp"

namespace kfast::daemon::session {
namespace {

constexpr int kFirstListenFd = 3;
constexpr int kMostListenFds = 1 << 20;

/// One string of the environment may have 128 KiB (the kernel's MAX_ARG_STRLEN); a start with a
/// longer $LISTEN_FDNAMES fails, and so would every start after it.
constexpr std::size_t kMaxNamesBytes = std::size_t{120} * 1024;
/// What is left is for more descriptors of channels that are kept already.
constexpr std::size_t kNamesOfChannels = std::size_t{88} * 1024;

/// How long the other side may take to answer. Less than a worker waits for its channel
/// (connect.timeout.ms).
constexpr int kPatienceSeconds = 3;

int number_in(const char* text) {
  int value = 0;
  if (text == nullptr) {
    return 0;
  }
  const std::string_view view(text);
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  return error == std::errc() && end == view.data() + view.size() ? value : 0;
}

/// False: not there, or not an address.
bool connect_to(const ipc::Fd& socket, const char* path) {
  sockaddr_un address{};
  if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
      std::strlen(path) >= sizeof address.sun_path) {
    return false;
  }
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') {
    address.sun_path[0] = '\0';  // the abstract namespace
  }
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)) == 0;
}

/// The socket of whoever started us, or an invalid descriptor.
ipc::Fd notify_socket() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  ipc::Fd socket;
  if (path != nullptr) {
    socket.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid() || !connect_to(socket, path)) {
      telemetry::process_log().log(spdlog::level::warn, "fd_store",
                                   "$NOTIFY_SOCKET {} does not answer: {}; no segments are kept",
                                   path, std::strerror(errno));
      socket.reset();
    }
  }
  return socket;
}

}  // namespace

KeptFds take_kept_fds() {
  KeptFds kept;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    kept.most = static_cast<std::size_t>(limit.rlim_cur / 2);
  }
  const int count = number_in(std::getenv("LISTEN_FDS"));
  if (number_in(std::getenv("LISTEN_PID")) == ::getpid() && count > 0 && count <= kMostListenFds) {
    const char* names = std::getenv("LISTEN_FDNAMES");
    std::string_view rest = names == nullptr ? std::string_view() : std::string_view(names);
    for (int fd = kFirstListenFd; fd < kFirstListenFd + count; ++fd) {
      const std::size_t colon = rest.find(':');
      const std::string name(rest.substr(0, colon));
      rest = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) {
        kept.fds.push_back({name, ipc::Fd(fd)});
      } else {
        spdlog::error("descriptor {} was not passed on to this kfastd: {} name={}", fd,
                      std::strerror(errno), name);
      }
    }
  }
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    ::unsetenv(variable);
  }
  return kept;
}

FdStore::FdStore(EventLoop& loop, telemetry::DaemonBlock& counters, std::size_t most)
    : loop_(loop), counters_(counters), socket_(notify_socket()), most_passed_(most) {
  if (!active()) {
    return;
  }
  most_ = static_cast<std::size_t>(std::max(0, number_in(std::getenv("FDSTORE"))));
  known_to_keep_ = most_ != 0;
  ends_with_kfastd_ = std::getenv("KFAST_KEEPER") != nullptr;
  if (ends_with_kfastd_) {
    most_passed_ = most_;  // a keeper needs no numbers beside theirs, and says how many it has
  }
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_.valid() || !loop_.add(timer_.get(), EPOLLIN, [this](std::uint32_t) { on_timer(); })) {
    spdlog::error("no segments are kept for the next kfastd: no timer: {}", std::strerror(errno));
    socket_.reset();
  }
}

FdStore::~FdStore() {
  loop_.remove(timer_.get());
  loop_.remove(barrier_.get());
  watch(false);
}

// ---- what is kept -------------------------------------------------------------------------------

void FdStore::note_kept(const std::string& name) {
  known_to_keep_ = active();
  add(name);
}

void FdStore::add(const std::string& name) {
  if (names_.insert(name).second) {
    names_bytes_ += name.size() + 1;
  }
}

bool FdStore::has_room(std::size_t descriptors) const {
  return active() && names_bytes_ < kNamesOfChannels &&
         (most_ == 0 || names_.size() + descriptors <= most_) &&
         names_.size() + descriptors <= most_passed_;
}

bool FdStore::keep(const std::string& name, const ipc::Fd& fd) {
  if (!active()) {
    return true;
  }
  if (names_bytes_ + name.size() + 1 > kMaxNamesBytes) {
    telemetry::process_log().log(
        spdlog::level::err, "fd_store_names",
        "{} is not kept for the next kfastd: the names of {} descriptors are as many as can be "
        "passed to it",
        name, names_.size());
    return false;
  }
  ipc::Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    telemetry::process_log().log(spdlog::level::err, "fd_store", "{} is not kept: {}", name,
                                 std::strerror(errno));
    return false;
  }
  add(name);
  // FDPOLL=0: a pidfd hangs up when its process ends, and the next kfastd has to hear of it.
  send({"FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0", std::move(copy), name});
  return true;
}

void FdStore::forget(const std::string& name) {
  if (names_.erase(name) != 0) {
    names_bytes_ -= name.size() + 1;
  }
  // What was not sent yet holds a segment's memory, which nobody counts any more.
  const auto unsent = std::find_if(waiting_.rbegin(), waiting_.rend(),
                                   [&name](const Message& each) { return each.keeps == name; });
  if (unsent != waiting_.rend()) {
    waiting_.erase(std::next(unsent).base());
  } else if (active()) {
    send({"FDSTOREREMOVE=1\nFDNAME=" + name, {}, {}});
  }
}

void FdStore::tell(const std::string& text) {
  if (active()) {
    send({text, {}, {}});
  }
}

// ---- barriers -----------------------------------------------------------------------------------

void FdStore::barrier(std::function<void()> go_on, std::function<void()> done) {
  if (!active()) {
    if (done) {
      done();
    }
    go_on();
    return;
  }
  later_.go_on.push_back(std::move(go_on));
  if (done) {
    later_.done.push_back(std::move(done));
  }
  if (!barrier_.valid()) {
    start_barrier();
  }
  if (!answers_) {
    let_go_on(waiters_);
    let_go_on(later_);
  }
}

void FdStore::start_barrier() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    give_up(std::string("cannot be asked (") + std::strerror(errno) + ": raise LimitNOFILE)");
    return;
  }
  ipc::Fd theirs(ends[1]);
  barrier_.reset(ends[0]);
  // A hang-up needs no asking.
  if (!loop_.add(barrier_.get(), 0, [this](std::uint32_t) { on_answer(); })) {
    barrier_.reset();
    give_up(std::string("cannot be watched (") + std::strerror(errno) + ")");
    return;
  }
  waiters_ = std::exchange(later_, {});
  set_timer();
  send({"BARRIER=1", std::move(theirs), {}});
}

void FdStore::on_answer() {
  loop_.remove(barrier_.get());
  barrier_.reset();
  if (!answers_) {
    answers_ = true;
    counters_.set(telemetry::DaemonCounter::fd_store_silent, 0);
    spdlog::info("$NOTIFY_SOCKET answers again: channels are kept as before");
  }
  const Waiters now = std::exchange(waiters_, {});
  if (!later_.go_on.empty() || !later_.done.empty()) {
    start_barrier();
  }
  set_timer();
  for (const auto* each : {&now.done, &now.go_on}) {
    for (const auto& call : *each) {
      call();
    }
  }
}

void FdStore::give_up(const std::string& why) {
  if (answers_) {
    answers_ = false;
    counters_.set(telemetry::DaemonCounter::fd_store_silent, 1);
    spdlog::error(
        "$NOTIFY_SOCKET {}: channels are opened and adopted without waiting for it; until it "
        "answers, what is accepted is lost if kfastd and the worker are both killed",
        why);
  }
  let_go_on(waiters_);
  let_go_on(later_);
  set_timer();
}

void FdStore::let_go_on(Waiters& waiters) {
  // Not from here: who asked is not done with what it does.
  for (auto& each : std::exchange(waiters.go_on, {})) {
    loop_.post(std::move(each));
  }
}

void FdStore::set_timer() {
  const bool waits = answers_ ? barrier_.valid() : failed_ || !barrier_.valid();
  itimerspec when{};
  when.it_value.tv_sec = waits ? kPatienceSeconds : 0;
  static_cast<void>(::timerfd_settime(timer_.get(), 0, &when, nullptr));
}

void FdStore::on_timer() {
  std::uint64_t count = 0;
  static_cast<void>(::read(timer_.get(), &count, sizeof count));
  if (answers_) {
    give_up("has given no answer for " + std::to_string(kPatienceSeconds) + " s");
    return;
  }
  if (!barrier_.valid()) {
    start_barrier();
  }
  flush();
  set_timer();
}

// ---- sending ------------------------------------------------------------------------------------

void FdStore::send(Message message) {
  waiting_.push_back(std::move(message));
  if (!watched_ && !failed_) {
    flush();
  }
}

void FdStore::flush() {
  failed_ = false;
  while (!waiting_.empty()) {
    const Sent sent = try_send(waiting_.front());
    if (sent == Sent::full) {
      watch(true);
      return;
    }
    if (sent == Sent::failed) {
      failed_ = true;
      const std::string why = std::strerror(errno);
      watch(false);
      give_up("takes no message (" + why + ")");
      return;
    }
    waiting_.pop_front();
  }
  watch(false);
}

void FdStore::watch(bool on) {
  if (watched_ == on) {
    return;
  }
  watched_ = on;
  if (!on) {
    loop_.remove(socket_.get());
  } else if (!loop_.add(socket_.get(), EPOLLOUT, [this](std::uint32_t) { flush(); })) {
    watched_ = false;
    failed_ = true;
    give_up(std::string("cannot be watched (") + std::strerror(errno) + ")");
  }
}

FdStore::Sent FdStore::try_send(const Message& message) {
  iovec part{const_cast<char*>(message.text.data()), message.text.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (message.fd.valid()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = message.fd.get();
    std::memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  // Where the manager has made its socket anew, the first message says ECONNREFUSED, those after it
  // ENOTCONN.
  for (bool connected_anew = false;;) {
    if (::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
      return Sent::yes;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Sent::full;
    }
    if ((errno == ECONNREFUSED || errno == ENOTCONN) && !connected_anew &&
        connect_to(socket_, std::getenv("NOTIFY_SOCKET"))) {
      connected_anew = true;
    } else if (errno != EINTR) {
      return Sent::failed;
    }
  }
}

}  // namespace kfast::daemon::session
