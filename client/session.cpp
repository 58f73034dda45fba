#include "session.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "clocks.hpp"
#include "kfast/kfast.h"

namespace kfast::client {
namespace {

constexpr std::int64_t kFirstDelayMs = 10;
constexpr std::int64_t kLongestDelayMs = 1000;

/// What a refusal is called in kfast.h.
int code_of(ipc::RefusalCode code) noexcept {
  switch (code) {
    case ipc::RefusalCode::version:
      return KFAST_ERR_VERSION;
    case ipc::RefusalCode::unknown_profile:
      return KFAST_ERR_UNKNOWN_PROFILE;
    case ipc::RefusalCode::limit:
    case ipc::RefusalCode::out_of_resources:
    case ipc::RefusalCode::bad_geometry:
    case ipc::RefusalCode::busy:
      return KFAST_ERR_LIMIT;
    case ipc::RefusalCode::not_allowed:
      return KFAST_ERR_PERMISSION;
    case ipc::RefusalCode::draining:
      return KFAST_ERR_NO_DAEMON;
    case ipc::RefusalCode::bad_message:
    case ipc::RefusalCode::bad_segment:
    case ipc::RefusalCode::violation:
      break;
  }
  return KFAST_ERR_PROTOCOL;
}

/// Refusals worth another attempt. `resuming`: accepted records wait in the ring, so what an
/// operator can mend, or what passes when other workers leave, must not end the channel.
bool is_passing(ipc::RefusalCode code, bool resuming) noexcept {
  switch (code) {
    case ipc::RefusalCode::draining:
    case ipc::RefusalCode::busy:
      return true;
    case ipc::RefusalCode::limit:
    case ipc::RefusalCode::out_of_resources:
    case ipc::RefusalCode::unknown_profile:
    case ipc::RefusalCode::not_allowed:
      return resuming;
    default:
      return false;
  }
}

/// Copies a message out of what arrived; what is missing at its end is zero.
template <class T>
T message_from(const Incoming& incoming) noexcept {
  T message;
  std::memcpy(&message, incoming.bytes, sizeof message);
  return message;
}

template <std::size_t N>
void terminate(char (&text)[N]) noexcept {
  text[N - 1] = '\0';
}

}  // namespace

int Session::prepare(const Options& options, ErrorText& why) noexcept {
  options_ = &options;
  std::snprintf(path_, sizeof path_, "%s/%s", options.socket_dir(), ipc::kSessionSocketName);
  jitter_ = static_cast<std::uint64_t>(wall_ms()) ^ reinterpret_cast<std::uintptr_t>(this);
  if (!readiness_.open()) {
    why.format("no descriptor for the producer's event set: %s; raise RLIMIT_NOFILE (ulimit -n)",
               std::strerror(errno));
    return KFAST_ERR_NO_MEMORY;
  }
  return KFAST_OK;
}

int Session::connect(ErrorText& why) noexcept {
  ended_ = false;
  socket_ = connect_to(path_);
  if (!socket_.valid()) {
    switch (errno) {
      case ENOENT:
      case ECONNREFUSED:
      case ENOTDIR:
      case ENOTSOCK:
        why.format(
            "kfastd does not answer on %s (%s): start it with `systemctl start kfastd`, or `kfastd "
            "--dev` to try it out; if its sockets are elsewhere, set KFAST_SOCKET_DIR or the "
            "option socket.dir",
            path_, std::strerror(errno));
        return KFAST_ERR_NO_DAEMON;
      case EACCES:
      case EPERM:
        why.format(
            "this user may not open kfastd's socket %s (%s): check the mode and group of the "
            "socket and of its directory, and whether the worker's user is in that group",
            path_, std::strerror(errno));
        return KFAST_ERR_PERMISSION;
      case EMFILE:
      case ENFILE:
        why.format(
            "no file descriptor is left for kfastd's socket %s (%s): raise RLIMIT_NOFILE (ulimit "
            "-n, or LimitNOFILE= in the unit)",
            path_, std::strerror(errno));
        return KFAST_ERR_NO_MEMORY;
      case EAGAIN:
        why.format(
            "kfastd's queue of new sessions on %s is full: it is overloaded or hangs; see "
            "`kfastctl health`",
            path_);
        return KFAST_ERR_TIMED_OUT;
      case EPROTOTYPE:
        why.format(
            "%s is a socket of another kind: it is not kfastd's; check the option socket.dir",
            path_);
        return KFAST_ERR_PROTOCOL;
      case ENOMEM:
      case ENOBUFS:
        why.format("no memory for a connection to %s (%s)", path_, std::strerror(errno));
        return KFAST_ERR_NO_MEMORY;
      default:
        why.format("cannot connect to kfastd on %s: %s", path_, std::strerror(errno));
        return KFAST_ERR_NO_DAEMON;
    }
  }
  if (!readiness_.watch(socket_.get())) {
    why.format("cannot watch kfastd's socket: %s; raise fs.epoll.max_user_watches",
               std::strerror(errno));
    socket_.reset();
    return KFAST_ERR_NO_MEMORY;
  }
  state_ = State::greeting;
  noticed_ = false;
  daemon_version_[0] = '\0';
  auto hello = ipc::make_message<ipc::Hello>();
  hello.protocol_min = ipc::kProtocolMin;
  hello.protocol_max = ipc::kProtocolMax;
  hello.layout_major = ipc::kLayoutMajor;
  hello.layout_minor = ipc::kLayoutMinor;
  ipc::put_text(hello.version, KFAST_VERSION);
  ipc::put_text(hello.program, options_->program());
  if (!send_message(socket_.get(), &hello, sizeof hello, nullptr, 0)) {
    // Its last word may be there to be read: why it turned this session away.
    const int error = errno;
    const Event event = step(why);
    if (event != Event::lost && event != Event::ended) {
      why.format("kfastd hung up on %s: %s", path_, std::strerror(error));
      code_ = KFAST_ERR_NO_DAEMON;
      drop();
    }
    return code_;
  }
  return KFAST_OK;
}

Event Session::step(ErrorText& why) noexcept {
  switch (receive_message(socket_.get(), incoming_)) {
    case Received::nothing:
      return Event::nothing;
    case Received::end:
    case Received::failed:
      return hang_up(why);
    case Received::message:
      break;
  }
  return take_message(why);
}

Event Session::take_message(ErrorText& why) noexcept {
  const auto head = message_from<ipc::MessageHead>(incoming_);
  if (incoming_.size < sizeof head || incoming_.cut || head.magic != ipc::kWireMagic ||
      head.size != incoming_.size) {
    why.format(
        "what answers on %s does not speak kfast's protocol: it is not kfastd, or a broken one; "
        "check the option socket.dir",
        path_);
    return lose(KFAST_ERR_PROTOCOL);
  }
  switch (head.type) {
    case ipc::MessageType::welcome:
      if (state_ == State::greeting) {
        return take_welcome(why);
      }
      break;
    case ipc::MessageType::opened:
      if (state_ == State::asking) {
        return take_opened(why);
      }
      break;
    case ipc::MessageType::refused:
      if (head.size == sizeof(ipc::Refused)) {
        auto refused = message_from<ipc::Refused>(incoming_);
        terminate(refused.text);
        return take_refusal(refused.code, refused.text, why);
      }
      break;
    case ipc::MessageType::notice:
      if (head.size == sizeof(ipc::Notice)) {
        notice_ = message_from<ipc::Notice>(incoming_);
        terminate(notice_.text);
        noticed_ = true;
        return Event::noticed;
      }
      break;
    case ipc::MessageType::wake:
      return Event::wake;
    case ipc::MessageType::closed:
      why.format("kfastd closed the channel: see its log");
      return end(KFAST_ERR_CLOSED);
    case ipc::MessageType::hello:
    case ipc::MessageType::open_producer:
    case ipc::MessageType::resume_producer:
    case ipc::MessageType::confirm:
    case ipc::MessageType::close:
      break;
  }
  why.format(
      "kfastd on %s sent message %u of %u bytes where none such may come: it is broken, or not "
      "kfastd",
      path_, static_cast<unsigned>(head.type), static_cast<unsigned>(head.size));
  return lose(KFAST_ERR_PROTOCOL);
}

Event Session::take_welcome(ErrorText& why) noexcept {
  auto welcome = message_from<ipc::Welcome>(incoming_);
  terminate(welcome.version);
  // The versions stand first in the message, so they can be read whatever another protocol puts
  // behind them.
  if (welcome.protocol < ipc::kProtocolMin || welcome.protocol > ipc::kProtocolMax ||
      welcome.layout_major != ipc::kLayoutMajor || incoming_.size != sizeof welcome) {
    why.format(
        "kfastd %s on %s speaks protocol %u and layout %u.%u, this libkfast %s speaks protocol %u "
        "to %u and layout %u.%u: install matching versions",
        incoming_.size == sizeof welcome ? welcome.version : "(of unknown version)", path_,
        static_cast<unsigned>(welcome.protocol), static_cast<unsigned>(welcome.layout_major),
        static_cast<unsigned>(welcome.layout_minor), KFAST_VERSION,
        static_cast<unsigned>(ipc::kProtocolMin), static_cast<unsigned>(ipc::kProtocolMax),
        static_cast<unsigned>(ipc::kLayoutMajor), static_cast<unsigned>(ipc::kLayoutMinor));
    return end(KFAST_ERR_VERSION);
  }
  ipc::put_text(daemon_version_, welcome.version);
  number_ = welcome.session;
  std::memcpy(token_, welcome.token, sizeof token_);
  state_ = State::ready;
  return Event::welcomed;
}

ipc::BellHello Session::bell_hello() const noexcept {
  ipc::BellHello hello{};
  std::memcpy(hello.magic, ipc::kBellMagic, sizeof hello.magic);
  hello.session = number_;
  std::memcpy(hello.token, token_, sizeof token_);
  return hello;
}

Event Session::take_opened(ErrorText& why) noexcept {
  if (incoming_.fds_lost) {
    why.set(
        "this process has no file descriptor left for the channel's memory: raise RLIMIT_NOFILE "
        "(ulimit -n, or LimitNOFILE= in the unit); a producer needs six");
    return lose(KFAST_ERR_NO_MEMORY);
  }
  opened_ = message_from<ipc::Opened>(incoming_);
  if (incoming_.size != sizeof opened_ || opened_.request != request_) {
    why.format("kfastd %s on %s answered another question: it is broken", daemon_version_, path_);
    return lose(KFAST_ERR_PROTOCOL);
  }
  state_ = State::open;
  was_open_ = true;
  return Event::opened;
}

Event Session::take_refusal(ipc::RefusalCode code, const char* text, ErrorText& why) noexcept {
  if (text[0] != '\0') {
    why.format("kfastd refuses: %s", text);
  } else {
    why.format("kfastd refuses with code %d and no word: see its log", static_cast<int>(code));
  }
  return is_passing(code, was_open_) ? lose(code_of(code)) : end(code_of(code));
}

Event Session::hang_up(ErrorText& why) noexcept {
  if (noticed_) {
    return take_refusal(notice_.code, notice_.text, why);
  }
  why.format("kfastd hung up on %s: it has stopped, or closed this session; see its log", path_);
  return lose(KFAST_ERR_NO_DAEMON);
}

Event Session::lose(int code) noexcept {
  code_ = code;
  back_off();
  return Event::lost;
}

Event Session::end(int code) noexcept {
  code_ = code;
  ended_ = true;
  drop();
  return Event::ended;
}

bool Session::ask(const void* message, std::size_t size, const int* fds, std::size_t fd_count,
                  ErrorText& why) noexcept {
  if (!send_message(socket_.get(), message, size, fds, fd_count)) {
    const int error = errno;
    if (error == EPIPE || error == ECONNRESET) {
      // Its last word may still be there to be read.
      for (Event event = step(why); event == Event::noticed; event = step(why)) {
      }
      if (!away()) {
        static_cast<void>(hang_up(why));
      }
      return false;
    }
    why.format("cannot ask kfastd on %s for the channel: %s", path_, std::strerror(error));
    static_cast<void>(lose(KFAST_ERR_NO_DAEMON));
    return false;
  }
  state_ = State::asking;
  return true;
}

bool Session::ask_to_open(ErrorText& why) noexcept {
  auto open = ipc::make_message<ipc::OpenProducer>();
  open.request = ++request_;
  open.reports = options_->reports();
  open.c2d_ring_bytes = options_->ring_bytes();
  open.d2c_ring_bytes = options_->report_bytes();
  open.topic_capacity = options_->topics();
  ipc::put_text(open.profile, options_->profile());
  return ask(&open, sizeof open, nullptr, 0, why);
}

bool Session::ask_to_resume(const ipc::Geometry& geometry, int c2d, int d2c,
                            ErrorText& why) noexcept {
  auto resume = ipc::make_message<ipc::ResumeProducer>();
  resume.request = ++request_;
  resume.reports = options_->reports();
  resume.geometry = geometry;
  ipc::put_text(resume.profile, options_->profile());
  const int fds[] = {c2d, d2c};
  return ask(&resume, sizeof resume, fds, 2, why);
}

bool Session::confirm(ErrorText& why) noexcept {
  auto confirm = ipc::make_message<ipc::Confirm>();
  confirm.channel = opened_.channel;
  if (send_message(socket_.get(), &confirm, sizeof confirm, nullptr, 0)) {
    settle();
    return true;
  }
  why.format("kfastd hung up on %s: %s", path_, std::strerror(errno));
  static_cast<void>(lose(KFAST_ERR_NO_DAEMON));
  return false;
}

void Session::say_close(std::uint32_t channel) noexcept {
  if (is_open()) {
    auto close = ipc::make_message<ipc::Close>();
    close.channel = channel;
    // Not sent is as good: the end of the socket says the same.
    static_cast<void>(send_message(socket_.get(), &close, sizeof close, nullptr, 0));
  }
}

void Session::drop() noexcept {
  if (socket_.valid()) {
    readiness_.unwatch(socket_.get());
    // A forked child may hold a copy, and kfastd would hear nothing of a mere close.
    ::shutdown(socket_.get(), SHUT_RDWR);
    socket_.reset();
  }
  state_ = State::away;
}

void Session::back_off() noexcept {
  drop();
  delay_ms_ = delay_ms_ == 0 ? kFirstDelayMs : delay_ms_ * 2;
  delay_ms_ = delay_ms_ > kLongestDelayMs ? kLongestDelayMs : delay_ms_;
  jitter_ = jitter_ * 6364136223846793005ULL + 1442695040888963407ULL;
  // Between half of the delay and all of it, so that a host's workers do not come back all at once.
  const auto span = static_cast<std::uint64_t>(delay_ms_ / 2 + 1);
  const std::int64_t wait = delay_ms_ / 2 + static_cast<std::int64_t>((jitter_ >> 33U) % span);
  due_ms_ = monotonic_ms() + wait;
  readiness_.ring_in(wait);
}

bool Session::due() const noexcept {
  return monotonic_ms() >= due_ms_;
}

std::int64_t Session::due_in_ms() const noexcept {
  const std::int64_t left = due_ms_ - monotonic_ms();
  return left < 0 ? 0 : left;
}

ipc::Fd Session::take_fd(std::size_t index) noexcept {
  return static_cast<ipc::Fd&&>(incoming_.fds[index]);
}

}  // namespace kfast::client
